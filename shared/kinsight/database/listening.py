"""LISTEN on a channel for good: over every restart of the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NoReturn

from kinsight.database.pool import CONNECTION_ERRORS, Pool

_RECONNECT_SECONDS = 0.5
_log = logging.getLogger(__name__)


async def listen(pool: Pool, channel: str, hear: Callable[[str], None]) -> NoReturn:
    """Calls `hear` with each payload, on one connection of the pool, until cancelled.

    What is sent while the server is away is not heard: listeners have to look as well.
    """

    def receive(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        hear(str(payload))

    while True:
        try:
            async with pool.acquire() as connection:
                gone = asyncio.Event()
                connection.add_termination_listener(lambda _, gone=gone: gone.set())
                await connection.add_listener(channel, receive)
                try:
                    await gone.wait()
                finally:
                    if not connection.is_closed():
                        await connection.remove_listener(channel, receive)
        except CONNECTION_ERRORS as error:
            _log.info("Listening to %s again after %s", channel, error)
        await asyncio.sleep(_RECONNECT_SECONDS)
