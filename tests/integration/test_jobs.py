"""Jobs on a real Postgres: claimed once, kept alive, taken over, cancelled, fenced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from kinsight.broker import Broker, open_broker
from kinsight.contracts.jobs import Job, JobKind, JobState, Progress
from kinsight.database import Pool, open_pool
from kinsight.errors import (
    IdempotencyMismatch,
    JobFinished,
    JobNotFound,
    LeaseLost,
    TooFewClasses,
    Unavailable,
)
from kinsight.jobs import Handler, JobContext, JobRows, Worker

LEASE = 0.4


@dataclass
class Bench:
    pool: Pool
    broker: Broker
    rows: JobRows

    def worker(self, handler: Handler, **options: Any) -> Worker:
        options = {"lease_seconds": LEASE, "attempts": 5, **options}
        return Worker(self.rows, self.broker, {JobKind.TRAIN: handler}, **options)

    async def until(self, job: Job, good: Callable[[Job], bool]) -> Job:
        async with asyncio.timeout(15):
            while not good(found := await self.rows.get(job.id)):
                await asyncio.sleep(0.02)
        return found


@pytest.fixture
async def bench(database_url: str) -> AsyncIterator[Bench]:
    async with await open_pool(database_url) as pool:
        broker = open_broker(None, pool)
        await broker.start()
        yield Bench(pool, broker, JobRows(pool, broker))
        await broker.close()


async def answer(context: JobContext) -> dict[str, Any]:
    await context.progress(Progress(done=3, total=3))
    return {"answer": 42}


async def test_job_runs_to_its_result(bench: Bench) -> None:
    worker = bench.worker(answer)
    worker.start()
    job = await bench.rows.submit(JobKind.TRAIN, {"x": 1}, library="shop")
    done = await bench.until(job, lambda j: j.state.ended)
    await worker.stop()
    assert (done.state, done.result, done.progress.done) == (
        JobState.SUCCEEDED,
        {"answer": 42},
        3,
    )


async def test_each_job_runs_once_among_many_workers(bench: Bench) -> None:
    ran: list[str] = []

    async def handler(context: JobContext) -> dict[str, Any]:
        ran.append(context.claim.id)
        return {}

    workers = [bench.worker(handler, slots=2) for _ in range(3)]
    for worker in workers:
        worker.start()
    jobs = [await bench.rows.submit(JobKind.TRAIN, {}) for _ in range(30)]
    for job in jobs:
        await bench.until(job, lambda j: j.state.ended)
    for worker in workers:
        await worker.stop()
    assert sorted(ran) == sorted(job.id for job in jobs)


async def test_same_key_makes_one_job(bench: Bench) -> None:
    first = await bench.rows.submit(JobKind.TRAIN, {}, idempotency_key="k")
    assert (await bench.rows.submit(JobKind.TRAIN, {}, idempotency_key="k")).id == first.id
    with pytest.raises(IdempotencyMismatch):
        await bench.rows.submit(JobKind.INGEST, {}, idempotency_key="k")


async def test_job_of_a_dead_worker_is_taken_over_and_the_dead_one_is_fenced(bench: Bench) -> None:
    job = await bench.rows.submit(JobKind.TRAIN, {})
    dead = await bench.rows.claim([JobKind.TRAIN], "dead", LEASE, 5)
    assert dead is not None
    assert await bench.rows.claim([JobKind.TRAIN], "early", LEASE, 5) is None
    worker = bench.worker(answer)
    worker.start()
    await bench.until(job, lambda j: j.state.ended)
    await worker.stop()
    with pytest.raises(LeaseLost):
        await bench.rows.renew(dead, LEASE)
    with pytest.raises(LeaseLost):
        await bench.rows.finish(dead, JobState.FAILED)
    with pytest.raises(LeaseLost):
        async with bench.pool.acquire() as connection, connection.transaction():
            await bench.rows.guard(connection, dead)
    assert (await bench.rows.get(job.id)).result == {"answer": 42}


async def test_running_job_is_cancelled_within_two_seconds(bench: Bench) -> None:
    stopped = asyncio.Event()

    async def handler(context: JobContext) -> dict[str, Any]:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()
        return {}

    worker = bench.worker(handler)
    worker.start()
    job = await bench.rows.submit(JobKind.TRAIN, {})
    await bench.until(job, lambda j: j.state is JobState.RUNNING)
    asked = await bench.rows.cancel(job.id)
    assert asked.cancel_requested
    with pytest.raises(JobFinished, match="being cancelled already"):
        await bench.rows.cancel(job.id)
    async with asyncio.timeout(2):
        await bench.until(job, lambda j: j.state is JobState.CANCELLED)
    assert stopped.is_set()
    with pytest.raises(JobFinished, match="has cancelled already"):
        await bench.rows.cancel(job.id)
    await worker.stop()


async def test_queued_job_is_cancelled_at_once(bench: Bench) -> None:
    job = await bench.rows.submit(JobKind.TRAIN, {})
    assert (await bench.rows.cancel(job.id)).state is JobState.CANCELLED


async def test_known_error_becomes_the_jobs_problem(bench: Bench) -> None:
    async def handler(context: JobContext) -> dict[str, Any]:
        raise TooFewClasses("Only one class.", classes=["hat"])

    worker = bench.worker(handler)
    worker.start()
    job = await bench.rows.submit(JobKind.TRAIN, {})
    done = await bench.until(job, lambda j: j.state.ended)
    await worker.stop()
    assert done.state is JobState.FAILED
    assert done.error is not None
    assert (done.error["code"], done.error["status"]) == ("too-few-classes", 422)
    assert done.error["classes"] == ["hat"]


async def test_service_that_is_away_is_waited_for(bench: Bench) -> None:
    attempts = 0

    async def handler(context: JobContext) -> dict[str, Any]:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise Unavailable
        return {"attempts": attempts}

    worker = bench.worker(handler)
    worker.start()
    job = await bench.rows.submit(JobKind.TRAIN, {})
    done = await bench.until(job, lambda j: j.state.ended)
    await worker.stop()
    assert done.result == {"attempts": 3}


async def test_stopping_worker_leaves_its_job_to_the_next(bench: Bench) -> None:
    began = asyncio.Event()

    async def endless(context: JobContext) -> dict[str, Any]:
        began.set()
        await asyncio.sleep(60)
        return {}

    first = bench.worker(endless)
    first.start()
    job = await bench.rows.submit(JobKind.TRAIN, {})
    await asyncio.wait_for(began.wait(), 10)
    await first.stop()
    second = bench.worker(answer)
    second.start()
    assert (await bench.until(job, lambda j: j.state.ended)).result == {"answer": 42}
    await second.stop()


async def test_job_that_kills_its_workers_is_buried(bench: Bench) -> None:
    job = await bench.rows.submit(JobKind.TRAIN, {})
    for _ in range(3):
        claim = None
        async with asyncio.timeout(5):
            while claim is None:
                claim = await bench.rows.claim([JobKind.TRAIN], "doomed", 0.05, 3)
                await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)  # the last lease runs out
    assert await bench.rows.claim([JobKind.TRAIN], "next", LEASE, 3) is None
    done = await bench.rows.get(job.id)
    assert done.state is JobState.FAILED
    assert done.error is not None
    assert done.error["code"] == "worker-lost"


async def test_progress_forgives_earlier_attempts(bench: Bench) -> None:
    job = await bench.rows.submit(JobKind.TRAIN, {})
    for round_ in range(6):
        claim = None
        async with asyncio.timeout(5):
            while claim is None:
                claim = await bench.rows.claim([JobKind.TRAIN], "killed", 0.05, 3)
                await asyncio.sleep(0.02)
        await bench.rows.progress(claim, Progress(done=round_ + 1))
    assert (await bench.rows.get(job.id)).state is JobState.RUNNING


async def test_pages_go_from_new_to_old(bench: Bench) -> None:
    made = [(await bench.rows.submit(JobKind.TRAIN, {})).id for _ in range(5)]
    seen: list[str] = []
    token = None
    while True:
        page = await bench.rows.page(
            kind=JobKind.TRAIN, state=None, library=None, page_size=2, page_token=token
        )
        seen += [job.id for job in page.jobs]
        token = page.next_page_token
        if token is None:
            break
    assert seen == made[::-1]


@pytest.mark.parametrize("job_id", ["nonsense", "00000000-0000-0000-0000-000000000000"])
async def test_unknown_job(bench: Bench, job_id: str) -> None:
    with pytest.raises(JobNotFound):
        await bench.rows.get(job_id)
