"""Work for torch outside the inference thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


async def in_passing_thread(work: Callable[[], Result]) -> Result:
    """Runs `work` in a thread that ends with it.

    Every thread that computes with torch keeps a team of OpenMP workers for as long as it lives.
    Once the teams together outnumber the cores, libgomp's workers sleep between layers instead of
    spinning, and a batch takes two to three times as long (seen: 7 against 18 ms). So no thread
    of a pool, which would live on, may compute.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        # Whatever it is belongs to whoever waits for the result.
        except BaseException as error:  # noqa: BLE001
            future.set_exception(error)

    threading.Thread(target=run, name="passing", daemon=True).start()
    return await asyncio.wrap_future(future)
