"""Training and evaluation jobs with the real indexer, extractor and training process."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import psutil
import pytest

import feature_extractor.app
import indexer.app
import trainer.app
from integration.digits import LABELS, SMALL, digits, request
from integration.serving import System, archive, system
from kinsight.contracts.evaluation import Evaluation
from kinsight.contracts.jobs import Job, JobState
from kinsight.contracts.libraries import LibraryPatch
from kinsight.contracts.models import TrainingRun
from kinsight.errors import JobFinished
from kinsight.store import blob_key
from trainer import curves


@pytest.fixture
async def running(database_url: str, tmp_path: Path) -> AsyncIterator[System]:
    """Indexer, extractor and trainer, and a library of three digits."""
    async with system(database_url, tmp_path, job_lease_seconds=2.0) as started:
        await started.start("extractor", feature_extractor.app.create_app)
        await started.start("indexer", indexer.app.create_app)
        await started.start("trainer", trainer.app.create_app)
        await started.fill("digits", digits())
        yield started


async def leftovers(system: System) -> list[str]:
    scratch = [path.name for path in (system.settings.data_dir / "scratch").glob("*")]  # type: ignore[operator]
    return [
        *scratch,
        *await system.store.keys("checkpoints/"),
        *await system.store.keys("uploads/evaluate/"),
    ]


@pytest.mark.slow
async def test_train_promote_and_evaluate(running: System) -> None:
    seen: list[Job] = []

    def watch(job: Job) -> bool:
        seen.append(job)
        return job.state.ended

    job = await running.until(await running.trainer.train(request()), watch)
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.result is not None
    assert job.result["promoted"] is True
    assert job.result["trained_by"] == "a test"
    assert job.result["epochs"] == 4
    assert (await running.indexer.library("digits")).model == job.result["model"]
    reindex = await running.rows.get(job.result["reindex_job"])
    assert reindex.state is JobState.SUCCEEDED
    phases = {(found.progress.model_extra or {}).get("phase") for found in seen}
    assert {"starting", "indexing"} <= phases
    assert await leftovers(running) == []

    model = await running.trainer.model(job.result["model"])
    assert model.card.classes == list(LABELS)
    assert [listed.id for listed in (await running.trainer.models("digits")).models] == [model.id]
    found_curves = await running.trainer.training_curves({"model": model.id})
    assert found_curves.runs[0].points[-1].iteration == job.result["iterations"]
    assert found_curves.runs[0].device == model.card.device
    assert found_curves.runs[0].machine == model.card.machine

    files = digits("test", 10) | {"7/broken.png": b"no picture", "loose.png": b"no folder"}
    files |= {"unicorn/one.png": next(iter(digits("test", 11).values()))}
    files |= {"1/in the library.png": next(iter(digits().values()))}
    await running.store.put("uploads/queries", archive(files))
    job = await running.ended(await running.trainer.evaluate(model.id, "uploads/queries"))
    assert job.state is JobState.SUCCEEDED, job.error
    found = Evaluation(**(job.result or {}))
    assert (found.queries, found.skipped, found.near_duplicates) == (31, 2, 1)
    assert found.unknown_labels == {"unicorn": 1}
    assert len({(row.space, row.routing) for row in found.results}) == len(found.results) == 12
    assert await leftovers(running) == []
    assert (await running.trainer.model(model.id)).card.evaluation == job.result

    job = await running.ended(await running.trainer.evaluate(model.id, crops=10))
    assert job.state is JobState.SUCCEEDED, job.error
    found = Evaluation(**(job.result or {}))
    assert (found.queries, found.crops) == (model.card.validation_images, 10)


@pytest.mark.slow
async def test_cancelled_training_leaves_nothing(running: System) -> None:
    long = request(recipe_options={"epochs": 5000, "batch_size": 16, "checkpoint_seconds": 1})
    job = await running.trainer.train(long)

    async def checkpointed() -> bool:
        keys = await running.store.keys(f"checkpoints/{job.id}/")
        return any(not key.endswith(".ndjson") for key in keys)

    async with asyncio.timeout(60):
        while not await checkpointed():
            await asyncio.sleep(0.05)
    began = asyncio.get_running_loop().time()
    await running.rows.cancel(job.id)
    job = await running.ended(job, 10)
    assert asyncio.get_running_loop().time() - began < 5
    assert job.state is JobState.CANCELLED
    assert await leftovers(running) == []
    assert await running.store.keys("models/") == []
    assert (await running.trainer.models()).models == []
    assert (await running.indexer.library("digits")).model is None
    with pytest.raises(JobFinished):
        await running.rows.cancel(job.id)


@pytest.mark.slow
async def test_stopped_service_goes_on_from_the_checkpoint(running: System) -> None:
    """A service that stops puts the job back; the next one goes on where it was."""
    job = await running.trainer.train(
        request(recipe_options={"epochs": 5000, "batch_size": 16, "checkpoint_seconds": 1})
    )
    key = f"checkpoints/{job.id}/training.pt"
    async with asyncio.timeout(60):
        while await running.store.size(key) is None:
            await asyncio.sleep(0.05)
    process = training_process()
    assert process is not None
    process.kill()  # the service starts another one, which goes on from the checkpoint
    async with asyncio.timeout(60):
        while training_process() in (None, process):
            await asyncio.sleep(0.05)
    await running.stop("trainer")
    assert training_process() is None
    stopped = await running.rows.get(job.id)
    assert stopped.state is JobState.QUEUED
    before = (await read_curves(running, job)).points
    await running.start("trainer", trainer.app.create_app)
    resumed = await running.until(
        job,
        lambda found: (
            found.state.ended
            or (found.state is JobState.RUNNING and iteration(found) > iteration(stopped))
        ),
    )
    assert resumed.state is JobState.RUNNING, resumed.error
    await running.rows.cancel(job.id)
    await running.ended(job)
    after = (await read_curves(running, job)).points
    assert after[0] == before[0], "the curve goes on, it does not begin again"
    seconds = [point.seconds for point in after]
    assert seconds == sorted(seconds)


def training_process() -> psutil.Process | None:
    return next(iter(training_processes()), None)


def training_processes() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            alive = child.status() != psutil.STATUS_ZOMBIE
            if alive and "trainer.training.process" in child.cmdline():
                found.append(child)
    return found


@pytest.mark.slow
async def test_a_process_that_is_killed_again_and_again_fails_the_job(
    running: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    job = await running.ended(await running.trainer.train(request()), 20)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error["code"] == "training-lost"
    assert "memory" in job.error["detail"]
    assert await leftovers(running) == []


def iteration(job: Job) -> int:
    return int((job.progress.model_extra or {}).get("iteration") or 0)


async def read_curves(system: System, job: Job) -> TrainingRun:
    return (await curves.read(system.pool, job=UUID(job.id))).runs[0]


# To be seen in training on any machine.
LONG_ENOUGH = {"epochs": 40, "mirror": False, "batch_size": 16}


async def in_phase(running: System, job: Job, phase: str) -> Job:
    def there(found: Job) -> bool:
        return found.state.ended or (found.progress.model_extra or {}).get("phase") == phase

    found = await running.until(job, there)
    assert not found.state.ended, found.error
    return found


@pytest.mark.slow
async def test_cancelling_while_indexing_cancels_that_too(running: System) -> None:
    """The model is trained by then and stays; what is searched does not change."""
    job = await running.trainer.train(request(recipe_options=LONG_ENOUGH))
    await in_phase(running, job, "training")
    await running.stop("extractor")  # so that indexing waits for it
    indexing = (await in_phase(running, job, "indexing")).progress.model_extra or {}
    await running.rows.cancel(job.id)
    assert (await running.ended(job, 10)).state is JobState.CANCELLED
    assert (await running.ended(await running.rows.get(indexing["job"]), 10)).state == "cancelled"
    assert len((await running.trainer.models("digits")).models) == 1
    assert (await running.indexer.library("digits")).model is None
    assert await leftovers(running) == []


@pytest.mark.slow
async def test_failed_promotion_keeps_the_model(running: System) -> None:
    job = await running.trainer.train(request(recipe_options=LONG_ENOUGH))
    await in_phase(running, job, "training")
    await running.indexer.delete_library("digits")
    job = await running.ended(job)
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error["code"] == "library-not-found"
    (model,) = (await running.trainer.models()).models
    assert model.id in job.error["detail"]
    assert "is trained and kept" in job.error["detail"]
    assert await leftovers(running) == []


@pytest.mark.slow
async def test_a_worse_model_is_refused_and_the_job_says_so(running: System) -> None:
    """Ten crops in the index, and a picture that is gone from the store since."""
    images = (await running.indexer.images("digits", {"page_size": 1})).images
    await running.store.delete(blob_key(images[0].sha256))
    trained = {"epochs": 12, "batch_size": 16, "learning_rate": 0.05, "mirror": False}
    asked = request(crops=10, recipe_options=trained)
    job = await running.ended(await running.trainer.train(asked))
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.result is not None
    assert job.result["unreadable_images"] == 1
    assert job.result["unreadable_files"] == [images[0].filename]
    assert job.result["promoted"] is True
    assert job.result["gate"]["promoted"] is True
    first = job.result["model"]
    crops = await running.pool.fetchval("SELECT crops FROM indexes WHERE model_id = $1", first)
    assert crops == 10
    # So short a code and so little training that the floor is out of reach.
    await running.indexer.patch_library("digits", LibraryPatch(floor=1.0))
    untrained = request(
        network_options={**SMALL, "hash_bits": 8, "fc_width": 8},
        recipe_options={"epochs": 1, "batch_size": 16, "learning_rate": 1e-9},
    )
    job = await running.ended(await running.trainer.train(untrained))
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.result is not None
    assert job.result["promoted"] is False, job.result
    assert job.result["gate"]["p_at_10"] < 1
    assert "below the library's floor" in job.result["gate"]["reason"]
    assert job.result["gate"]["same_images"] is True
    assert (await running.indexer.library("digits")).model == first


@pytest.mark.slow
async def test_a_diverged_run_leaves_weights_to_go_on_from(running: System) -> None:
    # The weights shrink while the rate rises, and grow ninefold a step once it is too high.
    rising = {
        "epochs": 200,
        "batch_size": 16,
        "learning_rate": 10,
        "weight_decay": 1,
        "warmup": 0.9,
        "clip_norm": None,
        "mirror": False,
        "checkpoint_seconds": 0.1,
    }
    job = await running.ended(await running.trainer.train(request(recipe_options=rising)))
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error["code"] == "training-diverged"
    assert "try learning_rate 2 (a fifth of 10)" in job.error["detail"]
    assert job.error["iteration"] > 0
    assert job.error["weights"] in job.error["detail"]
    assert await leftovers(running) == []
    again = request(weights=job.error["weights"], then="nothing")
    job = await running.ended(await running.trainer.train(again))
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.result is not None
    assert (await running.trainer.model(job.result["model"])).card.weights == again.weights


@pytest.mark.slow
async def test_two_processes_train_a_job_and_survive_the_loss_of_one(
    running: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running.stop("trainer")
    monkeypatch.setenv("KINSIGHT_TRAINER_PROCESSES", "2")
    await running.start("trainer", trainer.app.create_app)
    options = {"epochs": 5000, "batch_size": 16, "checkpoint_seconds": 1}
    job = await running.trainer.train(request(recipe_options=options))
    async with asyncio.timeout(90):
        while await running.store.size(f"checkpoints/{job.id}/training.pt") is None:
            await asyncio.sleep(0.05)
    ranks = training_processes()
    assert len(ranks) == 2
    ranks[1].kill()
    before = iteration(await running.rows.get(job.id))
    resumed = await running.until(
        job,
        lambda found: (
            found.state.ended
            or (iteration(found) > before and len({*training_processes(), *ranks}) == 4)
        ),
    )
    assert resumed.state is JobState.RUNNING, resumed.error
    assert not any(rank.is_running() for rank in ranks)
    await running.rows.cancel(job.id)
    assert (await running.ended(job, 10)).state is JobState.CANCELLED
    assert training_processes() == []
    assert await leftovers(running) == []
