"""The gate on a real Postgres: what goes live, what is refused, by which images that is judged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from integration.gated_library import (
    HELD_OUT,
    PER_CLASS,
    Gated,
    expected,
    gate,
    gated,
    hours_ago,
    keys_of,
)
from integration.scripted_extractor import CLASSES, files
from integration.serving import archive
from kinsight.contracts.ingest import IngestRequest
from kinsight.contracts.libraries import ImagePatch, LibraryPatch
from kinsight.contracts.promotions import Outcome, Promotion


@pytest.fixture
async def library(database_url: str, tmp_path: Path) -> AsyncIterator[Gated]:
    async with gated(database_url, tmp_path) as library:
        yield library


async def history(library: Gated) -> list[Promotion]:
    return (await library.running.indexer.promotions("things", {})).promotions


async def test_a_better_model_goes_live(library: Gated) -> None:
    first = gate(await library.promote(await library.add("first-right-9")))
    assert (first.passed, first.promoted, first.live_model) == (True, True, None)
    assert first.p_at_10 == pytest.approx(expected("first-right-9", keys_of()))
    assert first.live_p_at_10 is None
    second = gate(await library.promote(await library.add("second-right-10")))
    assert (second.passed, second.promoted, second.same_images) == (True, True, True)
    assert (second.p_at_10, second.live_p_at_10) == (1.0, first.p_at_10)
    assert second.live_model == "first-right-9"
    assert second.queries == second.live_queries == CLASSES * len(HELD_OUT)
    assert await library.live() == "second-right-10"
    assert [(one.model, one.previous_model, one.outcome) for one in await history(library)] == [
        ("second-right-10", "first-right-9", Outcome.PROMOTED),
        ("first-right-9", None, Outcome.PROMOTED),
    ]
    assert (await history(library))[0].gate == second


async def test_a_worse_model_is_refused_and_nothing_changes(library: Gated) -> None:
    await library.promote(await library.add("good-right-10"))
    before = await library.running.pool.fetchrow("SELECT * FROM libraries")
    refused = gate(await library.promote(await library.add("bad-right-9")))
    assert (refused.passed, refused.promoted) == (False, False)
    assert refused.p_at_10 == pytest.approx(expected("bad-right-9", keys_of()))
    assert refused.p_at_10 is not None and refused.p_at_10 >= refused.floor
    assert "worse than the live model's 1.0000" in refused.reason
    assert await library.running.pool.fetchrow("SELECT * FROM libraries") == before
    (newest, _) = await history(library)
    assert (newest.outcome, newest.previous_model) == (Outcome.REFUSED, "good-right-10")
    use = await library.running.indexer.model_use("bad-right-9")
    assert use.candidate == ["things"], "it stays beside the live one, to be evaluated"


async def test_a_model_that_does_as_well_passes(library: Gated) -> None:
    await library.promote(await library.add("one-right-10"))
    equal = gate(await library.promote(await library.add("other-right-10")))
    assert equal.passed
    assert equal.p_at_10 == equal.live_p_at_10


async def test_better_but_below_the_floor_is_refused(library: Gated) -> None:
    running = library.running
    await running.indexer.patch_library("things", LibraryPatch(floor=0.1))
    await library.promote(await library.add("poor-right-5"))
    await running.indexer.patch_library("things", LibraryPatch(floor=None))
    refused = gate(await library.promote(await library.add("fair-right-8")))
    assert refused.p_at_10 is not None and refused.live_p_at_10 is not None
    assert refused.live_p_at_10 < refused.p_at_10 < 0.8 == refused.floor
    assert not refused.promoted
    assert "below the library's default floor of 0.8" in refused.reason
    assert "worse" not in refused.reason
    await running.indexer.patch_library("things", LibraryPatch(floor=refused.p_at_10))
    assert gate(await library.promote("fair-right-8")).passed, "the floor itself is no fault"


async def test_first_model_below_the_default_floor_goes_live(library: Gated) -> None:
    found = await library.running.indexer.library("things")
    assert (found.floor, found.floor_is_default) == (0.8, True)
    first = gate(await library.promote(await library.add("poor-right-5")))
    assert (first.passed, first.promoted) == (False, True)
    assert "nothing else is live" in first.reason
    assert await library.live() == "poor-right-5"
    (only,) = await history(library)
    assert (only.outcome, only.gate) == (Outcome.PROMOTED, first)


async def test_first_model_below_a_floor_that_was_set_is_refused(library: Gated) -> None:
    found = await library.running.indexer.patch_library("things", LibraryPatch(floor=0.8))
    assert (found.floor, found.floor_is_default) == (0.8, False)
    first = gate(await library.promote(await library.add("poor-right-5")))
    assert (first.passed, first.promoted) == (False, False)
    assert await library.live() is None
    job = await library.promote("poor-right-5", override=True, by="ada", reason="a start")
    assert job.result is not None and job.result["indexed"] == 0, "not built again"
    assert await library.live() == "poor-right-5"


async def test_a_person_may_override(library: Gated) -> None:
    await library.promote(await library.add("good-right-10"))
    await library.promote(await library.add("bad-right-5"))
    job = await library.promote("bad-right-5", override=True, by="ada", reason="new season")
    assert job.result is not None
    assert (job.result["indexed"], job.result["outcome"]) == (0, "overridden")
    assert (gate(job).passed, gate(job).promoted) == (False, True)
    assert await library.live() == "bad-right-5"
    newest = (await history(library))[0]
    assert (newest.outcome, newest.by, newest.reason) == (Outcome.OVERRIDDEN, "ada", "new season")
    assert newest.gate == gate(job)
    # One that passes needs no overriding, but who asked for it is kept all the same.
    job = await library.promote("good-right-10", override=True, by="ada")
    newest = (await history(library))[0]
    assert (newest.outcome, newest.by) == (Outcome.PROMOTED, "ada")


async def test_only_images_that_neither_model_was_trained_on(library: Gated) -> None:
    """The first held out numbers 0–9, the second 5–14 and what came after the first's training."""
    await library.promote(await library.add("first-right-9", started_at=hours_ago(-1)))
    await library.add("second-right-10", lambda _, number: 5 <= number < 15)
    both = gate(await library.promote("second-right-10"))
    assert both.same_images
    assert both.queries == CLASSES * 5
    assert both.live_p_at_10 == pytest.approx(expected("first-right-9", keys_of(range(5, 10))))
    await library.running.pool.execute("TRUNCATE promotions")
    await library.running.indexer.rollback("things")
    await library.add("first-right-9", started_at=hours_ago(1))  # before any image was there
    later = gate(await library.promote("second-right-10"))
    assert later.queries == CLASSES * 10


