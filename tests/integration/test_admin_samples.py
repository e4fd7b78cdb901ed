"""What the SLA report is measured from: taken, summed up, thinned, on a real Postgres."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI

import admin.app
from admin import samples
from admin.samples import Measured
from integration.serving import System, eventually, system
from kinsight.clients.admin import AdminClient
from kinsight.database import Pool, open_pool
from kinsight.errors import InvalidRequest
from kinsight.web.service import create_service
from kinsight.web.settings import Settings


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with await open_pool(database_url) as opened:
        yield opened


async def insert(
    pool: Pool,
    now: datetime,
    ago_seconds: float,
    *,
    ready: bool = True,
    searches: int = 0,
    slow: int = 0,
) -> None:
    """A sample: `searches` below 0.1 s, and `slow` ones below 1 s."""
    buckets = {"0.1": searches, "1.0": searches + slow, "+Inf": searches + slow}
    await pool.execute(
        "INSERT INTO sla_samples VALUES ($1, $2, $3, 0, $4, $5, $6)",
        now - timedelta(seconds=ago_seconds),
        ready,
        searches + slow,
        100.0 * searches,
        0.01 * searches,
        buckets if searches + slow else {},
    )


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


async def measured(pool: Pool, hours: float = 24) -> Measured:
    return await samples.measured(pool, hours, 5)


async def test_samples_add_up(pool: Pool, now: datetime) -> None:
    for ago in range(300, 0, -5):
        await insert(pool, now, ago, searches=2, slow=1)
    found = await measured(pool)
    assert (found.samples, found.searches, found.failures) == (60, 180, 0)
    assert found.rows_compared == pytest.approx(12_000)
    assert found.search_seconds == pytest.approx(1.2)
    assert found.buckets == {0.1: 120, 1.0: 180, math.inf: 180}
    assert found.since == found.searching_since == now - timedelta(seconds=300)
    assert found.ready_share == pytest.approx(1.0, abs=0.02)


async def test_no_samples_measure_nothing(pool: Pool) -> None:
    found = await measured(pool)
    assert (found.samples, found.since, found.ready_share) == (0, None, None)
    assert found.buckets == {}


async def test_samples_before_the_window_do_not_count(pool: Pool, now: datetime) -> None:
    await insert(pool, now, 7200, searches=50)
    await insert(pool, now, 10, searches=3)
    assert (await measured(pool, hours=1)).searches == 3


async def test_uptime_is_lost_when_a_service_is_not_ready(pool: Pool, now: datetime) -> None:
    for ago in range(1000, 0, -5):
        await insert(pool, now, ago, ready=not 250 < ago <= 500)
    assert (await measured(pool)).ready_share == pytest.approx(0.75, abs=0.02)


async def test_uptime_is_lost_while_nobody_measures(pool: Pool, now: datetime) -> None:
    for ago in [*range(1000, 800, -5), *range(200, 0, -5)]:
        await insert(pool, now, ago)
    assert (await measured(pool)).ready_share == pytest.approx(0.4, abs=0.02)


async def test_the_first_start_is_no_outage(pool: Pool, now: datetime) -> None:
    for ago in range(1000, 0, -5):
        await insert(pool, now, ago, ready=ago <= 500)
    assert (await measured(pool)).ready_share == pytest.approx(1.0, abs=0.02)
    # Later ones are: a window that begins within one does not hide it.
    await insert(pool, now, 4000)
    assert (await measured(pool, hours=1)).ready_share == pytest.approx(0.5, abs=0.02)


async def test_thinning_changes_no_figure(pool: Pool, now: datetime) -> None:
    for ago in range(7200, 0, -5):
        await insert(pool, now, ago, ready=not 3600 < ago < 3640, searches=ago % 3, slow=ago % 2)
    before = await measured(pool)
    await samples.thin(pool, after_hours=0.25, keep_days=30)
    after = await measured(pool)
    assert after.samples < before.samples / 4
    assert after.ready_share == pytest.approx(before.ready_share, abs=0.01)
    for figure in ("searches", "failures", "rows_compared", "search_seconds", "buckets"):
        assert getattr(after, figure) == pytest.approx(getattr(before, figure)), figure
    await samples.thin(pool, after_hours=0.25, keep_days=30)
    assert (await measured(pool)).samples == after.samples


async def test_old_samples_are_deleted(pool: Pool, now: datetime) -> None:
    await insert(pool, now, 86_400 * 31, searches=1)
    await insert(pool, now, 86_400 * 29, searches=1)
    await samples.thin(pool, after_hours=24, keep_days=30)
    assert await pool.fetchval("SELECT count(*) FROM sla_samples") == 1


def _gateway(settings: Settings) -> FastAPI:
    """A service with the gateway's name and metrics, and searches that take a moment."""
    from contextlib import asynccontextmanager

    router = APIRouter()

    @router.post("/search")
    async def search(fail: bool = False) -> dict[str, str]:
        if fail:
            raise RuntimeError("as a bug would")
        return {}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield

    async def ready(_: FastAPI) -> None:
        return None

    return create_service("gateway", settings, lifespan=lifespan, routers=[router], ready=ready)


@pytest.fixture
async def sampled(database_url: str, tmp_path: Path) -> AsyncIterator[System]:
    async with system(database_url, tmp_path, sla_sample_seconds=0.05) as running:
        await running.start("gateway", _gateway)
        await running.start("admin", admin.app.create_app)
        yield running


async def test_searches_are_found_in_the_report(sampled: System) -> None:
    async def taken() -> bool:
        return bool(await sampled.pool.fetchval("SELECT count(*) > 0 FROM sla_samples"))

    await eventually(taken)
    for _ in range(19):
        await sampled.client("gateway").json("POST", "/search")
    with pytest.raises(Exception, match="failed"):
        await sampled.client("gateway").json("POST", "/search?fail=true")

    async def counted() -> bool:
        return (await measured(sampled.pool)).searches == 20

    await eventually(counted)
    report = await AdminClient(sampled.client("admin")).sla(hours=1)
    found = {requirement.name: requirement for requirement in report.requirements}
    assert found["searches answered"].value == pytest.approx(95.0)
    assert found["searches answered"].ok is False
    assert found["p99 response"].ok is True
    assert found["p99 response"].measurements == 20
    # The indexer and the trainer are away: that is said, and the rest is reported all the same.
    assert found["P@10"].ok is None
    assert found["P@10"].advice is not None and "does not answer" in found["P@10"].advice
    assert found["uptime"].value == 0
    assert report.ok is False


async def test_hours_out_of_range_are_refused(sampled: System) -> None:
    with pytest.raises(InvalidRequest, match="hours"):
        await AdminClient(sampled.client("admin")).sla(hours=0)
