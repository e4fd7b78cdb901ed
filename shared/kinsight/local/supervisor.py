"""Keeps processes running: starts them in stages, restarts what dies, stops all in reverse."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import aiohttp

from kinsight.errors import StartFailed
from kinsight.local.logs import LogFile
from kinsight.local.service import Service

_log = logging.getLogger(__name__)

# Seconds before the first, second, … restart in a row; the last one goes on for ever.
BACK_OFF = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_SECONDS = 10.0  # who has run this long starts again without delay
HOPELESS = 3  # deaths before ever being ready, after which waiting for it has no point
_LOG_CHECK_SECONDS = 5.0
_PROBE_SECONDS = 0.1


class Kept(Protocol):
    """What a supervisor keeps: a Service, PostgreSQL, or the Guardian."""

    log: LogFile

    @property
    def pid(self) -> int | None: ...

    async def start(self) -> None: ...

    async def wait(self) -> int: ...

    async def stop(self, hurry: asyncio.Event | None = None) -> None: ...


class Supervisor:
    """Owns the processes between `add` and `stop`.

    `changed` is called whenever a process id has changed; `hurry` ends the patience of `stop`.
    """

    def __init__(
        self, changed: Callable[[], None] = lambda: None, hurry: asyncio.Event | None = None
    ) -> None:
        self.hurry = hurry or asyncio.Event()
        self.changed = changed
        self.restarts: dict[str, int] = {}
        self._stages: list[dict[str, Kept]] = []
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def pids(self) -> dict[str, int]:
        """The running processes; one that is just being restarted is missing."""
        return {
            name: kept.pid
            for stage in self._stages
            for name, kept in stage.items()
            if kept.pid is not None
        }

    async def add(self, stage: dict[str, Kept]) -> None:
        """Starts a stage, its members at the same time, and keeps them running from then on."""
        self._stages.append(stage)
        for name in stage:
            self.restarts[name] = 0
        starts = (kept.start() for kept in stage.values())
        for result in await asyncio.gather(*starts, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        for name, kept in stage.items():
            self._keepers.append(asyncio.create_task(self._keep(name, kept), name=f"keep {name}"))
        if not any(task.get_name() == "logs" for task in self._keepers):
            self._keepers.append(asyncio.create_task(self._bound_logs(), name="logs"))
        self.changed()

    async def until_ready(self, services: Sequence[Service], seconds: float) -> None:
        """Returns when all are ready; StartFailed quotes the logs of those that are not."""
        deadline = time.monotonic() + seconds
        before = dict(self.restarts)
        async with aiohttp.ClientSession() as session:
            while True:
                answers = await asyncio.gather(*(one.obstacle(session) for one in services))
                waiting = {
                    service: answer
                    for service, answer in zip(services, answers, strict=True)
                    if answer is not None
                }
                if not waiting:
                    return
                hopeless = {
                    one: f"ended {deaths} times"
                    for one in waiting
                    if (deaths := self.restarts[one.name] - before[one.name]) >= HOPELESS
                }
                if hopeless or time.monotonic() > deadline:
                    raise StartFailed(_explain(hopeless or waiting))
                await asyncio.sleep(_PROBE_SECONDS)

    async def forever(self) -> None:
        """Returns never; raises what ends a keeper, which would be a defect of this program."""
        await asyncio.gather(*self._keepers)

    async def stop(self) -> None:
        """Stops the stages, the last one first; after `hurry` is set, without patience."""
        for task in self._keepers:
            task.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers.clear()
        for stage in reversed(self._stages):
            results = await asyncio.gather(
                *(kept.stop(self.hurry) for kept in stage.values()), return_exceptions=True
            )
            for name, result in zip(stage, results, strict=True):
                if isinstance(result, Exception):
                    _log.error("%s was not stopped in order: %s", name, result)
        self._stages.clear()

    async def _keep(self, name: str, kept: Kept) -> None:
        in_a_row = 0
        while True:
            began = time.monotonic()
            status = await kept.wait()
            ran = time.monotonic() - began
            in_a_row = 0 if ran >= STEADY_SECONDS else in_a_row
            pause = BACK_OFF[min(in_a_row, len(BACK_OFF) - 1)]
            _log.warning(
                "%s ended after %.0f s with status %d; starting it again in %.1f s. Its log: %s",
                *(name, ran, status, pause, kept.log.path),
            )
            in_a_row += 1
            await asyncio.sleep(pause)
            await self._restart(name, kept)

    async def _restart(self, name: str, kept: Kept) -> None:
        for attempt in range(1 << 62):
            self.restarts[name] += 1
            try:
                await kept.start()
            except (StartFailed, OSError) as error:
                pause = BACK_OFF[min(attempt + 1, len(BACK_OFF) - 1)]
                _log.error("%s does not start: %s; again in %.1f s", name, error, pause)
                await asyncio.sleep(pause)
            else:
                _log.info("%s runs again as process %s", name, kept.pid)
                self.changed()
                return

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(_LOG_CHECK_SECONDS)
            for stage in self._stages:
                for name, kept in stage.items():
                    try:
                        kept.log.rotate_if_large()
                    except OSError as error:  # a full disk must not end the supervision
                        _log.warning("The log of %s cannot be rotated: %s", name, error)


def _explain(waiting: dict[Service, str]) -> str:
    parts = []
    for service, answer in waiting.items():
        words = "".join(f"\n    {line}" for line in service.last_words())
        parts.append(f"\n  {service.name}: {answer}; its log, {service.log.path}:{words}")
    names = ", ".join(service.name for service in waiting)
    return f"Not ready: {names}.{''.join(parts)}"