async def test_too_few_in_common_are_not_compared(library: Gated) -> None:
    await library.promote(await library.add("first-right-9", started_at=hours_ago(-1)))
    await library.add("second-right-9", lambda _, number: 9 <= number < 19)
    own = gate(await library.promote("second-right-9"))
    assert not own.same_images
    assert (own.queries, own.live_queries) == (CLASSES * 10, CLASSES * 10)
    assert own.p_at_10 == pytest.approx(expected("second-right-9", keys_of(range(9, 19))))
    assert own.live_p_at_10 == pytest.approx(expected("first-right-9", keys_of()))
    assert "too few were held out from both" in own.reason


async def test_a_class_without_common_images_is_not_passed_over(library: Gated) -> None:
    """Thirty in common are enough, unless they leave a class out."""
    await library.promote(
        await library.add("first-right-10", lambda label, _: label < 3, started_at=hours_ago(-1))
    )
    await library.add("second-right-10", lambda _, number: number < 20)
    assert not gate(await library.promote("second-right-10")).same_images


async def test_labels_weigh_as_among_all_that_was_held_out(library: Gated) -> None:
    """The live model kept fewer of one class: that class counts no less for it."""
    await library.promote(
        await library.add(
            "first-right-10",
            lambda label, number: number < (2 if label == 0 else 10),
            started_at=hours_ago(-1),
        )
    )
    await library.add("second-right-5")
    found = gate(await library.promote("second-right-5"))
    assert (found.queries, found.same_images) == (32, True)
    by_class = [
        expected("second-right-5", [(label, n) for n in range(2 if label == 0 else 10)])
        for label in range(CLASSES)
    ]
    assert found.p_at_10 == pytest.approx(sum(by_class) / CLASSES)


