"""What every broker must do, run over the table of brokers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from kinsight.broker import BROKERS, Broker, open_broker
from kinsight.contracts.jobs import JobKind
from kinsight.database import Pool, open_pool
from rabbitmq_node import RabbitNode


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with await open_pool(database_url) as opened:
        yield opened


@pytest.fixture(params=sorted(BROKERS))
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def node(request: pytest.FixtureRequest, scheme: str) -> RabbitNode | None:
    return request.getfixturevalue("rabbitmq") if scheme.startswith("amqp") else None


@pytest.fixture
async def broker(scheme: str, node: RabbitNode | None, pool: Pool) -> AsyncIterator[Broker]:
    url = None
    if node:
        vhost = await node.vhost()
        url = node.tls_url(vhost) if scheme == "amqps" else node.url(vhost)
    opened = open_broker(url, pool)
    await opened.start()
    await listening(opened, pool)
    yield opened
    await opened.close()


async def listening(broker: Broker, pool: Pool) -> None:
    """Until an announcement is heard: the listener connects in the background."""
    async with asyncio.timeout(10):
        while True:
            async with pool.acquire() as connection:
                await broker.announce(connection, "probe", JobKind.EVALUATE)
            if await broker.wait([JobKind.EVALUATE], 0.2):
                break
    while await broker.wait([JobKind.EVALUATE], 0.1):
        pass


async def test_announcement_wakes_a_waiting_worker(broker: Broker, pool: Pool) -> None:
    waiting = asyncio.create_task(broker.wait([JobKind.TRAIN], 10))
    async with pool.acquire() as connection:
        await broker.announce(connection, "job", JobKind.TRAIN)
    assert await waiting


async def test_announcement_before_the_wait_is_not_lost(broker: Broker, pool: Pool) -> None:
    async with pool.acquire() as connection:
        await broker.announce(connection, "job", JobKind.TRAIN)
    assert await broker.wait([JobKind.TRAIN], 10)


async def test_other_kinds_do_not_wake(broker: Broker, pool: Pool) -> None:
    async with pool.acquire() as connection:
        await broker.announce(connection, "job", JobKind.INGEST)
    assert not await broker.wait([JobKind.REINDEX], 0.3)


async def test_no_announcement_without_commit(broker: Broker, pool: Pool) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await broker.announce(connection, "job", JobKind.TRAIN)
        await transaction.rollback()
    assert not await broker.wait([JobKind.TRAIN], 0.3)


async def test_check_says_what_was_heard(broker: Broker) -> None:
    assert "was heard after" in await broker.check()
    assert broker.obstacle is None


async def test_burst_of_announcements_wakes_every_kind(broker: Broker, pool: Pool) -> None:
    for kind in (JobKind.TRAIN, JobKind.INGEST):
        async with pool.acquire() as connection, connection.transaction():
            for number in range(250):
                await broker.announce(connection, f"job-{number}", kind)
    assert await broker.wait([JobKind.TRAIN], 10)
    assert await broker.wait([JobKind.INGEST], 10)
