"""LISTEN/NOTIFY as the broker, for the embedded run: nothing to install."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Collection

from kinsight.broker.announced import Announced
from kinsight.contracts.jobs import JobKind
from kinsight.database import Connection, Pool
from kinsight.database.listening import listen
from kinsight.errors import Unavailable

_CHANNEL = "kinsight_jobs"
_CHECKED = JobKind.EVALUATE
_HEAR_TRIES, _HEAR_SECONDS = 3, 1.0


class PostgresBroker:
    """Announces by NOTIFY, which Postgres delivers when the announcing transaction commits."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._announced = Announced()
        self._listener: asyncio.Task[None] | None = None

    async def announce(self, connection: Connection, job_id: str, kind: JobKind) -> None:
        await connection.execute("SELECT pg_notify($1, $2)", _CHANNEL, kind.value)

    async def wait(self, kinds: Collection[JobKind], seconds: float) -> bool:
        return await self._announced.wait(kinds, seconds)

    async def start(self) -> None:
        self._listener = asyncio.create_task(listen(self._pool, _CHANNEL, self._hear))

    async def close(self) -> None:
        if self._listener:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)

    @property
    def obstacle(self) -> str | None:
        return None  # Postgres itself is what readiness asks for in any case

    async def check(self) -> str:
        """Announces work that is not there; workers that hear it look, and find nothing."""
        await self.wait([_CHECKED], 0.01)  # what was announced before does not count
        began = time.perf_counter()
        for _ in range(_HEAR_TRIES):
            async with self._pool.acquire() as connection, connection.transaction():
                await self.announce(connection, str(uuid.UUID(int=0)), _CHECKED)
            if await self.wait([_CHECKED], _HEAR_SECONDS):
                milliseconds = (time.perf_counter() - began) * 1e3
                return f"an announcement was heard after {milliseconds:.1f} ms"
        raise Unavailable(
            f"{_HEAR_TRIES} announcements went unheard; restart this service if that stays so."
        )

    def _hear(self, payload: str) -> None:
        self._announced.note(JobKind(payload))