async def test_without_held_out_images_nothing_passes(library: Gated) -> None:
    first = gate(await library.promote(await library.add("first-right-9", lambda *_: False)))
    assert (first.passed, first.promoted, first.p_at_10, first.queries) == (False, True, None, 0)
    second = gate(await library.promote(await library.add("second-right-9", lambda *_: False)))
    assert not second.promoted
    assert "No image that was held out" in second.reason
    # A live model whose own are gone is measured on the candidate's.
    third = gate(await library.promote(await library.add("third-right-9")))
    assert (third.queries, third.live_queries, third.same_images) == (40, 40, False)


async def test_near_duplicates_of_the_query_are_no_hits(library: Gated) -> None:
    """The pictures of class 0 that the model takes for class 1 are copies of each other."""
    copies = [library.ids[0, number] for number in range(PER_CLASS) if number % 10 == 9]
    await library.running.pool.execute(
        "UPDATE images SET perceptual_hash = 7 - (id % 2) WHERE id = ANY($1)", copies
    )
    only = await library.add("model-right-9", lambda label, number: (label, number) == (0, 9))
    with_copies = expected("model-right-9", [(0, 9)])
    found = gate(await library.promote(only))
    assert found.queries == 1
    assert found.p_at_10 == 0, "all else in that table is of class 1"
    assert with_copies > 0


async def test_like_hashes_mean_nothing_where_most_pictures_have_them(library: Gated) -> None:
    """As of handwriting, where strokes on white have the hashes of other digits."""
    await library.running.pool.execute("UPDATE images SET perceptual_hash = 7 - (id % 2)")
    found = gate(await library.promote(await library.add("model-right-9")))
    assert found.p_at_10 == pytest.approx(expected("model-right-9", keys_of()))


async def test_many_held_out_images_are_sampled(
    library: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.held_out.MOST", 20)
    await library.promote(await library.add("first-right-9"))
    one = gate(await library.promote(await library.add("second-right-8")))
    other = gate(await library.promote("second-right-8"))
    assert (one.queries, one.live_queries, one.same_images) == (20, 20, True)
    assert one == other, "the same at every try"


async def test_a_cleared_live_index_leaves_the_floor(library: Gated) -> None:
    await library.promote(await library.add("first-right-10"))
    await library.running.indexer.clear("things")
    found = gate(await library.promote(await library.add("second-right-9")))
    assert (found.live_p_at_10, found.live_queries) == (None, 0)
    assert found.passed
    assert await library.live() == "second-right-9"


async def test_deleted_and_unlabelled_images_are_no_queries(library: Gated) -> None:
    await library.promote(await library.add("first-right-10"))
    await library.add("second-right-10")
    await library.running.indexer.delete_image(str(library.ids[0, 0]))
    await library.running.indexer.patch_image(str(library.ids[1, 1]), ImagePatch(label=None))
    found = gate(await library.promote("second-right-10"))
    assert found.queries == found.live_queries == CLASSES * len(HELD_OUT) - 2


async def test_images_that_came_after_the_live_training_count(library: Gated) -> None:
    """A class the live model was never taught counts like any other."""
    await library.promote(await library.add("first-right-10", started_at=hours_ago(1)))
    key = "uploads/new"
    named = {name.replace("class 3", "class new"): data for name, data in new_files().items()}
    await library.running.store.put(key, archive(named))
    job = await library.running.indexer.ingest("things", IngestRequest(upload=key))
    await library.running.ended(job)
    await library.learn()
    added = range(PER_CLASS, PER_CLASS + 10)
    await library.add("second-right-10", lambda _, number: number in added or number in HELD_OUT)
    found = gate(await library.promote("second-right-10"))
    assert (found.queries, found.same_images) == (CLASSES * 20, True)
    for measured in (found.p_at_10, found.live_p_at_10):
        assert measured is not None and 0.8 < measured < 1, "the new label is in a mixed table"


def new_files() -> dict[str, bytes]:
    return files(range(PER_CLASS, PER_CLASS + 10), "new-")
