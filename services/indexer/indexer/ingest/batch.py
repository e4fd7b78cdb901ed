"""One batch of files: stored, looked at by the extractor, then committed in one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from indexer import indexes, libraries
from indexer.indexes import Index
from indexer.ingest import ledger
from indexer.ingest.ledger import Entry
from indexer.sweep import keep_blobs
from kinsight.archives.members import Member
from kinsight.clients.extractor import ExtractorClient
from kinsight.contracts.embeddings import Embeddings
from kinsight.contracts.extraction import Inspection
from kinsight.contracts.jobs import ItemOutcome, Progress
from kinsight.database import Connection, Pool
from kinsight.jobs import JobContext
from kinsight.store import Store, blob_key


@dataclass(frozen=True)
class Seen:
    """What the extractor said of the batch's new pictures, under the index live at that time."""

    index: Index | None
    inspections: dict[bytes, Inspection]
    rows: dict[bytes, int]  # row of the embeddings
    embeddings: Embeddings | None


class BatchWriter:
    """Files batches of one library."""

    def __init__(
        self, pool: Pool, store: Store, extractor: ExtractorClient, library_id: int
    ) -> None:
        self._pool = pool
        self._store = store
        self._extractor = extractor
        self._library_id = library_id

    @asynccontextmanager
    async def prepare(self, members: Sequence[Member]) -> AsyncIterator[Seen]:
        """Stores and embeds what is new; inside the context no sweep touches these blobs."""
        async with keep_blobs(self._pool):
            contents = {m.sha256: m.data for m in members if m.reason is None}
            index = await self._live_index()
            known = await self._searchable(list(contents), index)
            new = [sha256 for sha256 in contents if sha256 not in known]
            await self._store.put_many(
                [(blob_key(sha256.hex()), contents[sha256]) for sha256 in new]
            )
            yield await self._look(new, index)

    async def commit(
        self, context: JobContext, members: Sequence[Member], seen: Seen, progress: Progress
    ) -> bool:
        """Writes images, class tables, ledger and progress at once.

        Returns False, having written nothing, when another index went live meanwhile.
        """
        async with self._pool.acquire() as connection:
            if seen.index and seen.embeddings and len(seen.embeddings):
                await indexes.make_class_tables(
                    connection, seen.index, indexes.predicted_classes(seen.embeddings)
                )
            async with connection.transaction():
                await context.guard(connection)
                live = await libraries.lock(connection, self._library_id)
                if (live and live.id) != (seen.index and seen.index.id):
                    return False
                entries = await self._file(connection, members, seen)
                await ledger.write(connection, context.claim.id, entries)
                await context.progress(progress, connection)
        return True

    async def _live_index(self) -> Index | None:
        async with self._pool.acquire() as connection:
            return await libraries.lock(connection, self._library_id)

    async def _searchable(self, shas: list[bytes], index: Index | None) -> set[bytes]:
        """Those images of the library that need no more work."""
        filed = (
            f" AND EXISTS (SELECT 1 FROM {index.table} WHERE image_id = images.id)" if index else ""
        )
        rows = await self._pool.fetch(
            f"SELECT sha256 FROM images WHERE library_id = $1 AND sha256 = ANY($2){filed}",
            self._library_id,
            shas,
        )
        return {row["sha256"] for row in rows}

    async def _look(self, shas: list[bytes], index: Index | None) -> Seen:
        keys = [blob_key(sha256.hex()) for sha256 in shas]
        if not keys:
            return Seen(index, {}, {}, None)
        if index is None:
            inspections = await self._extractor.inspect_stored(keys)
            return Seen(None, dict(zip(shas, inspections, strict=True)), {}, None)
        inspections, embeddings = await self._extractor.embed_stored(
            keys, index.model_id, crops=index.crops
        )
        good = [
            sha256 for sha256, seen in zip(shas, inspections, strict=True) if seen.error is None
        ]
        rows = {sha256: row for row, sha256 in enumerate(good)}
        return Seen(index, dict(zip(shas, inspections, strict=True)), rows, embeddings)

    async def _file(
        self, connection: Connection, members: Sequence[Member], seen: Seen
    ) -> list[Entry]:
        ids = await self._insert_images(connection, members, seen)
        before = await self._ids(connection, members)
        await self._index_images(connection, seen, ids, before)
        refused = [sha for sha, found in seen.inspections.items() if found.error is not None]
        await connection.execute(
            "INSERT INTO blob_garbage (sha256) SELECT unnest($1::bytea[]) ON CONFLICT DO NOTHING",
            refused,
        )
        fresh = ItemOutcome.INDEXED if seen.index else ItemOutcome.STORED
        entries = []
        told: set[bytes] = set()
        for member in members:
            sha256 = member.sha256
            found = seen.inspections.get(sha256)
            reason = member.reason or (found.error if found else None)
            if reason is not None:
                entries.append(Entry(member.number, member.name, ItemOutcome.REJECTED, reason))
                continue
            is_new = sha256 not in told and (sha256 in ids or (seen.index and sha256 in seen.rows))
            told.add(sha256)
            outcome = fresh if is_new else ItemOutcome.DUPLICATE
            entries.append(Entry(member.number, member.name, outcome, None, before[sha256]))
        return entries

    async def _insert_images(
        self, connection: Connection, members: Sequence[Member], seen: Seen
    ) -> dict[bytes, int]:
        """Ids of the images that were not in the library before."""
        usable: dict[bytes, Member] = {}
        for member in members:
            found = seen.inspections.get(member.sha256) if member.reason is None else None
            if found and found.error is None:
                usable.setdefault(member.sha256, member)
        # In the order of the hashes, so that two ingests never wait for each other.
        shas = sorted(usable)
        facts = [seen.inspections[sha256] for sha256 in shas]
        rows = await connection.fetch(
            "INSERT INTO images (library_id, sha256, filename, label, bytes, width, height,"
            " format, perceptual_hash) SELECT $1, * FROM unnest($2::bytea[], $3::text[],"
            " $4::text[], $5::bigint[], $6::int[], $7::int[], $8::text[], $9::bigint[])"
            " ON CONFLICT (library_id, sha256) DO NOTHING RETURNING id, sha256",
            self._library_id,
            shas,
            [usable[sha256].name for sha256 in shas],
            [usable[sha256].label for sha256 in shas],
            [len(usable[sha256].data) for sha256 in shas],
            [fact.width for fact in facts],
            [fact.height for fact in facts],
            [fact.format for fact in facts],
            [fact.perceptual_hash for fact in facts],
        )
        return {row["sha256"]: row["id"] for row in rows}

    async def _ids(self, connection: Connection, members: Sequence[Member]) -> dict[bytes, int]:
        rows = await connection.fetch(
            "SELECT id, sha256 FROM images WHERE library_id = $1 AND sha256 = ANY($2)",
            self._library_id,
            [member.sha256 for member in members if member.reason is None],
        )
        return {row["sha256"]: row["id"] for row in rows}

    async def _index_images(
        self, connection: Connection, seen: Seen, ids: dict[bytes, int], before: dict[bytes, int]
    ) -> None:
        if seen.index is None or seen.embeddings is None:
            return
        new = [sha256 for sha256 in seen.rows if sha256 in ids]
        await indexes.add(
            connection,
            seen.index,
            [ids[sha256] for sha256 in new],
            indexes.take(seen.embeddings, [seen.rows[sha256] for sha256 in new]),
        )
        stored = [sha256 for sha256 in seen.rows if sha256 not in ids and sha256 in before]
        if stored:  # in the library before, but not searchable
            await indexes.add_missing(
                connection,
                seen.index,
                [before[sha256] for sha256 in stored],
                indexes.take(seen.embeddings, [seen.rows[sha256] for sha256 in stored]),
            )
