"""Processes told by a mark in their environment, which every descendant inherits.

Process groups alone are not enough: a training run or a pool of workers may have one of its own,
and once its parent is killed nothing else ties it to the instance.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

import psutil

VARIABLE = "KINSIGHT_PROCESS"


def mark(instance: str, service: str) -> str:
    return f"{instance}/{service}"


def marked(instance: str, service: str | None = None) -> list[psutil.Process]:
    """The running processes of an instance, or of one of its services only."""
    wanted = mark(instance, service or "")
    return [process for process in psutil.process_iter() if _matches(process, wanted, service)]


def _matches(process: psutil.Process, wanted: str, service: str | None) -> bool:
    try:
        value: str = process.environ().get(VARIABLE, "")
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
    except (psutil.Error, OSError):
        return False  # gone meanwhile, or somebody else's
    return value.startswith(wanted) if service is None else value == wanted


def kill_marked(instance: str, service: str | None = None) -> list[psutil.Process]:
    """Kills them, and says which there were."""
    found = marked(instance, service)
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()
    return found


async def clear_marked(
    instance: str, service: str | None = None, *, patience: float = 0.0, seconds: float = 5.0
) -> None:
    """Returns when none is left: they have `patience` seconds to go, then they are killed."""
    start = time.monotonic()
    while time.monotonic() < start + patience + seconds:
        waiting = time.monotonic() < start + patience
        if not (marked if waiting else kill_marked)(instance, service):
            return
        await asyncio.sleep(0.02)
