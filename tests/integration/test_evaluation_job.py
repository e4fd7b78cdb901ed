"""Evaluation jobs with the real indexer and trainer, on vectors that a test can reckon with."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import numpy as np
import pytest

import trainer.app
from integration.gated_library import HELD_OUT, PER_CLASS, Gated, gated, keys_of
from integration.scripted_extractor import CLASSES, card, files, picture, vectors
from integration.serving import archive
from kinsight.contracts.evaluation import Evaluation, EvaluationRow
from kinsight.contracts.jobs import Job, JobKind, JobState
from trainer.registry import ModelRegistry

MODEL = "one-right-7"
JOB = "00000000-0000-4000-8000-000000000001"
Key = tuple[int, int]  # class and number of a picture
Apart = Mapping[Key, set[Key]]  # what must not be among a query's hits, besides itself


@pytest.fixture
async def library(database_url: str, tmp_path: Path) -> AsyncIterator[Gated]:
    """120 pictures of four classes, live under a model; a third of them are held out."""
    async with gated(database_url, tmp_path) as filled:
        await filled.running.start("trainer", trainer.app.create_app)
        await add(filled, MODEL)
        await filled.promote(MODEL, override=True, by="a test", reason="to be measured")
        yield filled


async def add(library: Gated, model: str) -> None:
    await library.add(model)
    registry = ModelRegistry(library.running.pool, library.running.store, library.running.extractor)
    held_out = [library.ids[key] for key in keys_of()]
    async with library.running.pool.acquire() as connection:
        await registry.add(connection, JOB, card(model, held_out))


async def measured(
    library: Gated,
    queries: Mapping[str, bytes] | None = None,
    *,
    crops: int = 1,
    model: str = MODEL,
) -> Evaluation:
    job = await ended(library, queries, crops=crops, model=model)
    assert job.state is JobState.SUCCEEDED, job.error
    return Evaluation(**(job.result or {}))


async def ended(
    library: Gated, queries: Mapping[str, bytes] | None, *, crops: int = 1, model: str = MODEL
) -> Job:
    key = None
    if queries is not None:
        key = "uploads/queries"
        await library.running.store.put(key, archive(queries))
    job = await library.running.trainer.evaluate(model, key, crops=crops)
    return await library.running.ended(job, 30)


async def looks_like(library: Gated, key: Key, other: bytes, bits: int = 0b101) -> None:
    """Gives an image of the library nearly the perceptual hash of another picture."""
    value = int.from_bytes(hashlib.sha256(other).digest()[:8], "big", signed=True) ^ bits
    await library.running.pool.execute(
        "UPDATE images SET perceptual_hash = $1 WHERE id = $2", value, library.ids[key]
    )


def row_of(found: Evaluation, space: str, routing: str) -> EvaluationRow:
    (row,) = [row for row in found.results if (row.space, row.routing) == (space, routing)]
    return row


def expected(queries: list[Key], apart: Apart | None = None) -> float:
    """P@10 by feature in the table of each query's predicted class, by brute force."""
    keys = keys_of(range(PER_CLASS))
    found = vectors(MODEL, [picture(*key) for key in keys])
    seen = found.probabilities.argmax(axis=1)
    labels = np.array([label for label, _ in keys])
    precisions = []
    for query in queries:
        at = keys.index(query)
        distance = np.linalg.norm(found.feature - found.feature[at], axis=1)
        distance[seen != seen[at]] = np.inf
        for hidden in {query, *(apart or {}).get(query, set())}:
            distance[keys.index(hidden)] = np.inf
        precisions.append((labels[np.argsort(distance)[:10]] == labels[at]).mean())
    return float(np.mean(precisions))


