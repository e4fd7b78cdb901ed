"""Waiting for processes to end."""

from __future__ import annotations

import asyncio
import math
import subprocess
import time

import psutil


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and is not yet collected does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


async def ended(
    process: subprocess.Popen[bytes],
    seconds: float = math.inf,
    hurry: asyncio.Event | None = None,
) -> int | None:
    """The exit status, or None when it still runs after these seconds, or once `hurry` is set.

    Polled, so that it works on every event loop, also on another than the one that started it.
    """
    deadline = time.monotonic() + seconds
    pause = 0.005
    while process.poll() is None and time.monotonic() < deadline:
        if hurry is not None and hurry.is_set():
            break
        await asyncio.sleep(pause)
        pause = min(pause * 2, 0.1)
    return process.returncode
