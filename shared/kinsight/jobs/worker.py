"""The loop that claims jobs, runs them and keeps their leases."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kinsight.broker.base import Broker
from kinsight.contracts.jobs import JobKind, JobState, Progress
from kinsight.database import Connection
from kinsight.database.pool import CONNECTION_ERRORS
from kinsight.errors import KinsightError, LeaseLost, Unavailable
from kinsight.jobs.rows import Claim, JobRows

_LOOK_SECONDS = 1.0  # how often a worker looks on its own, should no message come
_RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobContext:
    """What a handler may do with the job it runs."""

    claim: Claim
    rows: JobRows

    async def progress(self, progress: Progress, connection: Connection | None = None) -> None:
        await self.rows.progress(self.claim, progress, connection)

    async def guard(self, connection: Connection) -> None:
        """First statement of every transaction that writes for the job; raises LeaseLost."""
        await self.rows.guard(connection, self.claim)


# Returns the job's result. It is cancelled (asyncio.CancelledError) when the job is; what it has
# committed by then stays. After a crash it is called again for the same job and goes on.
Handler = Callable[[JobContext], Awaitable[dict[str, Any]]]


class Worker:
    """Runs jobs of some kinds, one at a time per slot."""

    def __init__(
        self,
        rows: JobRows,
        broker: Broker,
        handlers: Mapping[JobKind, Handler],
        *,
        slots: int = 1,
        lease_seconds: float,
        attempts: int,
    ) -> None:
        self._rows = rows
        self._broker = broker
        self._handlers = handlers
        self._slots = slots
        self._lease = lease_seconds
        self._attempts = attempts
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._loop()) for _ in range(self._slots)]

    async def stop(self) -> None:
        """Stops the handlers and puts their jobs back for the next worker."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _loop(self) -> None:
        while True:
            try:
                claim = await self._rows.claim(
                    self._handlers.keys(), self._name, self._lease, self._attempts
                )
                if claim is None:
                    await self._broker.wait(self._handlers.keys(), _LOOK_SECONDS)
                else:
                    await self._run(claim)
            except (*CONNECTION_ERRORS, LeaseLost, TimeoutError) as error:
                _log.warning("Going on after %s: %s", type(error).__name__, error)
                await asyncio.sleep(_RETRY_SECONDS[0])

    async def _run(self, claim: Claim) -> None:
        _log.info("%s job %s begins (attempt %d)", claim.kind, claim.id, claim.attempts)
        work = asyncio.ensure_future(self._handlers[claim.kind](JobContext(claim, self._rows)))
        watch = asyncio.create_task(self._keep(claim))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # the service stops
            await _cancel(work, watch)
            await self._rows.release(claim, 0)
            raise
        if not work.done():  # asked to stop, or the lease is lost
            await _cancel(work)
            if watch.exception() is None:
                await self._rows.finish(claim, JobState.CANCELLED)
                _log.info("%s job %s cancelled", claim.kind, claim.id)
            return
        await _cancel(watch)
        await self._end(claim, work)

    async def _end(self, claim: Claim, work: asyncio.Future[dict[str, Any]]) -> None:
        error = work.exception()
        if error is None:
            await self._rows.finish(claim, JobState.SUCCEEDED, result=work.result())
            _log.info("%s job %s succeeded", claim.kind, claim.id)
        elif isinstance(error, LeaseLost):
            _log.warning("%s job %s is another worker's by now", claim.kind, claim.id)
        elif isinstance(error, (Unavailable, TimeoutError, *CONNECTION_ERRORS)) and (
            claim.attempts < self._attempts
        ):
            delay = _RETRY_SECONDS[min(claim.attempts, len(_RETRY_SECONDS)) - 1]
            _log.warning("%s job %s waits %.1f s: %s", claim.kind, claim.id, delay, error)
            await self._rows.release(claim, delay)
        else:
            _log.error("%s job %s failed", claim.kind, claim.id, exc_info=error)
            known = error if isinstance(error, KinsightError) else KinsightError()
            await self._rows.finish(claim, JobState.FAILED, error=known.problem())

    async def _keep(self, claim: Claim) -> None:
        """Renews the lease; returns when the job is to stop, raises when the lease is lost."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            await asyncio.sleep(min(1.0, self._lease / 4))
            try:
                async with asyncio.timeout(self._lease / 2):
                    if await self._rows.renew(claim, self._lease):
                        return
                renewed = loop.time()
            except (*CONNECTION_ERRORS, TimeoutError) as error:
                if loop.time() - renewed > self._lease:
                    raise LeaseLost from error


async def _cancel(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
