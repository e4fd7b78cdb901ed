"""Where the queries of an evaluation come from."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from kinsight.archives import open_archive
from kinsight.clients.indexer import IndexerClient
from kinsight.contracts.libraries import TrainingImage
from kinsight.store import Store


@dataclass(frozen=True)
class Query:
    """A stored picture and what is seen on it; `image_id` where it is in the library itself."""

    key: str
    label: str
    image_id: int | None = None


class QuerySource(Protocol):
    total: int | None  # queries to come, where that is known
    skipped: int  # queries left out so far: unreadable, or without a label

    def batches(self, size: int) -> AsyncGenerator[list[Query], None]:
        """Each batch may be forgotten by the source when the next one is asked for."""
        ...


class ValidationQueries:
    """The images that training kept back, as they are labelled in the library by now."""

    def __init__(self, indexer: IndexerClient, library: str, image_ids: Collection[int]) -> None:
        self._indexer = indexer
        self._library = library
        self._wanted = set(image_ids)
        self.total: int | None = len(self._wanted)
        self.skipped = 0

    async def batches(self, size: int) -> AsyncGenerator[list[Query], None]:
        found = [
            Query(image.key, image.label, image.image_id)
            async for image in _lines(self._indexer.training_set(self._library))
            if image.image_id in self._wanted
        ]
        self.skipped = len(self._wanted) - len(found)  # deleted since, or their label taken away
        self.total = len(found)
        for start in range(0, len(found), size):
            yield found[start : start + size]


class ArchiveQueries:
    """A zip or tar of class folders: the last folder is the label.

    Members go into the store a batch at a time, because the extractor reads from there.
    """

    def __init__(self, path: Path, store: Store, prefix: str, max_bytes: int) -> None:
        """Raises BadArchive."""
        self._source = open_archive(path, "folders", max_bytes)
        self._store = store
        self._prefix = prefix
        self.total: int | None = self._source.total
        self.skipped = 0

    async def batches(self, size: int) -> AsyncGenerator[list[Query], None]:
        members = self._source.members(0)
        number = 0
        while batch := await asyncio.to_thread(lambda: list(islice(members, size))):
            usable = [(m.label, m.data) for m in batch if m.label and m.reason is None]
            self.skipped += len(batch) - len(usable)
            queries = []
            for label, _ in usable:
                queries.append(Query(f"{self._prefix}{number}", label))
                number += 1
            await self._store.put_many(
                [(query.key, data) for query, (_, data) in zip(queries, usable, strict=True)]
            )
            yield queries
            for query in queries:
                await self._store.delete(query.key)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[TrainingImage]:
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield TrainingImage(**json.loads(line))
    if rest:
        yield TrainingImage(**json.loads(rest))
