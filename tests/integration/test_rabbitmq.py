"""The RabbitMQ broker on a real server: away, refused, emptied, deleted, and back."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from integration.serving import eventually
from kinsight.broker import Broker, open_broker
from kinsight.contracts.jobs import JobKind
from kinsight.database import Pool, open_pool
from kinsight.errors import BadRequest, Unavailable
from kinsight.local.ports import free_ports
from rabbitmq_node import RabbitNode

DEPLOY = Path(__file__).parents[2] / "deploy" / "rabbitmq"
POLICIES, README = DEPLOY / "policies.json", DEPLOY / "README.md"
DEAD = "kinsight.jobs.dead"
Start = Callable[[str], Awaitable[Broker]]  # opens and starts the broker of a URL


@dataclass
class Bench:
    node: RabbitNode
    pool: Pool
    vhost: str

    @property
    def url(self) -> str:
        return self.node.url(self.vhost)

    async def announce(self, broker: Broker, count: int, kind: JobKind = JobKind.TRAIN) -> None:
        """Each in a transaction of its own."""
        for number in range(count):
            async with self.pool.acquire() as connection, connection.transaction():
                await broker.announce(connection, f"job-{number}", kind)

    async def waiting(self) -> int:
        """Announcements in the outbox."""
        return int(await self.pool.fetchval("SELECT count(*) FROM job_outbox"))

    async def relayed(self) -> bool:
        return await self.waiting() == 0

    async def messages(self, queue: str) -> int:
        """As RabbitMQ counts them; what is not yet acknowledged counts."""
        async with self.channel() as channel:
            found = await channel.declare_queue(queue, passive=True)
        return found.declaration_result.message_count or 0

    def channel(self) -> _Channel:
        return _Channel(self.url)


class _Channel:
    """A connection of the test's own."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> AbstractChannel:
        self._connection = await aio_pika.connect(self._url)
        return await self._connection.channel()

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()


@pytest.fixture
async def bench(rabbitmq: RabbitNode, database_url: str) -> AsyncIterator[Bench]:
    async with await open_pool(database_url) as pool:
        yield Bench(rabbitmq, pool, await rabbitmq.vhost())


@pytest.fixture
async def started(bench: Bench) -> AsyncIterator[Start]:
    """Brokers that are closed afterwards."""
    brokers: list[Broker] = []

    async def start(url: str) -> Broker:
        brokers.append(open_broker(url, bench.pool))
        await brokers[-1].start()
        return brokers[-1]

    yield start
    for broker in brokers:
        await broker.close()


async def connected(broker: Broker) -> None:
    async def good() -> bool:
        return broker.obstacle is None

    await eventually(good, 30)


async def test_nothing_is_lost_or_doubled_while_rabbitmq_is_away(
    bench: Bench, started: Start
) -> None:
    broker = await started(bench.url)
    await connected(broker)
    await bench.announce(broker, 3)
    await eventually(bench.relayed)
    await bench.node.kill()
    try:
        async with asyncio.timeout(10):
            while broker.obstacle is None:
                await asyncio.sleep(0.05)
        await bench.announce(broker, 20)
        assert "does not answer" in broker.obstacle
        assert "KINSIGHT_BROKER_URL" in broker.obstacle
        with pytest.raises(Unavailable, match="does not answer"):
            await broker.check()
        assert await bench.waiting() == 20
    finally:
        await bench.node.start()
    await connected(broker)
    await eventually(bench.relayed, 30)
    assert await bench.messages("kinsight.jobs.train") == 23  # nobody here waits for them
    assert "no worker listens for" in await broker.check()


async def test_server_that_hangs_is_left_and_found_again(bench: Bench, started: Start) -> None:
    broker = await started(bench.url)
    await connected(broker)
    bench.node.freeze()
    try:
        await bench.announce(broker, 5)

        async def told() -> bool:
            return "does not answer in time" in (broker.obstacle or "")

        await eventually(told, 30)
        assert await bench.waiting() == 5
    finally:
        bench.node.thaw()
    await connected(broker)
    await eventually(bench.relayed, 30)
    # What the server had received before it hung was never confirmed, and so comes twice.
    assert await bench.messages("kinsight.jobs.train") in range(5, 11)


async def test_outbox_is_shared_by_several_relays(bench: Bench, started: Start) -> None:
    brokers = [await started(bench.url) for _ in range(3)]
    for broker in brokers:
        await connected(broker)
    await asyncio.gather(*(bench.announce(broker, 150) for broker in brokers))
    await eventually(bench.relayed, 30)
    assert await bench.messages("kinsight.jobs.train") == 450


async def test_kinds_of_a_newer_version_are_left_to_it(bench: Bench, started: Start) -> None:
    broker = await started(bench.url)
    await connected(broker)
    await bench.pool.execute("INSERT INTO job_outbox (job_id, kind) VALUES ('job', 'newer')")
    await bench.announce(broker, 1)
    assert await broker.wait([JobKind.TRAIN], 10)

    async def only_the_newer_is_left() -> bool:
        kinds = await bench.pool.fetch("SELECT kind FROM job_outbox")
        return [row["kind"] for row in kinds] == ["newer"]

    await eventually(only_the_newer_is_left)


async def test_job_is_announced_to_whichever_replica_waits(bench: Bench, started: Start) -> None:
    busy, free = await started(bench.url), await started(bench.url)
    await connected(busy)
    await connected(free)
    waiting = asyncio.create_task(free.wait([JobKind.TRAIN], 10))
    await bench.announce(busy, 1)
    assert await waiting
    assert await bench.messages("kinsight.jobs.train") == 0


