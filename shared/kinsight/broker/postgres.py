"""LISTEN/NOTIFY as the broker, for the embedded run: nothing to install."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from kinsight.contracts.jobs import JobKind
from kinsight.database import Connection, Pool
from kinsight.database.pool import CONNECTION_ERRORS

_CHANNEL = "kinsight_jobs"
_RECONNECT_SECONDS = 0.5
_log = logging.getLogger(__name__)


class PostgresBroker:
    """Announces by NOTIFY, which Postgres delivers when the announcing transaction commits."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._announced = asyncio.Condition()
        self._counts: dict[JobKind, int] = dict.fromkeys(JobKind, 0)
        self._seen: dict[JobKind, int] = dict.fromkeys(JobKind, 0)
        self._listener: asyncio.Task[None] | None = None

    async def announce(self, connection: Connection, job_id: str, kind: JobKind) -> None:
        await connection.execute("SELECT pg_notify($1, $2)", _CHANNEL, kind.value)

    async def wait(self, kinds: Collection[JobKind], seconds: float) -> bool:
        def fresh() -> bool:
            return any(self._counts[kind] > self._seen[kind] for kind in kinds)

        try:
            async with asyncio.timeout(seconds), self._announced:
                await self._announced.wait_for(fresh)
        except TimeoutError:
            return False
        for kind in kinds:
            self._seen[kind] = self._counts[kind]
        return True

    async def start(self) -> None:
        self._listener = asyncio.create_task(self._listen())

    async def close(self) -> None:
        if self._listener:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            try:
                async with self._pool.acquire() as connection:
                    gone = asyncio.Event()
                    connection.add_termination_listener(lambda _, gone=gone: gone.set())
                    await connection.add_listener(_CHANNEL, self._hear)
                    try:
                        await gone.wait()
                    finally:
                        if not connection.is_closed():
                            await connection.remove_listener(_CHANNEL, self._hear)
            except CONNECTION_ERRORS as error:
                _log.info("Listening again after %s", error)
            await asyncio.sleep(_RECONNECT_SECONDS)

    def _hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        asyncio.get_running_loop().create_task(self._note(JobKind(str(payload))))

    async def _note(self, kind: JobKind) -> None:
        async with self._announced:
            self._counts[kind] += 1
            self._announced.notify_all()
