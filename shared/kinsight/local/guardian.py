"""The last process of an instance: ends what a killed supervisor could not.

A process of its own that reads from a pipe whose other end only the supervisor holds. The pipe
closes when the supervisor dies, by whatever hand; then the services go, with all that descends
from them, and PostgreSQL after them. Lines it reads: `service PID`, `postgres PID`, `gone PID`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from kinsight.local.logs import LogFile
from kinsight.local.marks import kill_marked, marked
from kinsight.local.waiting import alive, ended

SERVICE_SECONDS = 5.0
POSTGRES_STEPS = ((signal.SIGINT, 15.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 1.0))


class Guardian:
    """The supervisor's end of the pipe."""

    def __init__(self, instance: str, log: LogFile) -> None:
        self.instance = instance
        self.log = log
        self._charges: dict[int, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    async def start(self) -> None:
        """Starts it; after it was killed, tells the new one all it has to know."""
        if self.pid is None:
            self._launch()

    async def wait(self) -> int:
        """Returns the exit status once it has ended."""
        return (await ended(self._process) if self._process else 0) or 0

    def _launch(self) -> None:
        log = self.log.open()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kinsight.local.guardian", self.instance],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,  # no signal of the terminal reaches it
            )
        finally:
            os.close(log)
        for pid, kind in self._charges.items():
            self._tell(kind, pid)

    def watch(self, pid: int, kind: str = "service") -> None:
        self._charges[pid] = kind
        self._tell(kind, pid)

    def forget(self, pid: int) -> None:
        if self._charges.pop(pid, None):
            self._tell("gone", pid)

    async def stop(self, hurry: asyncio.Event | None = None) -> None:
        """Closes the pipe, upon which whatever still runs of its charges is ended."""
        for pid in list(self._charges):
            if not alive(pid):
                self.forget(pid)
        if self._process and self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            await ended(self._process)
            self._process = None

    def _tell(self, word: str, pid: int) -> None:
        if self._process and self._process.stdin:
            with contextlib.suppress(BrokenPipeError):  # the next start() repeats it
                self._process.stdin.write(f"{word} {pid}\n".encode())
                self._process.stdin.flush()


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    services: set[int] = set()
    servers: set[int] = set()
    for line in sys.stdin:
        word, digits = line.split()
        pid = int(digits)
        if word == "gone":
            services.discard(pid)
            servers.discard(pid)
        else:
            (servers if word == "postgres" else services).add(pid)
    _end_services(sys.argv[1], services)
    for pid in servers:
        _end_postgres(pid)


def _end_services(instance: str, leaders: set[int]) -> None:
    for pid in leaders:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)
    _wait(lambda: not marked(instance), SERVICE_SECONDS)
    for pid in leaders:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    _wait(lambda: not kill_marked(instance), SERVICE_SECONDS)


def _end_postgres(pid: int) -> None:
    for number, seconds in POSTGRES_STEPS:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        if _wait(lambda: not alive(pid), seconds):
            return


def _wait(done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


if __name__ == "__main__":
    main()