async def test_announcement_by_a_service_that_is_not_started_is_relayed(
    bench: Bench, started: Start
) -> None:
    worker = await started(bench.url)
    await bench.announce(open_broker(bench.url, bench.pool), 1)
    assert await worker.wait([JobKind.TRAIN], 20)


async def test_message_that_is_no_announcement_is_put_aside(bench: Bench, started: Start) -> None:
    broker = await started(bench.url)
    await connected(broker)
    async with bench.channel() as channel:
        exchange = await channel.get_exchange("kinsight.jobs")
        for body in (b"nonsense", b'{"job_id": "x", "kind": "ingest"}'):
            await exchange.publish(aio_pika.Message(body), "train")
        assert not await broker.wait([JobKind.TRAIN], 1)
        # A newer version may say more of a job.
        newer = b'{"job_id": "x", "kind": "train", "priority": 1}'
        await exchange.publish(aio_pika.Message(newer), "train")
        assert await broker.wait([JobKind.TRAIN], 10)

    async def aside() -> bool:
        return await bench.messages(DEAD) == 2

    await eventually(aside)


async def test_deleted_queue_is_declared_again(bench: Bench, started: Start) -> None:
    broker = await started(bench.url)
    await connected(broker)
    await broker.wait([JobKind.TRAIN], 0.5)
    async with bench.channel() as channel:
        await channel.queue_delete("kinsight.jobs.train")
        await channel.queue_delete("kinsight.jobs.ingest")
    await bench.announce(broker, 1)
    assert await broker.wait([JobKind.TRAIN], 20)
    await bench.announce(broker, 2, JobKind.INGEST)
    await eventually(bench.relayed)
    assert await bench.messages("kinsight.jobs.ingest") == 2


async def test_refusals_are_told_apart_and_mended(bench: Bench, started: Start) -> None:
    (port,) = free_ports(1)
    vhost = "made-later"
    cases = {
        f"amqp://guest:guest@127.0.0.1:{port}": "does not answer",
        bench.node.url(bench.vhost, password="secret"): "refuses user 'guest'",
        bench.node.url(vhost): "virtual host 'made-later'",
        bench.node.tls_url(bench.vhost).partition("?")[0]: "?cafile=",
    }
    brokers = {url: await started(url) for url in cases}
    for url, sentence in cases.items():
        broker = brokers[url]

        async def told(broker: Broker = broker, sentence: str = sentence) -> bool:
            return sentence in (broker.obstacle or "")

        await eventually(told)
        assert "secret" not in (broker.obstacle or "")
    broker = brokers[bench.node.url(vhost)]
    await bench.announce(broker, 1)
    await bench.node.add_vhosts(vhost)
    assert await broker.wait([JobKind.TRAIN], 20)
    assert broker.obstacle is None


async def test_user_needs_the_documented_rights_and_no_more(bench: Bench, started: Start) -> None:
    await bench.node.control("add_user", "kinsight", "secret")
    await bench.node.control("set_permissions", "-p", bench.vhost, "kinsight", "", "", "")
    broker = await started(bench.node.url(bench.vhost, "kinsight", "secret"))

    async def told() -> bool:
        return "does not give user 'kinsight' the rights" in (broker.obstacle or "")

    await eventually(told)
    (rights,) = re.findall(r"set_permissions kinsight (.*)", README.read_text())
    await bench.node.control("set_permissions", "-p", bench.vhost, "kinsight", *shlex.split(rights))
    await connected(broker)
    await bench.announce(broker, 1)
    assert await broker.wait([JobKind.TRAIN], 10)
    assert "was heard" in await broker.check()


@pytest.mark.parametrize("url", ["amqp://", "amqp:host", "amqp://host:port/", "amqp://u:p/w@host/"])
async def test_url_that_names_no_server_is_refused(bench: Bench, url: str) -> None:
    with pytest.raises(BadRequest, match="percent-encoded"):
        open_broker(url, bench.pool)


async def test_queue_declared_otherwise_is_named(bench: Bench, started: Start) -> None:
    async with bench.channel() as channel:
        await channel.declare_queue("kinsight.jobs.train", durable=True)
    broker = await started(bench.url)

    async def told() -> bool:
        return "declared otherwise" in (broker.obstacle or "")

    await eventually(told)
    async with bench.channel() as channel:
        await channel.queue_delete("kinsight.jobs.train")
    await connected(broker)


async def test_policies_apply_to_the_queues(bench: Bench, started: Start) -> None:
    bench.vhost = "%2F"  # the one the file names
    broker = await started(bench.url)
    await connected(broker)
    await bench.node.control("import_definitions", str(POLICIES))
    listed = await bench.node.control("list_queues", "name", "type", "durable", "policy")
    queues = dict(line.split("\t", 1) for line in listed.splitlines())
    for kind in JobKind:
        assert queues[f"kinsight.jobs.{kind}"] == "quorum\ttrue\tkinsight-jobs"
    assert queues[DEAD] == "quorum\ttrue\tkinsight-jobs-dead"
    async with bench.channel() as channel:
        await channel.default_exchange.publish(aio_pika.Message(b"again"), "kinsight.jobs.reindex")
        queue = await channel.declare_queue("kinsight.jobs.reindex", passive=True)
        deliveries = 0
        async with asyncio.timeout(20):
            while await bench.messages(DEAD) == 0:
                message = await queue.get(fail=False)
                if message is not None:
                    deliveries += 1
                    await message.nack(requeue=True)
    assert deliveries == 21


def test_embedded_run_needs_no_client_of_rabbitmq() -> None:
    script = """
import sys
sys.modules["aio_pika"] = None  # as where it is not installed
from kinsight.broker import open_broker
open_broker(None, None)
try:
    open_broker("amqp://localhost", None)
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "StartFailed" in done.stdout
    assert "pip install 'kinsight[rabbitmq]'" in done.stdout
