"""A whole Kinsight over RabbitMQ: kill -9 of the broker, the indexer and the trainer during jobs.

Each job ends exactly once in effect. KINSIGHT_FAULTS_ROUNDS makes it longer: ten jobs and one kill
of each in a round.
"""

from __future__ import annotations

import asyncio
import functools
import io
import os
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import numpy as np
import pytest
from PIL import Image

from faults.killing import Killer
from faults.small_network import SMALL_ALEXNET
from kinsight.clients import Kinsight
from kinsight.contracts.jobs import Job, JobState
from kinsight.errors import Unavailable
from kinsight.local.instance import Instance, UpOptions, running
from kinsight.local.sample import sample_zip
from rabbitmq_node import RabbitNode

ROUNDS = int(os.environ.get("KINSIGHT_FAULTS_ROUNDS", "1"))
INGESTS, FILES = 9, 60  # in a round, and in each of them; the tenth job is a training


@pytest.fixture
async def instance(
    rabbitmq: RabbitNode, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Instance]:
    options = UpOptions(
        data_dir=tmp_path_factory.mktemp("faults"),
        port=0,
        environment={
            "KINSIGHT_BROKER_URL": rabbitmq.url(await rabbitmq.vhost()),
            "KINSIGHT_JOB_LEASE_SECONDS": "2",
        },
    )
    async with running(options) as started:
        yield started


@pytest.mark.slow
async def test_kills_with_rabbitmq(
    instance: Instance, rabbitmq: RabbitNode, tmp_path: Path
) -> None:
    with Kinsight(instance.url) as client:
        killer = Killer(instance, client)
        sample = await asyncio.to_thread(client.index_batch, "digits", [sample_zip(tmp_path / "z")])
        assert (await killer.end_of(sample.id)).state is JobState.SUCCEEDED
        jobs: list[Job] = []
        for round_ in range(ROUNDS):
            archives = [noise(tmp_path / f"{n}.zip", round_ * INGESTS + n) for n in range(INGESTS)]
            ingests = [
                functools.partial(client.index_batch, "noise", [archive], idempotency_key=key)
                for archive, key in zip(archives, keys("ingest", round_), strict=True)
            ]
            training = functools.partial(
                client.train,
                "digits",
                "alexnet",
                SMALL_ALEXNET,
                "fine-tune",
                {"epochs": 1, "mirror": False},
                then="nothing",
                idempotency_key=f"train-{round_}",
            )
            jobs += [await accepted(ask) for ask in (training, *ingests[:5])]
            await rabbitmq.kill()
            restarting = asyncio.create_task(rabbitmq.start())
            try:
                await asyncio.gather(killer.kill("indexer"), killer.kill("trainer"))
                jobs += [await accepted(ask) for ask in ingests[5:]]
            finally:
                await restarting
            for job in jobs[-10:]:
                ended = await killer.end_of(job.id)
                assert ended.state is JobState.SUCCEEDED, ended.error
        models = await asyncio.to_thread(client.models, "digits")
    assert len({job.id for job in jobs}) == len(jobs) == ROUNDS * (INGESTS + 1)
    assert len(models) == ROUNDS, "each training made exactly one model"
    assert killer.kills["indexer"] == killer.kills["trainer"] == ROUNDS
    await check(instance)


def keys(kind: str, round_: int) -> list[str]:
    return [f"{kind}-{round_}-{number}" for number in range(INGESTS)]


async def accepted(ask: Callable[[], Job]) -> Job:
    """Sent again under the same key until somebody is there to take it."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await asyncio.to_thread(ask)
            except Unavailable:
                await asyncio.sleep(0.2)


async def check(instance: Instance) -> None:
    """Every file has one outcome, every picture one row, and no announcement is left over."""
    connection = await asyncpg.connect(instance.database_url)
    try:
        images = await connection.fetchval(
            "SELECT count(*) FROM images i JOIN libraries l ON l.id = library_id"
            " WHERE l.name = 'noise'"
        )
        ledger = await connection.fetchrow(
            "SELECT count(*), count(DISTINCT (job_id, number)) AS different FROM ingest_items"
            " JOIN jobs ON jobs.id = job_id WHERE library = 'noise' AND outcome = 'stored'"
        )
        claims = await connection.fetchrow("SELECT count(*), sum(fencing) FROM jobs")
        print(f"{claims['count']} jobs, claimed {claims['sum']} times; {images} images, once each")
        assert images == ledger["count"] == ledger["different"] == ROUNDS * INGESTS * FILES
        async with asyncio.timeout(30):
            while await connection.fetchval("SELECT count(*) FROM job_outbox"):
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


def noise(path: Path, seed: int) -> Path:
    """FILES pictures that are nowhere else."""
    rng = np.random.default_rng(seed)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(FILES):
            buffer = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8)).save(buffer, "PNG")
            archive.writestr(f"grain/{seed}-{number}.png", buffer.getvalue())
    return path
