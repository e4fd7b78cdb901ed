"""What a training process says while what it said before is being written."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kinsight.contracts.models import TrainRequest
from kinsight.database import Pool, open_pool
from trainer.jobs.hearing import Hearing

JOB = str(uuid.uuid4())


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with await open_pool(database_url, size=1) as opened:
        yield opened


@pytest.fixture
def hearing() -> Hearing:
    return Hearing(TrainRequest(library="shop"), "model", JOB)


def progress(**facts: Any) -> dict[str, Any]:
    return {"event": "progress", "progress": {"unit": "iterations", "done": 0, **facts}}


def point(iteration: int) -> dict[str, Any]:
    return {"event": "curve", "point": {"iteration": iteration, "seconds": 1.0, "loss": 2.0}}


async def write(pool: Pool, hearing: Hearing, *meanwhile: dict[str, Any]) -> None:
    """meanwhile: events that come after the writing and before it is committed."""
    async with pool.acquire() as connection, connection.transaction():
        await hearing.write(connection)
        for event in meanwhile:
            hearing.take(event)
    hearing.written()


async def points(pool: Pool) -> list[int]:
    return [
        row["iteration"]
        for row in await pool.fetch("SELECT iteration FROM training_points ORDER BY iteration")
    ]


async def test_a_device_told_before_a_commit_is_written_with_the_next(
    pool: Pool, hearing: Hearing
) -> None:
    await write(pool, hearing, progress(device="cpu", machine="mill"), point(1))
    assert await points(pool) == []
    await write(pool, hearing)
    assert await pool.fetchval("SELECT device FROM training_runs") == "cpu"
    assert await points(pool) == [1]


async def test_points_that_come_before_a_commit_are_written_with_the_next(
    pool: Pool, hearing: Hearing
) -> None:
    hearing.take(progress(device="cpu", machine="mill"))
    hearing.take(point(1))
    await write(pool, hearing, point(2), point(3))
    assert await points(pool) == [1]
    await write(pool, hearing)
    assert await points(pool) == [1, 2, 3]


async def test_a_device_told_after_the_first_points_is_added_to_the_run(
    pool: Pool, hearing: Hearing
) -> None:
    hearing.take(point(1))
    await write(pool, hearing, progress(device="cuda:0", machine="mill"))
    assert await pool.fetchval("SELECT device FROM training_runs") == ""
    await write(pool, hearing)
    assert await pool.fetchval("SELECT device FROM training_runs") == "cuda:0"
    assert await points(pool) == [1]