async def test_held_out_images_measure_the_model(library: Gated) -> None:
    found = await measured(library)
    assert (found.queries, found.skipped, found.near_duplicates) == (40, 0, 0)
    assert (found.queries_from, found.crops, found.unknown_labels) == ("held-out", 1, {})
    assert len({(row.space, row.routing) for row in found.results}) == len(found.results) == 12
    for space in ("feature", "auto"):
        for routing in ("argmax", "adaptive"):
            row = row_of(found, space, routing)
            assert row.p_at_10 == pytest.approx(expected(keys_of()))
            # Every table holds what is seen as its class: 21 of its own and 9 of another.
            assert row.compared_mean == 30
    # Three of every ten held out are seen as the next class.
    assert found.confusion["class 3"] == {"class 3": 7, "class 0": 3}
    assert found.per_class["class 3"].model_dump() == {
        "queries": 10,
        "top1_error": pytest.approx(0.3),
        "top5_error": 0,
    }
    for row in found.results:
        assert (row.top1_error, row.top5_error) == (pytest.approx(0.3), 0)
        assert row.compared_mean == (120 if row.routing == "all" else 30)
        # No code but the query's own class lies near, so neither loses any of the first ten.
        assert row.routing_recall == pytest.approx(1)
        assert row.hash_recall == (pytest.approx(1) if row.space == "auto" else None)
        assert [figures.queries for figures in row.per_class.values()] == [10] * CLASSES
        whole = np.mean([figures.p_at_10 for figures in row.per_class.values()])
        assert row.p_at_10 == pytest.approx(whole)
        assert row.milliseconds_mean is not None
    assert {row.space: row.bytes_per_image for row in found.results} == {
        "softmax": 16,
        "feature": 32,
        "hash": 1,
        "auto": 33,
    }
    kept = await library.running.trainer.model(MODEL)
    assert kept.card.evaluation == found.model_dump(mode="json")
    (listed,) = (await library.running.trainer.models("things")).models
    assert listed.card.evaluation == found.brief().model_dump(mode="json")
    assert listed.card.evaluation["confusion"] == {}
    page = await library.running.rows.page(
        kind=JobKind.EVALUATE, state=None, library="things", page_size=5, page_token=None
    )
    assert [job.result for job in page.jobs] == [found.brief().model_dump(mode="json")]


async def test_held_out_images_that_training_may_have_seen_are_left_out(library: Gated) -> None:
    await looks_like(library, (0, 15), picture(0, 0))  # not held out: the network may know it
    alike = {(1, number) for number in range(7)}  # all held out
    for bit, key in enumerate(alike):
        await looks_like(library, key, picture(1, 0), 1 << bit)
    found = await measured(library)
    assert (found.queries, found.near_duplicates) == (39, 1)
    assert found.per_class["class 0"].queries == 9
    counted = [key for key in keys_of() if key != (0, 0)]
    row = row_of(found, "auto", "adaptive")
    assert row.p_at_10 == pytest.approx(expected(counted, dict.fromkeys(alike, alike)))
    assert row.p_at_10 != pytest.approx(expected(counted))


async def test_pictures_that_the_library_has_are_no_queries(library: Gated) -> None:
    await looks_like(library, (2, 20), picture(2, 50))
    queries = {
        **files(range(PER_CLASS, PER_CLASS + 5)),
        "class 0/the same file": picture(0, 3),
        "class 2/nearly the same": picture(2, 50),
        "unicorn/a": picture(3, 60),
        "loose": picture(1, 61),
        "class 1/empty": b"",
    }
    found = await measured(library, queries)
    assert (found.queries, found.near_duplicates, found.skipped) == (21, 2, 2)
    assert (found.queries_from, found.unknown_labels) == ("folder", {"unicorn": 1})
    assert found.per_class["unicorn"].top1_error == 1
    assert found.confusion["unicorn"] == {"class 3": 1}
    row = row_of(found, "auto", "adaptive")
    assert row.per_class["unicorn"].p_at_10 == row.per_class["unicorn"].map == 0
    assert row.per_class["class 1"].queries == 5
    assert await library.running.store.keys("uploads/evaluate/") == []


async def test_nothing_but_what_the_library_has_is_an_error(library: Gated) -> None:
    job = await ended(library, {"class 0/1": picture(0, 1), "class 1/empty": b""})
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert "1 are nearly the same as pictures of the library" in job.error["detail"]
    assert "1 queries are no readable picture" in job.error["detail"]
    assert (await library.running.trainer.model(MODEL)).card.evaluation is None


async def test_queries_are_embedded_by_ten_crops(library: Gated) -> None:
    one, ten = [await measured(library, crops=crops) for crops in (1, 10)]
    assert (one.crops, ten.crops) == (1, 10)
    # By ten crops this extractor sees other features, and the same classes.
    assert row_of(one, "feature", "all").map != row_of(ten, "feature", "all").map
    assert row_of(one, "hash", "all").map == row_of(ten, "hash", "all").map


async def test_a_candidate_is_measured_beside_the_live_model(library: Gated) -> None:
    await add(library, "two-right-9")
    job = await library.running.indexer.promote("things", "two-right-9", switch=False)
    assert (await library.running.ended(job, 30)).state is JobState.SUCCEEDED
    better = await measured(library, model="two-right-9")
    assert await library.live() == MODEL
    live = await measured(library)
    assert row_of(better, "auto", "adaptive").top1_error == pytest.approx(0.1)
    assert row_of(live, "auto", "adaptive").top1_error == pytest.approx(0.3)
    held_out = len(HELD_OUT) * CLASSES
    assert (better.queries, live.queries) == (held_out, held_out)
