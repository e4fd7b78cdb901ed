"""The model registry, the curves and the sweeping, on a real Postgres and a real store."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

import indexer.app
import trainer.app
from integration.digits import request
from integration.serving import System, system
from kinsight.contracts.jobs import JobKind, JobState
from kinsight.contracts.libraries import LibraryCreate
from kinsight.contracts.models import (
    Accuracies,
    CurvePoint,
    ModelCard,
    Preprocessing,
    RetrievalSettings,
    TrainingRun,
)
from kinsight.errors import BadRequest, BlobNotFound, Conflict, InvalidRequest, ModelNotFound
from trainer import curves
from trainer.registry import ModelRegistry, model_id

JOB = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
async def running(database_url: str, tmp_path: Path) -> AsyncIterator[System]:
    async with system(database_url, tmp_path) as started:
        await started.start("indexer", indexer.app.create_app)
        await started.start("trainer", trainer.app.create_app)
        yield started


def card(name: str, library: str = "shop") -> ModelCard:
    return ModelCard(
        id=name,
        library=library,
        network="alexnet",
        preprocessing=Preprocessing(),
        classes=["a", "b"],
        feature_dimensions=4,
        code_bits=8,
        code_kind="projection",
        recipe="head",
        weights="none",
        seed=0,
        data_fingerprint="0",
        class_counts={"a": 1, "b": 1},
        training_images=2,
        validation_images=0,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        seconds=1,
        iterations=1,
        epochs=1,
        device="cpu",
        machine="test",
        accuracy=Accuracies(),
        retrieval=RetrievalSettings(),
        parameters=1,
        bytes=1,
    )


async def add(running: System, added: ModelCard) -> None:
    registry = ModelRegistry(running.pool, running.store, running.extractor)
    async with running.pool.acquire() as connection:
        await registry.add(connection, JOB, added)
    await running.store.put(f"models/{added.id}/model.safetensors", b"weights")
    await running.store.put(f"models/{added.id}/card.json", added.model_dump_json().encode())


def test_the_model_of_a_job_has_one_id() -> None:
    wanted = request(network="torchvision/mobilenet_v2", library="shop")
    assert model_id(wanted, JOB) == model_id(wanted, JOB) == "shop-mobilenet_v2-000000000000"


async def test_models_are_listed_and_deleted(running: System) -> None:
    for name, library in [("one", "shop"), ("two", "shop"), ("three", "zoo")]:
        await add(running, card(name, library))
    assert {model.id for model in (await running.trainer.models()).models} == {
        "one",
        "two",
        "three",
    }
    shop = (await running.trainer.models("shop")).models
    assert [model.id for model in shop] == ["two", "one"]
    assert (await running.trainer.model("three")).card == card("three", "zoo")
    await running.trainer.delete_model("one")  # although there is no extractor to tell
    assert await running.store.keys("models/one/") == []
    assert await running.store.keys("models/two/") != []
    for call in (running.trainer.model, running.trainer.delete_model, running.trainer.evaluate):
        with pytest.raises(ModelNotFound):
            await call("one")


async def test_a_model_without_index_cannot_be_evaluated(running: System) -> None:
    await running.indexer.create_library(LibraryCreate(name="shop"))
    await add(running, card("one"))
    with pytest.raises(Conflict, match=r"promote it first with `POST /models/one/promote`"):
        await running.trainer.evaluate("one")
    with pytest.raises(BlobNotFound):
        await running.trainer.evaluate("one", "uploads/nothing")
    with pytest.raises(BadRequest):
        await running.trainer.evaluate("one", "models/one/card.json")


async def test_an_evaluation_is_not_begun_for_ever(running: System) -> None:
    await add(running, card("one"))
    job = await running.pool.fetchval(
        "INSERT INTO jobs (kind, payload, progress) VALUES ('evaluate', $1, $2) RETURNING id",
        {"model": "one", "queries": None},
        {"attempt": running.settings.job_attempts},
    )
    ended = await running.ended(await running.rows.get(str(job)), 10)
    assert ended.state is JobState.FAILED
    assert ended.error is not None and "never came to its end" in ended.error["detail"]


async def points(running: System, job: str, numbers: range, *, pace: float = 0.1) -> None:
    run = TrainingRun(
        job=job,
        library="shop",
        model=f"model-{job[-1]}",
        network="alexnet",
        recipe="head",
        device="cpu",
        machine="test",
        started_at=datetime(2026, 1, int(job[-1]), tzinfo=UTC),
        iterations_per_second=None,
        points=[],
    )
    new = [
        CurvePoint(iteration=n, seconds=n * pace, loss=1 / (n + 1), training_accuracy=n / 10_000)
        for n in numbers
    ]
    async with running.pool.acquire() as connection:
        await curves.begin(connection, run)
        await curves.rewind(connection, job, numbers[0])
        await curves.add(connection, job, new)


async def test_curves_of_several_runs(running: System) -> None:
    await points(running, JOB[:-1] + "1", range(0, 5000, 2))
    await points(running, JOB[:-1] + "2", range(500), pace=0.2)
    await points(running, JOB[:-1] + "3", range(1))
    first, second, third = (await running.trainer.training_curves({"library": "shop"})).runs
    # Thinned to 500 points at most, with both ends, evenly spaced.
    iterations = [point.iteration for point in first.points]
    assert 400 < len(iterations) <= 500
    assert (iterations[0], iterations[-1]) == (0, 4998)
    assert len({b - a for a, b in pairwise(iterations[:-1])}) == 1
    assert second.points[-1].iteration == 499
    assert second.points[-1].training_accuracy == pytest.approx(0.0499)
    assert first.iterations_per_second == pytest.approx(10, rel=1e-4)
    assert second.iterations_per_second == pytest.approx(5, rel=1e-4)
    assert third.iterations_per_second is None
    one = (await running.trainer.training_curves({"model": "model-2"})).runs
    assert [run.job for run in one] == [second.job]
    assert (await running.trainer.training_curves({"job": second.job})).runs == [second]
    assert (await running.trainer.training_curves({"library": "zoo"})).runs == []
    with pytest.raises(InvalidRequest):
        await running.trainer.training_curves({"job": "not-an-id"})


async def test_a_resumed_run_continues_its_curve(running: System) -> None:
    await points(running, JOB, range(100))
    await points(running, JOB, range(60, 80), pace=0.3)
    (run,) = (await running.trainer.training_curves({"job": JOB})).runs
    assert [point.iteration for point in run.points] == list(range(80))
    assert run.points[59].seconds == pytest.approx(5.9)
    assert run.points[60].seconds == pytest.approx(18)


async def test_leftovers_of_ended_jobs_are_swept_at_start(running: System) -> None:
    """Those of open jobs stay: somebody goes on from them."""
    await running.stop("trainer")
    gone, ended, still_open = (str(uuid.uuid4()) for _ in range(3))
    for job, state in [(ended, JobState.FAILED), (still_open, JobState.QUEUED)]:
        await running.pool.execute(
            "INSERT INTO jobs (id, kind, state, payload, not_before) VALUES ($1, $2, $3, '{}', $4)",
            uuid.UUID(job),
            JobKind.TRAIN.value,
            state.value,
            datetime.now(UTC) + timedelta(hours=1),
        )
    assert running.settings.data_dir is not None
    scratch = running.settings.data_dir / "scratch"
    (scratch / "someone elses").mkdir(parents=True)
    (scratch / "weights-1").mkdir()
    os.utime(scratch / "weights-1", (0, 0))
    for job in (gone, ended, still_open):
        (scratch / job).mkdir()
        (scratch / job / "features").write_bytes(b"1")
        await running.store.put(f"checkpoints/{job}/training.pt", b"1")
        await running.store.put(f"uploads/evaluate/{job}/1", b"1")
    await running.start("trainer", trainer.app.create_app)
    assert {path.name for path in scratch.iterdir()} == {still_open, "someone elses"}
    assert await running.store.keys("checkpoints/") == [f"checkpoints/{still_open}/training.pt"]
    assert await running.store.keys("uploads/") == [f"uploads/evaluate/{still_open}/1"]


async def test_metrics_are_served(running: System) -> None:
    text = (await running.client("trainer").bytes("GET", "/metrics")).decode()
    for name in (
        "kinsight_training_iterations_total",
        "kinsight_training_iterations_per_second",
        "kinsight_training_loss",
        "kinsight_training_images_per_second",
    ):
        assert f"\n{name} " in text, name
    assert 'kinsight_trainer_jobs_running{kind="train"}' in text
