"""One connection to RabbitMQ: what is declared, published and consumed on it.

    announcement → exchange kinsight.jobs → queue kinsight.jobs.KIND → a worker's process
                        refused or delivered too often → exchange and queue kinsight.jobs.dead

All queues are durable quorum queues. They are declared with only those arguments that every
RabbitMQ since 3.10 takes, because a queue cannot be declared again with others; what else is to
be set goes into policies (deploy/rabbitmq).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Collection
from contextlib import suppress

import aio_pika
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractExchange,
    AbstractIncomingMessage,
    AbstractQueue,
)
from pamqp.common import FieldTable
from pydantic import ConfigDict, ValidationError
from yarl import URL

from kinsight.broker.outbox import Announcement
from kinsight.contracts.base import Wire
from kinsight.contracts.jobs import JobKind

EXCHANGE = "kinsight.jobs"
DEAD = "kinsight.jobs.dead"
_CONNECT_SECONDS = 5.0
_CONFIRM_SECONDS = 10.0
_HEARTBEAT_SECONDS = 10
_PREFETCH = 32
_log = logging.getLogger(__name__)


class Body(Wire):
    """A message's body. It names the job for whoever reads along; workers ask the job's row."""

    model_config = ConfigDict(extra="ignore")  # a newer version's fields

    job_id: str
    kind: JobKind


class Session:
    """Use `Session.open`; it lasts until `ended` returns, and is then replaced by another."""

    def __init__(
        self,
        connection: AbstractConnection,
        publishing: AbstractChannel,
        exchange: AbstractExchange,
        queues: dict[JobKind, AbstractQueue],
        hear: Callable[[JobKind], None],
    ) -> None:
        self._connection = connection
        self._publishing = publishing
        self._exchange = exchange
        self._queues = queues
        self._hear = hear
        self._consumed: set[JobKind] = set()
        self._beginning: set[asyncio.Task[None]] = set()
        self._end: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, url: str, hear: Callable[[JobKind], None]) -> Session:
        """Connects and declares everything; `hear` is called for every announcement consumed.

        Raises what aio-pika raises (aio_pika.exceptions), OSError or TimeoutError.
        """
        connection = aio_pika.Connection(_address(url))
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await connection.connect()
            async with asyncio.timeout(_CONFIRM_SECONDS):
                publishing = await connection.channel(on_return_raises=True)
                consuming = await connection.channel()
                await consuming.set_qos(prefetch_count=_PREFETCH)
                exchange, queues = await _declare(consuming)
                session = cls(
                    connection,
                    publishing,
                    await publishing.get_exchange(exchange.name, ensure=False),
                    queues,
                    hear,
                )
                # A queue that is deleted, or moves, ends its consumers without closing anything.
                underlay = await consuming.get_underlay_channel()
                underlay.on_consumer_cancel_callbacks.add(lambda _: session.fail(None))
        except BaseException:
            await connection.close()
            raise
        for closing in (connection, publishing, consuming):
            closing.close_callbacks.add(session._closed)
        if connection.is_closed:  # before anybody asked to be told
            session.fail(None)
        return session

    async def ended(self) -> BaseException | None:
        """Returns when the session is of no use any more, and why."""
        return await asyncio.shield(self._end)

    def fail(self, error: BaseException | None) -> None:
        if not self._end.done():
            self._end.set_result(error)

    async def close(self) -> None:
        self.fail(None)
        with suppress(*ERRORS):
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._connection.close()

    async def publish(self, batch: Collection[Announcement]) -> list[Announcement]:
        """Returns what RabbitMQ has confirmed; on any failure the session ends."""
        outcomes = await asyncio.gather(
            *(self._publish(announcement) for announcement in batch), return_exceptions=True
        )
        taken = []
        for announcement, outcome in zip(batch, outcomes, strict=True):
            if outcome is None:
                taken.append(announcement)
            elif isinstance(outcome, (*ERRORS, asyncio.CancelledError)):
                self.fail(outcome)
            else:
                raise outcome
        return taken

    async def _publish(self, announcement: Announcement) -> None:
        body = Body(job_id=announcement.job_id, kind=announcement.kind)
        message = aio_pika.Message(
            body.model_dump_json().encode(),
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=str(announcement.sequence),
        )
        async with asyncio.timeout(_CONFIRM_SECONDS):
            await self._exchange.publish(message, announcement.kind.value, mandatory=True)

    def consume(self, kinds: Collection[JobKind]) -> None:
        """Soon announcements of these kinds come here, or to another replica."""
        new = set(kinds) - self._consumed
        self._consumed |= new
        for kind in new:
            beginning = asyncio.create_task(self._consume(kind))
            self._beginning.add(beginning)
            beginning.add_done_callback(self._beginning.discard)

    async def _consume(self, kind: JobKind) -> None:
        async def receive(message: AbstractIncomingMessage) -> None:
            try:
                heard = Body.model_validate_json(message.body).kind is kind
            except ValidationError:
                heard = False
            with suppress(*ERRORS):  # the channel is gone: the message comes again
                if heard:
                    self._hear(kind)
                    await message.ack()
                else:
                    _log.warning("A message in %s is no announcement", _queue(kind))
                    await message.reject(requeue=False)

        try:
            async with asyncio.timeout(_CONFIRM_SECONDS):
                await self._queues[kind].consume(receive)
        except ERRORS as error:
            self.fail(error)

    async def probe(self) -> None:
        """Sends a message to a queue of its own and gets it back; raises what `open` raises."""
        async with asyncio.timeout(_CONFIRM_SECONDS):
            channel = await self._connection.channel(on_return_raises=True)
            try:
                queue = await channel.declare_queue(exclusive=True, auto_delete=True)
                await channel.default_exchange.publish(
                    aio_pika.Message(b"probe"), queue.name, mandatory=True
                )
                await queue.get(no_ack=True)
            finally:
                await channel.close()

    async def unheard(self) -> dict[JobKind, int]:
        """Kinds nobody consumes, with the number of messages that wait."""
        found: dict[JobKind, int] = {}
        async with asyncio.timeout(_CONFIRM_SECONDS):
            channel = await self._connection.channel()
            try:
                for kind in JobKind:
                    queue = await channel.declare_queue(_queue(kind), passive=True)
                    if not queue.declaration_result.consumer_count:
                        found[kind] = queue.declaration_result.message_count or 0
            finally:
                await channel.close()
        return found

    def _closed(self, _sender: object, error: BaseException | None) -> None:
        self.fail(error)


# What ends a session.
ERRORS = (*aio_pika.exceptions.CONNECTION_EXCEPTIONS, TimeoutError)


async def _declare(
    channel: AbstractChannel,
) -> tuple[AbstractExchange, dict[JobKind, AbstractQueue]]:
    quorum: FieldTable = {"x-queue-type": "quorum"}
    dead = await channel.declare_exchange(DEAD, aio_pika.ExchangeType.FANOUT, durable=True)
    graveyard = await channel.declare_queue(DEAD, durable=True, arguments=quorum)
    await graveyard.bind(dead)
    exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.DIRECT, durable=True)
    queues = {}
    for kind in JobKind:
        queues[kind] = await channel.declare_queue(
            _queue(kind), durable=True, arguments={**quorum, "x-dead-letter-exchange": DEAD}
        )
        await queues[kind].bind(exchange, kind.value)
    return exchange, queues


def _address(url: str) -> URL:
    """The URL, with what it leaves open."""
    address = URL(url)
    if "heartbeat" not in address.query:
        address = address.update_query(heartbeat=_HEARTBEAT_SECONDS)
    if "name" not in address.query:
        address = address.update_query(name=f"kinsight {socket.gethostname()}:{os.getpid()}")
    return address


def _queue(kind: JobKind) -> str:
    return f"{EXCHANGE}.{kind.value}"
