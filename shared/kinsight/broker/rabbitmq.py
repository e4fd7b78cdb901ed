"""RabbitMQ as the broker, fed from an outbox in Postgres.

Announcing needs Postgres alone. Every started broker also relays what waits in the outbox, so
announcements of a time without RabbitMQ are sent once it is back.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Collection
from contextlib import suppress

import asyncpg

from kinsight.broker.announced import Announced
from kinsight.broker.outbox import CHANNEL, Outbox
from kinsight.broker.rabbitmq_obstacles import explain, require_url
from kinsight.broker.rabbitmq_session import ERRORS, Session
from kinsight.contracts.jobs import JobKind
from kinsight.database import Connection, Pool
from kinsight.database.listening import listen
from kinsight.database.pool import CONNECTION_ERRORS
from kinsight.errors import Unavailable

_POLL_SECONDS = 2.0  # how often the outbox is looked into, should no notification come
_BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
_STEADY_SECONDS = 10.0  # a connection that held so long starts the backoff anew
_log = logging.getLogger(__name__)
logging.getLogger("aiormq.connection").setLevel(logging.CRITICAL)  # an error for every attempt


class RabbitBroker:
    def __init__(self, url: str, pool: Pool) -> None:
        require_url(url)
        self._url = url
        self._pool = pool
        self._outbox = Outbox(pool)
        self._announced = Announced()
        self._wanted: set[JobKind] = set()
        self._session: Session | None = None
        self._obstacle: str | None = explain(url, None)
        self._stirred = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def announce(self, connection: Connection, job_id: str, kind: JobKind) -> None:
        await self._outbox.add(connection, job_id, kind)

    async def wait(self, kinds: Collection[JobKind], seconds: float) -> bool:
        """A message goes to one of the processes that have waited for its kind.

        Should that one be busy, the others find the job when they look on their own.
        """
        self._wanted.update(kinds)
        if self._session:
            self._session.consume(kinds)
        return await self._announced.wait(kinds, seconds)

    async def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._keep_connected()),
            asyncio.create_task(self._keep_relaying()),
            asyncio.create_task(listen(self._pool, CHANNEL, lambda _: self._stirred.set())),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def obstacle(self) -> str | None:
        return self._obstacle

    async def check(self) -> str:
        session = self._session
        if session is None:
            raise Unavailable(self._obstacle)
        began = time.perf_counter()
        try:
            await session.probe()
            unheard = await session.unheard()
        except ERRORS as error:
            raise Unavailable(explain(self._url, error)) from error
        milliseconds = (time.perf_counter() - began) * 1e3
        announcements, age = await self._outbox.waiting()
        found = f"a message went through RabbitMQ and was heard after {milliseconds:.1f} ms"
        if announcements:
            found += f"; {announcements} announcements wait to be sent, for up to {age:.0f} s"
        if unheard:
            kinds = ", ".join(f"{kind} ({count} waiting)" for kind, count in unheard.items())
            found += f"; no worker listens for {kinds}"
        return found

    async def _keep_connected(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                error = await self._connected()
            except ERRORS as raised:
                error = raised
            except asyncio.CancelledError as cancelled:
                if _cancelled_from_outside():
                    raise
                error = cancelled  # aiormq's own: the connection broke under a call
            self._report(explain(self._url, error))
            failures = 0 if time.monotonic() - began > _STEADY_SECONDS else failures + 1
            delay = _BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS) - 1)]
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311  (replicas apart)

    async def _connected(self) -> BaseException | None:
        """One session, from its beginning to its end; returns what ended it."""
        session = await Session.open(self._url, self._announced.note)
        self._session = session
        try:
            session.consume(self._wanted)
            self._report(None)
            self._stirred.set()
            return await session.ended()
        finally:
            self._session = None
            await session.close()

    async def _keep_relaying(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._stirred.wait()
            self._stirred.clear()
            session = self._session
            if session is None:
                continue
            try:
                await self._outbox.relay(session.publish)
            except (*CONNECTION_ERRORS, asyncpg.PostgresError, TimeoutError) as error:
                _log.warning("The outbox waits for Postgres: %s", error)

    def _report(self, obstacle: str | None) -> None:
        """Logs what has changed, once."""
        if obstacle and obstacle != self._obstacle:
            _log.warning("%s", obstacle)
        elif self._obstacle and not obstacle:
            _log.info("Connected to RabbitMQ")
        self._obstacle = obstacle


def _cancelled_from_outside() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
