"""kill -9 of RabbitMQ and of the workers while jobs run: every job ends exactly once in effect.

KINSIGHT_FAULTS_JOBS and KINSIGHT_FAULTS_KILLS make it longer.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from faults import job_worker
from kinsight.broker import open_broker
from kinsight.contracts.jobs import JobKind
from kinsight.database import Pool, open_pool
from kinsight.jobs import JobRows
from rabbitmq_node import RabbitNode

JOBS = int(os.environ.get("KINSIGHT_FAULTS_JOBS", "60"))
KILLS = int(os.environ.get("KINSIGHT_FAULTS_KILLS", "3"))  # of the broker, and as many of workers
WORKERS = 2
_PATIENCE_SECONDS = 120.0


@dataclass
class Workers:
    """Processes that take each other's jobs over."""

    command: list[str]
    log: Path
    kills: int = 0
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.processes.append(subprocess.Popen(self.command, stdout=log, stderr=log))

    def replace(self) -> None:
        """kill -9 of the oldest, and a new one."""
        oldest = self.processes.pop(0)
        assert oldest.poll() is None, self.log.read_text()[-3000:]
        oldest.send_signal(signal.SIGKILL)
        oldest.wait()
        self.kills += 1
        self.start()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """The oldest stands still, for longer than its lease, and then goes on as if it held it."""
        oldest = self.processes[0]
        oldest.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        try:
            yield
            time.sleep(max(0.0, began + 2 * job_worker.LEASE_SECONDS - time.monotonic()))
        finally:
            oldest.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with await open_pool(database_url) as opened:
        await opened.execute(job_worker.EFFECTS)
        yield opened


@pytest.mark.slow
async def test_kills_of_rabbitmq(
    rabbitmq: RabbitNode, database_url: str, pool: Pool, tmp_path: Path
) -> None:
    url = rabbitmq.url(await rabbitmq.vhost())
    bench = Bench(pool, JobRows(pool, open_broker(url, pool)))
    command = [sys.executable, str(Path(job_worker.__file__)), database_url, url]
    workers = Workers(command, tmp_path / "workers.log")
    for _ in range(WORKERS):
        workers.start()
    kills = 0
    try:
        for round_ in range(KILLS):
            first, end = round_ * JOBS // KILLS, (round_ + 1) * JOBS // KILLS
            away = (first + end) // 2
            await bench.submit_until_at_work(first, away)
            await rabbitmq.kill()
            kills += 1
            workers.replace()
            with workers.suspended():
                await bench.submit(away, end)
                await rabbitmq.start()
        await bench.until("SELECT NOT EXISTS (SELECT FROM jobs WHERE finished_at IS NULL)")
        await bench.until("SELECT NOT EXISTS (SELECT FROM job_outbox)")
    finally:
        workers.stop()
        if not rabbitmq.running:
            await rabbitmq.start()
    assert kills == workers.kills == KILLS
    await bench.check()


@dataclass
class Bench:
    pool: Pool
    rows: JobRows

    async def submit(self, first: int, end: int) -> None:
        for number in range(first, end):
            await self.rows.submit(JobKind.INGEST, {"number": number})

    async def submit_until_at_work(self, first: int, end: int) -> None:
        """Until a job is in the middle of its batches, or all are done before that was seen."""
        await self.submit(first, end)
        await self.until(
            "SELECT EXISTS (SELECT FROM jobs WHERE state = 'running'"
            f" AND (progress->>'done')::int BETWEEN 1 AND {job_worker.BATCHES - 1})"
            " OR NOT EXISTS (SELECT FROM jobs WHERE finished_at IS NULL)"
        )

    async def until(self, query: str) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not await self.pool.fetchval(query):
            if time.monotonic() > deadline:
                states = await self.pool.fetch("SELECT state, count(*) FROM jobs GROUP BY 1")
                pytest.fail(f"in vain: {query}; jobs: {[tuple(row) for row in states]}")
            await asyncio.sleep(0.02)

    async def check(self) -> None:
        jobs = await self.pool.fetch("SELECT state, count(*), sum(fencing) FROM jobs GROUP BY 1")
        effects = await self.pool.fetchrow(
            "SELECT count(*), count(DISTINCT (job_id, batch)) AS different FROM effects"
        )
        for row in jobs:
            print(f"{row['count']} jobs {row['state']}, claimed {row['sum']} times in all;")
        print(f"{effects['count']} effects, {effects['different']} different; {KILLS} kills each")
        assert [(row["state"], row["count"]) for row in jobs] == [("succeeded", JOBS)]
        assert effects["count"] == effects["different"] == JOBS * job_worker.BATCHES
