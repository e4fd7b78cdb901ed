"""Filling an index with the images it lacks."""

from __future__ import annotations

import asyncio
import time

from indexer import indexes, metrics
from indexer.indexes import Index
from kinsight.clients.extractor import ExtractorClient
from kinsight.contracts.jobs import Progress
from kinsight.database import Connection, Pool, Record
from kinsight.errors import Conflict
from kinsight.jobs import JobContext
from kinsight.store import blob_key

_BATCH = 128


class Fill:
    """Files the images that an index lacks."""

    def __init__(
        self, pool: Pool, extractor: ExtractorClient, context: JobContext, index: Index
    ) -> None:
        self._pool = pool
        self._extractor = extractor
        self._context = context
        self._index = index
        self._began = time.monotonic()
        self.done = 0
        self.failed: list[int] = []  # images whose bytes cannot be embedded: never tried twice

    async def rounds(self) -> None:
        """Until nothing is missing, as far as can be seen without a lock."""
        left = await self.missing(self._pool, None)
        if left:
            await self._tell(left)
        rows = await self.next_rows(self._pool)
        while rows:
            await self.file(rows, None)
            left -= len(rows)
            if left <= 0:
                left = await self.missing(self._pool, None)
            await self._tell(left)
            rows = await self.next_rows(self._pool)

    async def missing(self, connection: Connection | Pool, limit: int | None) -> int:
        count = await connection.fetchval(
            f"SELECT count(*) FROM (SELECT 1 {self._lacking()} LIMIT $3) AS lacking",
            self._index.library_id,
            self.failed,
            limit,
        )
        return int(count)

    async def next_rows(self, connection: Connection | Pool) -> list[Record]:
        return await connection.fetch(
            f"SELECT id, sha256 {self._lacking()} ORDER BY id LIMIT $3",
            self._index.library_id,
            self.failed,
            _BATCH,
        )

    async def file(self, rows: list[Record], connection: Connection | None) -> None:
        """In a transaction of its own, or in the caller's."""
        inspections, embeddings = await self._extractor.embed_stored(
            [blob_key(row["sha256"].hex()) for row in rows],
            self._index.model_id,
            crops=self._index.crops,
        )
        pairs = list(zip(rows, inspections, strict=True))
        self.failed += [row["id"] for row, seen in pairs if seen.error is not None]
        ids = [row["id"] for row, seen in pairs if seen.error is None]
        classes = indexes.predicted_classes(embeddings) if ids else []
        if connection is not None:
            await indexes.make_class_tables(connection, self._index, classes)
            self.done += await indexes.add_missing(connection, self._index, ids, embeddings)
            return
        async with self._pool.acquire() as own:
            await indexes.make_class_tables(own, self._index, classes)
            async with own.transaction():
                await self._context.guard(own)
                if await indexes.get(own, self._index.id) is None:
                    raise Conflict("The index was dropped while it was being filled.")
                filed = await indexes.add_missing(own, self._index, ids, embeddings)
        self.done += filed
        metrics.REINDEXED.inc(filed)
        await asyncio.sleep(0)

    def _lacking(self) -> str:
        return (
            "FROM images WHERE library_id = $1 AND NOT (id = ANY($2)) AND NOT EXISTS"
            f" (SELECT 1 FROM {self._index.table} WHERE image_id = images.id)"
        )

    async def _tell(self, left: int) -> None:
        seconds = max(time.monotonic() - self._began, 1e-3)
        rate = self.done / seconds
        await self._context.progress(
            Progress(
                done=self.done,
                total=self.done + max(left, 0),
                unit="images",
                per_second=rate,
                eta_seconds=left / rate if rate else None,
            )
        )
