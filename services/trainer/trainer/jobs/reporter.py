"""Keeps a job's row up to date, often enough to watch and seldom enough to cost nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from types import TracebackType
from typing import Protocol, Self

import asyncpg

from kinsight.contracts.jobs import Progress
from kinsight.database import Connection, Pool
from kinsight.database.pool import CONNECTION_ERRORS
from kinsight.errors import LeaseLost
from kinsight.jobs import JobContext

_AT_MOST_EVERY = 0.5
_AT_LEAST_EVERY = 1.0
_log = logging.getLogger(__name__)


class Attachment(Protocol):
    """What else is written in the transaction that writes the progress."""

    async def write(self, connection: Connection) -> None: ...

    def written(self) -> None:
        """Called once that transaction is committed."""
        ...


class Reporter:
    """Writes the progress, and what is attached to it, in the background of an `async with`."""

    def __init__(
        self, context: JobContext, pool: Pool, attachment: Attachment | None = None
    ) -> None:
        self._context = context
        self._pool = pool
        self._attachment = attachment
        self._progress = Progress(**context.claim.progress)
        self._began = time.monotonic()
        self._fresh = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def progress(self) -> Progress:
        return self._progress

    def set(self, progress: Progress) -> None:
        self._progress = progress
        self._fresh.set()

    async def flush(self) -> None:
        """Writes now; raises LeaseLost."""
        self._fresh.clear()
        elapsed = round(time.monotonic() - self._began, 1)
        progress = self._progress.model_copy(update={"elapsed_seconds": elapsed})
        async with self._pool.acquire() as connection, connection.transaction():
            await self._context.guard(connection)
            await self._context.progress(progress, connection)
            if self._attachment:
                await self._attachment.write(connection)
        if self._attachment:
            self._attachment.written()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._write())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if kind is None:
            await self.flush()
        elif not issubclass(kind, LeaseLost):
            with contextlib.suppress(LeaseLost, TimeoutError, *CONNECTION_ERRORS):
                await self.flush()

    async def _write(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._fresh.wait(), _AT_LEAST_EVERY - _AT_MOST_EVERY)
            try:
                await self.flush()
            except LeaseLost:
                return  # the worker that keeps the lease ends the job
            except (*CONNECTION_ERRORS, TimeoutError) as lost:
                _log.warning("Progress waits for Postgres: %s", lost)
            except asyncpg.PostgresError:
                # The work goes on, and is watched again as soon as it can be; what is wrong still
                # at the end, the last flush raises.
                _log.exception("The progress could not be written")
            await asyncio.sleep(_AT_MOST_EVERY)
