"""The whole loop on real pictures, by command line and public client."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from e2e.conftest import Digits
from e2e.system import System
from kinsight.clients import Kinsight
from kinsight.errors import ImageNotFound, JobFinished, LibraryNotFound, NothingToRollBack

pytestmark = pytest.mark.slow

SPACES = ("softmax", "feature", "hash", "auto")
ROUTINGS = ("argmax", "adaptive", "all")


@pytest.fixture
def scratch(client: Kinsight, digits: Digits, tmp_path: Path) -> Iterator[str]:
    """A library of a few digits of its own, gone afterwards; the shared one stays as it is."""
    for image in digits.held_out[:40]:
        (tmp_path / "in" / image.label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / image.label / image.filename).write_bytes(image.data)
    client.wait(client.index_batch("scratch", [tmp_path / "in"]).id, timeout=60)
    yield "scratch"
    client.delete_library("scratch")


def test_ledger_adds_up(client: Kinsight, digits: Digits) -> None:
    job = client.job(digits.ingest_job)
    items = list(client.items(job.id))
    assert job.result is not None
    assert len(items) == job.result["files"] == digits.images == 1497
    assert [item.number for item in items] == list(range(1497))
    assert {item.outcome for item in items} == {"stored"}  # there was no model yet


def test_sending_again_changes_nothing(
    system: System, client: Kinsight, digits: Digits, tmp_path: Path
) -> None:
    first = next(iter(client.images("digits")))
    (tmp_path / "again.png").write_bytes(client.content(first.id))
    again = system.run("ingest", "digits", str(tmp_path / "again.png"), "--json")
    assert again.document()["totals"] == {
        "indexed": 0,
        "stored": 0,
        "duplicate": 1,
        "rejected": 0,
    }
    assert client.image(first.id) == first
    assert client.library("digits").images == digits.images


def test_training_is_told_step_by_step(client: Kinsight, digits: Digits) -> None:
    job = client.job(digits.train_job)
    assert job.result is not None
    card = client.model(digits.model).card
    assert job.result["model"] == card.id
    assert card.classes == [str(digit) for digit in range(10)]
    assert card.training_images + card.validation_images == 1497
    (run,) = client.training_curves(job=job.id).runs
    iterations = [point.iteration for point in run.points]
    assert iterations == sorted(set(iterations))
    assert iterations[-1] == card.iterations
    assert all(point.loss is not None or point.validation_accuracy for point in run.points)


def test_search_finds_the_digit(
    system: System, client: Kinsight, digits: Digits, picture: Path
) -> None:
    found = system.run("search", "digits", str(picture), "-k", "5", "--json")
    assert found.code == 0, found.stderr
    answer = found.document()
    assert (answer["library"], answer["model"]) == ("digits", digits.model)
    assert len(answer["hits"]) == 5
    distances = [hit["distance"] for hit in answer["hits"]]
    assert distances == sorted(distances)
    assert all(
        hit["similarity"] == pytest.approx(1 / (1 + hit["distance"])) for hit in answer["hits"]
    )
    assert answer["routing"]["compared"] <= answer["routing"]["library_size"] == 1497
    # The same bytes through the client, twice: one picture has one answer.
    once = client.search("digits", picture, k=5)
    assert [hit.image_id for hit in once.hits] == [hit["image_id"] for hit in answer["hits"]]


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("routing", ROUTINGS)
def test_a_stored_picture_finds_itself(
    client: Kinsight, digits: Digits, space: str, routing: str
) -> None:
    stored = next(iter(client.images("digits")))
    answer = client.search_image("digits", stored.id, k=1000, space=space, routing=routing)
    nearest = [hit.image_id for hit in answer.hits if hit.distance <= answer.hits[0].distance]
    # Several pictures may share a code: it is among the nearest, whatever their order.
    assert stored.id in nearest
    assert answer.hits[0].distance == pytest.approx(0, abs=1e-5)


def test_named_classes_and_least_similarity(client: Kinsight, digits: Digits) -> None:
    data = digits.held_out[0].data
    answer = client.search("digits", data, k=1000, classes=["3", "7"])
    assert set(answer.routing.classes) == {"3", "7"}
    assert {hit.class_ for hit in answer.hits} <= {"3", "7"}
    least = answer.hits[len(answer.hits) // 2].similarity
    some = client.search("digits", data, k=1000, classes=["3", "7"], min_similarity=least)
    kept = [hit.image_id for hit in answer.hits if hit.similarity >= least]
    assert [hit.image_id for hit in some.hits] == kept


def test_timings_explain_the_total(client: Kinsight, digits: Digits) -> None:
    timings = client.search("digits", digits.held_out[0].data).timings_ms
    parts = sum(value for name, value in timings.items() if name != "total")
    assert parts == pytest.approx(timings["total"], rel=0.1, abs=3)


def test_evaluation_measures_every_space_and_routing(
    system: System, digits: Digits, tmp_path: Path
) -> None:
    for image in digits.held_out:
        (tmp_path / image.label).mkdir(exist_ok=True)
        (tmp_path / image.label / image.filename).write_bytes(image.data)
    done = system.run("evaluate", "digits", "--queries", str(tmp_path), "--json")
    assert done.code == 0, done.stderr
    evaluation = done.document()
    assert (evaluation["queries"], evaluation["model"]) == (300, digits.model)
    modes = [(row["space"], row["routing"]) for row in evaluation["results"]]
    assert sorted(modes) == sorted((space, routing) for space in SPACES for routing in ROUTINGS)
    for row in evaluation["results"]:
        assert 0.5 < row["p_at_10"] <= 1, row  # far above the tenth that chance would give
    compared = {row["routing"]: row["compared_mean"] for row in evaluation["results"]}
    assert compared["argmax"] <= compared["adaptive"] <= compared["all"] == 1497


def test_evaluation_by_ten_crops_leaves_out_what_the_library_has(
    system: System, client: Kinsight, digits: Digits, tmp_path: Path
) -> None:
    for image in digits.held_out[:30]:
        (tmp_path / image.label).mkdir(exist_ok=True)
        (tmp_path / image.label / image.filename).write_bytes(image.data)
    known = next(iter(client.images("digits")))
    (tmp_path / str(known.label)).mkdir(exist_ok=True)
    (tmp_path / str(known.label) / "known.png").write_bytes(client.content(known.id))
    done = system.run(
        *["evaluate", "digits", "--queries", str(tmp_path), "--crops", "10", "--per-class"]
    )
    assert done.code == 0, done.stderr
    assert "30 queries on digits" in done.stdout
    assert "10 crops each" in done.stdout
    assert "1 more are left out" in done.stdout
    evaluation = client.model(digits.model).card.evaluation
    assert evaluation is not None
    assert (evaluation["crops"], evaluation["near_duplicates"]) == (10, 1)
    assert sum(one["queries"] for one in evaluation["per_class"].values()) == 30
    shown = system.run("models", digits.model, "--per-class")
    assert done.stdout.strip() in shown.stdout
    (listed,) = [model for model in client.models("digits") if model.id == digits.model]
    assert listed.card.evaluation is not None
    assert listed.card.evaluation["confusion"] == {}
    assert listed.card.evaluation["results"][0]["p_at_10"] == evaluation["results"][0]["p_at_10"]


def test_pictures_come_back_as_they_were_sent(
    client: Kinsight, digits: Digits, scratch: str
) -> None:
    sent = {image.data for image in digits.held_out[:40]}
    images = list(client.images(scratch, page_size=7))
    assert {client.content(image.id) for image in images} == sent
    thumbnail = Image.open(io.BytesIO(client.thumbnail(images[0].id, 16)))
    assert (thumbnail.format, max(thumbnail.size)) == ("WEBP", 16)


def test_labels_are_corrected_and_images_deleted(client: Kinsight, scratch: str) -> None:
    image = next(iter(client.images(scratch)))
    assert client.relabel(image.id, "nine").label == "nine"
    assert client.library(scratch).labels["nine"] == 1
    assert [found.id for found in client.images(scratch, label="nine")] == [image.id]
    client.delete_image(image.id)
    with pytest.raises(ImageNotFound):
        client.image(image.id)
    assert client.library(scratch).images == 39


def test_clear_and_rebuild(system: System, client: Kinsight, digits: Digits) -> None:
    before = client.search("digits", digits.held_out[0].data)
    cleared = system.run("clear", "digits", "--json")
    assert cleared.document() == {"library": "digits", "removed": 1497}
    assert client.library("digits").indexed == 0
    assert client.library("digits").images == 1497
    rebuilt = system.run("rebuild", "digits", "--json")
    assert rebuilt.code == 0, rebuilt.stderr
    after = client.search("digits", digits.held_out[0].data)
    assert [hit.image_id for hit in after.hits] == [hit.image_id for hit in before.hits]


def test_events_tell_every_state_to_the_end(client: Kinsight, digits: Digits) -> None:
    job = client.rebuild("digits")
    seen = list(client.events(job.id))
    assert seen[-1].state == "succeeded"
    assert [event.state for event in seen].count("succeeded") == 1
    done = [event.progress.done for event in seen]
    assert done == sorted(done)


def test_cancel_takes_effect_in_five_seconds(
    system: System, client: Kinsight, digits: Digits
) -> None:
    job = client.train(
        "digits",
        network_options={"input_size": 32, "width": 0.125, "fc_width": 64, "towers": 1},
        recipe_options={"epochs": 10_000},
    )
    deadline = time.monotonic() + 120
    while client.job(job.id).progress.done == 0:
        assert time.monotonic() < deadline, "training does not begin"
        time.sleep(0.1)
    asked = time.monotonic()
    assert system.run("jobs", job.id, "--cancel", "--json").document()["cancel_requested"]
    ended = client.wait(job.id, timeout=30, poll_seconds=0.1)
    assert ended.state == "cancelled"
    assert time.monotonic() - asked < 5
    with pytest.raises(JobFinished):
        client.cancel(job.id)
    assert client.library("digits").model == digits.model


def test_nothing_to_roll_back_to(client: Kinsight, digits: Digits) -> None:
    with pytest.raises(NothingToRollBack):
        client.rollback("digits")


def test_library_is_deleted(system: System, client: Kinsight, scratch: str) -> None:
    client.create_library("passing")
    assert system.run("delete", "passing", "--yes").code == 0
    with pytest.raises(LibraryNotFound):
        client.library("passing")
    assert client.library(scratch).images == 40


def test_doctor_finds_everything_well(system: System, digits: Digits) -> None:
    report = system.run("doctor", "--json")
    assert report.code == 0, report.stdout
    assert all(check["ok"] for check in report.document()["checks"])
