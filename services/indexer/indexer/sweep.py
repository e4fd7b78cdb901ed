"""Sweeping the store: blobs no image names any more, and uploads whose jobs have ended."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from indexer import metrics
from kinsight.database import Pool
from kinsight.database.pool import CONNECTION_ERRORS
from kinsight.errors import KinsightError
from kinsight.store import Store, blob_key

_LOCK = 0x53575045
_BATCH = 500
_EVERY_SECONDS = 30.0
_ORPHAN_SECONDS = 3600.0  # an upload no job names: one that broke off, or one still arriving
_log = logging.getLogger(__name__)


@asynccontextmanager
async def keep_blobs(pool: Pool) -> AsyncIterator[None]:
    """No sweep deletes blobs inside this context: from storing them to committing their rows."""
    async with pool.acquire() as connection:
        await connection.execute("SELECT pg_advisory_lock_shared($1)", _LOCK)
        try:
            yield
        finally:
            if not connection.is_closed():  # a closed one has lost its locks anyway
                await connection.execute("SELECT pg_advisory_unlock_shared($1)", _LOCK)


class Sweeper:
    def __init__(self, pool: Pool, store: Store) -> None:
        self._pool = pool
        self._store = store
        self._first_seen: dict[str, float] = {}

    async def run(self) -> None:
        """Sweeps now and then until cancelled."""
        while True:
            try:
                await self.sweep_blobs()
                await self.sweep_uploads()
            except (*CONNECTION_ERRORS, KinsightError) as error:
                _log.warning("Sweeping again later: %s", error)
            await asyncio.sleep(_EVERY_SECONDS)

    async def sweep_blobs(self) -> int:
        """Deletes blobs written down as garbage that no image names; returns how many."""
        swept = 0
        while True:
            async with self._pool.acquire() as connection, connection.transaction():
                if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
                    return swept  # an ingest is at work; next time
                rows = await connection.fetch(
                    "DELETE FROM blob_garbage WHERE sha256 IN"
                    " (SELECT sha256 FROM blob_garbage LIMIT $1)"
                    " RETURNING sha256, EXISTS (SELECT 1 FROM images"
                    " WHERE images.sha256 = blob_garbage.sha256) AS used",
                    _BATCH,
                )
                unused = [row["sha256"].hex() for row in rows if not row["used"]]
                for sha256 in unused:
                    await self._store.delete(blob_key(sha256))
                    await self._store.delete_prefix(f"thumbnails/{sha256[:2]}/{sha256}")
            swept += len(unused)
            metrics.BLOBS_SWEPT.inc(len(unused))
            if len(rows) < _BATCH:
                return swept

    async def sweep_uploads(self) -> int:
        """Deletes uploads whose jobs have ended; returns how many."""
        keys = [key for key in await self._store.keys("uploads/") if key.count("/") == 1]
        rows = await self._pool.fetch(
            "SELECT coalesce(payload->>'upload', payload->>'queries') AS key,"
            " bool_or(state IN ('queued', 'running')) AS open FROM jobs"
            " WHERE payload->>'upload' = ANY($1) OR payload->>'queries' = ANY($1) GROUP BY 1",
            keys,
        )
        open_by_key = {row["key"]: row["open"] for row in rows}
        now = time.monotonic()
        swept = 0
        for key in keys:
            first = self._first_seen.setdefault(key, now)
            orphaned = key not in open_by_key and now - first > _ORPHAN_SECONDS
            if orphaned or open_by_key.get(key) is False:
                await self._store.delete(key)
                self._first_seen.pop(key, None)
                swept += 1
        return swept
