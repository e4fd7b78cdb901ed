"""What the gateway sees of waiting and running jobs, on a real Postgres."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from kinsight.broker import open_broker
from kinsight.contracts.jobs import Job, JobKind, JobState, Progress
from kinsight.database import Pool, open_pool
from kinsight.jobs import JobRows


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with await open_pool(database_url) as opened:
        yield opened


@pytest.fixture
def rows(pool: Pool) -> JobRows:
    return JobRows(pool, open_broker(None, pool))


async def age(pool: Pool, job: Job, column: str, seconds: float) -> None:
    await pool.execute(
        f"UPDATE jobs SET {column} = now() - make_interval(secs => $2) WHERE id = $1",
        uuid.UUID(job.id),
        seconds,
    )


async def test_the_oldest_job_that_could_be_begun_is_what_waits(pool: Pool, rows: JobRows) -> None:
    assert await rows.waiting() == {}
    for seconds in (100, 300):
        job = await rows.submit(JobKind.TRAIN, {})
        await age(pool, job, "created_at", seconds)
        await age(pool, job, "not_before", seconds)
    (waits,) = (await rows.waiting()).items()
    assert waits == (JobKind.TRAIN, pytest.approx(300, abs=20))


async def test_a_job_put_back_waits_from_when_it_may_be_claimed(pool: Pool, rows: JobRows) -> None:
    job = await rows.submit(JobKind.INGEST, {})
    await age(pool, job, "created_at", 500)
    claim = await rows.claim([JobKind.INGEST], "worker", 60, 5)
    assert claim is not None
    assert await rows.waiting() == {}  # somebody is at it
    await rows.release(claim, delay_seconds=60)
    assert await rows.waiting() == {JobKind.INGEST: 0.0}


async def test_a_job_whose_worker_is_lost_waits_again(pool: Pool, rows: JobRows) -> None:
    job = await rows.submit(JobKind.REINDEX, {})
    assert await rows.claim([JobKind.REINDEX], "worker", 60, 5)
    await age(pool, job, "lease_until", 200)
    assert (await rows.waiting())[JobKind.REINDEX] == pytest.approx(200, abs=20)


async def test_a_position_changes_with_progress_and_not_with_time(rows: JobRows) -> None:
    job = await rows.submit(JobKind.TRAIN, {})
    assert await rows.positions() == {}
    claim = await rows.claim([JobKind.TRAIN], "worker", 60, 5)
    assert claim is not None

    async def position(**progress: object) -> str:
        await rows.progress(claim, Progress.model_validate(progress))
        ((running, (kind, found)),) = (await rows.positions()).items()
        assert (running, kind) == (job.id, JobKind.TRAIN)
        return found

    first = await position(done=5, phase="training", iteration=5, elapsed_seconds=1)
    assert await position(done=5, phase="training", iteration=5, elapsed_seconds=2) == first
    assert await position(done=6, phase="training", iteration=6, elapsed_seconds=3) != first
    assert await position(done=5, phase="saving", iteration=5, elapsed_seconds=4) != first
    await rows.finish(claim, JobState.SUCCEEDED)
    assert await rows.positions() == {}
