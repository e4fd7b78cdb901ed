"""One service as a child process: start, readiness, the end of it and of all it has started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from kinsight.local import launch
from kinsight.local.guardian import Guardian
from kinsight.local.logs import LogFile
from kinsight.local.marks import VARIABLE, clear_marked, mark
from kinsight.local.waiting import ended

_PROBE = aiohttp.ClientTimeout(total=5)


@dataclass(frozen=True)
class Program:
    """What to run; `ready_url` answers 200 once it can do its work, None needs no asking."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_url: str | None = None


class Service:
    """A program that is started, asked whether it is ready, and stopped with its descendants."""

    def __init__(
        self, program: Program, *, logs: Path, guardian: Guardian, stop_seconds: float = 15.0
    ) -> None:
        self.name = program.name
        self.program = program
        self.log = LogFile(logs / f"{program.name}.log")
        self.stop_seconds = stop_seconds
        self.process: subprocess.Popen[bytes] | None = None
        self._guardian = guardian
        self._written: int | None = None  # size of the log before the first start

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process and self.process.poll() is None else None

    async def start(self) -> None:
        """Starts it, once nothing of the one before is left that might hold its port."""
        if self.pid is not None:
            return
        await self._clear_away()
        if self._written is None:
            self._written = self.log.size()
        self.process = self._launch()
        self._guardian.watch(self.process.pid)

    async def wait(self) -> int:
        """Returns the exit status once the process has ended; negative is a signal."""
        return (await ended(self.process) if self.process else 0) or 0

    async def stop(self, hurry: asyncio.Event | None = None) -> None:
        """Asks it to end (SIGTERM), and kills it when time is up or `hurry` is set."""
        process = self.process
        if process is not None and process.poll() is None:
            process.terminate()
            await ended(process, self.stop_seconds, hurry)
        await self._clear_away()

    async def obstacle(self, session: aiohttp.ClientSession) -> str | None:
        """Why it is not ready, None when it is."""
        if self.pid is None:
            status = self.process.returncode if self.process else None
            return f"ended with status {status}"
        if self.program.ready_url is None:
            return None
        try:
            async with session.get(self.program.ready_url, timeout=_PROBE) as response:
                return None if response.ok else await _explanation(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"does not answer: {error or type(error).__name__}"

    def last_words(self, lines: int = 10) -> list[str]:
        """The end of its log, as far as this supervisor's starts have written it."""
        return self.log.tail(lines, since=self._written or 0)

    def _launch(self) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            **self.program.environment,
            VARIABLE: mark(self._guardian.instance, self.name),
        }
        log = self.log.open()
        try:
            return subprocess.Popen(
                launch.command(self.program.command, death_signal=signal.SIGTERM),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        finally:
            os.close(log)

    async def _clear_away(self) -> None:
        """Kills what is left: the process, its group, and descendants outside the group."""
        process, self.process = self.process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await ended(process)
            self._guardian.forget(process.pid)
        await clear_marked(self._guardian.instance, self.name)


async def _explanation(response: aiohttp.ClientResponse) -> str:
    with contextlib.suppress(aiohttp.ClientError, ValueError):
        problem = await response.json(content_type=None)
        if isinstance(problem, dict) and problem.get("detail"):
            return str(problem["detail"])
    return f"answers {response.status}"
