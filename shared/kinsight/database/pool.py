"""Connection pools that outlive the server they connect to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from kinsight.errors import Unavailable

if TYPE_CHECKING:
    Record: TypeAlias = asyncpg.Record
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:  # asyncpg's classes are generic in the stubs alone
    Record, Pool, Connection = asyncpg.Record, asyncpg.Pool, asyncpg.Connection

# What asyncpg raises while the server is away, restarting or in recovery.
CONNECTION_ERRORS = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.TooManyConnectionsError,
)

Setup = Callable[[asyncpg.Connection], Awaitable[None]]


async def open_pool(
    url: str,
    *,
    size: int = 8,
    setup: Setup | None = None,
    wait_seconds: float = 60.0,
) -> Pool:
    """A pool whose connections read and write `jsonb` as Python objects.

    Waits for a server that comes late, up to `wait_seconds`, then raises Unavailable.
    """

    async def prepare(connection: asyncpg.Connection) -> None:
        await connection.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads
        )
        if setup:
            await setup(connection)

    deadline = asyncio.get_running_loop().time() + wait_seconds
    while True:
        try:
            return await asyncpg.create_pool(
                url, min_size=1, max_size=size, init=prepare, command_timeout=60
            )
        except CONNECTION_ERRORS as error:
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(
                    f"Postgres does not answer ({error}); check KINSIGHT_DATABASE_URL."
                ) from error
            await asyncio.sleep(0.2)
