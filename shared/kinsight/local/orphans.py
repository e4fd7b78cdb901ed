"""What a killed PostgreSQL leaves behind: processes, and files that name processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable

import psutil

from kinsight.errors import StartFailed
from kinsight.local.cluster import Cluster

# (signal, seconds to wait); signal 0 sends nothing. Backends of a dead postmaster notice within
# moments, unless they compute; what they do is lost in any case, and SIGQUIT makes them leave.
_STEPS: tuple[tuple[int, float], ...] = (
    (0, 3.0),
    (signal.SIGQUIT, 3.0),
    (signal.SIGKILL, 5.0),
)
# A postmaster whose supervisor is dead is shutting down by itself as a rule.
_POSTMASTER_STEPS: tuple[tuple[int, float], ...] = (
    (signal.SIGINT, 20.0),
    (signal.SIGQUIT, 5.0),
    (signal.SIGKILL, 5.0),
)


def processes_of(cluster: Cluster) -> list[psutil.Process]:
    """Every process of this cluster, the postmaster included."""
    return [process for process in psutil.process_iter() if _belongs(process, cluster)]


async def clear_away(cluster: Cluster) -> None:
    """Ends what an earlier, dead owner left running, and mends the files that name it.

    Call with the folder's lock held. Raises StartFailed when a process does not go.
    """
    postmaster = _recorded_postmaster(cluster)
    if postmaster is not None:
        await _end(lambda: [p for p in (postmaster,) if _belongs(p, cluster)], _POSTMASTER_STEPS)
    left = await _end(lambda: processes_of(cluster), _STEPS)
    if left:
        names = ", ".join(str(process.pid) for process in left)
        raise StartFailed(f"PostgreSQL's old processes {names} do not end; end them yourself.")
    _forget_reused_pid(cluster)


def _belongs(process: psutil.Process, cluster: Cluster) -> bool:
    try:
        arguments = process.cmdline()
        if not arguments or process.status() == psutil.STATUS_ZOMBIE:
            return False
    except psutil.Error:
        return False
    if arguments[0].startswith(f"postgres: {cluster.name}: "):
        return True
    return arguments[0].endswith("/postgres") and str(cluster.data) in arguments


def _recorded_postmaster(cluster: Cluster) -> psutil.Process | None:
    try:
        pid = int((cluster.data / "postmaster.pid").read_text().splitlines()[0])
        process = psutil.Process(pid)
    except (FileNotFoundError, IndexError, ValueError, psutil.Error):
        return None
    return process if _belongs(process, cluster) else None


def _forget_reused_pid(cluster: Cluster) -> None:
    """Removes lock files that name a living process of another program.

    PostgreSQL removes stale ones by itself, and cleans up its shared memory by them, but believes
    them when the number has meanwhile gone to another process of the same user.
    """
    for path in (
        cluster.data / "postmaster.pid",
        cluster.socket / f".s.PGSQL.{cluster.socket_port}.lock",
    ):
        with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
            pid = int(path.read_text().splitlines()[0])
            if psutil.pid_exists(abs(pid)):
                path.unlink()


async def _end(
    alive: Callable[[], list[psutil.Process]], steps: tuple[tuple[int, float], ...]
) -> list[psutil.Process]:
    """Sends each step's signal and waits its seconds for all to be gone; returns who is not."""
    left = alive()
    for number, seconds in steps:
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
        deadline = time.monotonic() + seconds
        while left and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
            left = alive()
        if not left:
            break
    return left
