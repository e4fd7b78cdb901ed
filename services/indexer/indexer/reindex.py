"""The reindex job: fills an index beside the live one, then switches in one transaction.

Searches go on under the live index all the while; what is ingested meanwhile goes there, and is
taken over before the switch. Modes: `promote` another model, `build` its index without the switch
(to be evaluated), `rebuild` under the live model, `catch-up` fills what the live index lacks
(after a rollback or a clear).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from indexer import indexes, libraries, metrics
from indexer.indexes import Index
from kinsight.clients.extractor import ExtractorClient
from kinsight.contracts.jobs import Progress
from kinsight.contracts.models import ModelCard
from kinsight.database import Connection, Pool, Record
from kinsight.errors import BlobNotFound, Conflict, ModelNotFound
from kinsight.jobs import JobContext
from kinsight.store import Store, blob_key

_BATCH = 128
_LOCKED_REST = 256  # so many images may be left when the library is locked for the switch


@dataclass(frozen=True)
class ReindexJob:
    pool: Pool
    store: Store
    extractor: ExtractorClient

    async def __call__(self, context: JobContext) -> dict[str, Any]:
        library = context.claim.library or ""
        library_id = await libraries.library_id(self.pool, library)
        index = await self._index(context, library_id)
        if index is None:
            return {"library": library, "model": None, "indexed": 0, "failed": 0}
        await self.extractor.load(index.model_id)
        fill = _Fill(self, context, library_id, index)
        await fill.rounds()
        if context.claim.payload["mode"] != "build":
            while not await self._switch(context, library_id, index, fill):
                await fill.rounds()
        return {
            "library": library,
            "model": index.model_id,
            "indexed": fill.done,
            "failed": len(fill.failed),
        }

    async def _index(self, context: JobContext, library_id: int) -> Index | None:
        """The index to fill: this job's own from before a crash, the earlier one, or a new one."""
        mode = context.claim.payload["mode"]
        async with self.pool.acquire() as connection, connection.transaction():
            await context.guard(connection)
            live = await libraries.lock(connection, library_id, exclusive=True)
            if mode == "catch-up":
                return live
            built = await indexes.built_by(connection, context.claim.id)
            if built:
                return built
            model = context.claim.payload["model"]
            if mode in ("promote", "build"):
                if live and live.model_id == model:
                    return live
                earlier = await indexes.newest(
                    connection, library_id, model, other_than=live.id if live else None
                )
                if earlier:
                    return earlier
            card = await self._card(model)
            return await indexes.create(connection, library_id, card, context.claim.id)

    async def _card(self, model: str) -> ModelCard:
        try:
            return ModelCard.model_validate_json(await self.store.get(f"models/{model}/card.json"))
        except BlobNotFound as error:
            raise ModelNotFound(f"There is no model {model}; `GET /models` lists them.") from error

    async def _switch(
        self, context: JobContext, library_id: int, index: Index, fill: _Fill
    ) -> bool:
        """Files the last few images with the library locked and makes the index live.

        Returns False when more has arrived than can be filed while others wait.
        """
        async with self.pool.acquire() as connection, connection.transaction():
            await context.guard(connection)
            await libraries.lock(connection, library_id, exclusive=True)
            if await fill.missing(connection, _LOCKED_REST + 1) > _LOCKED_REST:
                return False
            while rows := await fill.next_rows(connection):
                await fill.file(rows, connection)
            await libraries.switch(connection, library_id, index)
        return True


class _Fill:
    """Files the images that an index lacks."""

    def __init__(self, job: ReindexJob, context: JobContext, library_id: int, index: Index) -> None:
        self._job = job
        self._context = context
        self._library_id = library_id
        self._index = index
        self._began = time.monotonic()
        self.done = 0
        self.failed: list[int] = []  # images whose bytes cannot be embedded: never tried twice

    async def rounds(self) -> None:
        """Until nothing is missing, as far as can be seen without a lock."""
        left = await self.missing(self._job.pool, None)
        await self._tell(left)
        rows = await self.next_rows(self._job.pool)
        while rows:
            await self.file(rows, None)
            left -= len(rows)
            if left <= 0:
                left = await self.missing(self._job.pool, None)
            await self._tell(left)
            rows = await self.next_rows(self._job.pool)

    async def missing(self, connection: Connection | Pool, limit: int | None) -> int:
        count = await connection.fetchval(
            f"SELECT count(*) FROM (SELECT 1 {self._lacking()} LIMIT $3) AS lacking",
            self._library_id,
            self.failed,
            limit,
        )
        return int(count)

    async def next_rows(self, connection: Connection | Pool) -> list[Record]:
        return await connection.fetch(
            f"SELECT id, sha256 {self._lacking()} ORDER BY id LIMIT $3",
            self._library_id,
            self.failed,
            _BATCH,
        )

    async def file(self, rows: list[Record], connection: Connection | None) -> None:
        """In a transaction of its own, or in the caller's."""
        inspections, embeddings = await self._job.extractor.embed_stored(
            [blob_key(row["sha256"].hex()) for row in rows], self._index.model_id
        )
        pairs = list(zip(rows, inspections, strict=True))
        self.failed += [row["id"] for row, seen in pairs if seen.error is not None]
        ids = [row["id"] for row, seen in pairs if seen.error is None]
        classes = indexes.predicted_classes(embeddings) if ids else []
        if connection is not None:
            await indexes.make_class_tables(connection, self._index, classes)
            self.done += await indexes.add_missing(connection, self._index, ids, embeddings)
            return
        async with self._job.pool.acquire() as own:
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
