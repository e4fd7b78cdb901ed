"""Blocking work beside the event loop that must never keep the program from ending."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

_RESULT = TypeVar("_RESULT")


async def beside(work: Callable[[threading.Event], _RESULT]) -> _RESULT:
    """Runs `work` in a thread of its own; sets the event it is given when nobody waits any more.

    Unlike the event loop's executor, which is waited for at the end of the program: a request
    under way would hold up a stop for as long as its timeout.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_RESULT] = loop.create_future()
    stop = threading.Event()

    def tell(settle: Callable[[], None]) -> None:
        def unless_gone() -> None:
            if not done.done():
                settle()

        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(unless_gone)

    def run() -> None:
        try:
            result = work(stop)
        except BaseException as error:  # noqa: BLE001  handed to whoever waits
            tell(partial(done.set_exception, error))
        else:
            tell(partial(done.set_result, result))

    threading.Thread(target=run, name="beside", daemon=True).start()
    try:
        return await done
    finally:
        stop.set()
