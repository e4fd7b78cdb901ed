"""kill -9 of every part, five times each, during training: the job goes on from its checkpoint."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from faults.killing import TARGETS, Killer
from faults.small_network import SMALL_ALEXNET
from kinsight.clients import Kinsight
from kinsight.contracts.jobs import Job, JobState
from kinsight.local.instance import Instance
from kinsight.local.sample import sample_zip

KILLS = 5
EPOCHS = 60


def iteration(job: Job) -> float:
    return float((job.progress.model_extra or {}).get("iteration") or 0)


@pytest.mark.slow
async def test_kills_during_training(instance: Instance, tmp_path: Path) -> None:
    with Kinsight(instance.url) as client:
        killer = Killer(instance, client)
        archive = sample_zip(tmp_path / "sample.zip")
        ingest = await asyncio.to_thread(client.index_batch, "trained", [archive])
        assert (await killer.end_of(ingest.id)).state is JobState.SUCCEEDED
        targets = [target for _ in range(KILLS) for target in TARGETS]
        jobs: list[str] = []
        while targets:
            job = await asyncio.to_thread(
                client.train,
                "trained",
                "alexnet",
                SMALL_ALEXNET,
                "fine-tune",
                {"epochs": EPOCHS, "mirror": False, "checkpoint_seconds": 1},
            )
            jobs.append(job.id)
            while targets and not (await killer.beyond(job.id, iteration)).state.ended:
                await killer.kill(targets.pop())
            done = await killer.end_of(job.id)
            assert done.state is JobState.SUCCEEDED, done.error
            assert done.result is not None
            assert done.result["epochs"] == EPOCHS
        assert killer.kills == dict.fromkeys(TARGETS, KILLS)
        models = await asyncio.to_thread(client.models, "trained")
        library = await asyncio.to_thread(client.library, "trained")
    assert len(models) == len(jobs), "each job made exactly one model"
    assert library.model in {model.id for model in models}
    assert library.indexed == library.images == 1497
    await check_curves(instance, jobs)


async def check_curves(instance: Instance, jobs: list[str]) -> None:
    """A resumed run continues its curve: iterations rise, and so do the seconds."""
    connection = await asyncpg.connect(instance.database_url)
    try:
        for job in jobs:
            points = await connection.fetch(
                "SELECT iteration, seconds FROM training_points"
                " WHERE job_id = $1::text::uuid ORDER BY iteration",
                job,
            )
            seconds = [point["seconds"] for point in points]
            assert len(points) > 1
            assert seconds == sorted(seconds)
    finally:
        await connection.close()
