"""Where the queries of an evaluation come from."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

from kinsight.archives import open_archive
from kinsight.store import Store
from kinsight.store.base import blob_key
from trainer.library_images import LibraryImages


@dataclass(frozen=True)
class Query:
    """A stored picture and what is seen on it.

    blob: the key that these bytes have in a library, by which the same file is known.
    """

    key: str
    label: str
    blob: str


class QuerySource(Protocol):
    total: int | None  # queries to come, where that is known
    origin: Literal["held-out", "folder"]
    # Library images that a query may be like: it counts, and they are left out of its hits. One
    # that is like any other image of the library does not count.
    kept_apart: frozenset[int]
    skipped: int  # queries left out so far: unreadable, or without a label

    def batches(self, size: int) -> AsyncGenerator[list[Query], None]:
        """Each batch may be forgotten by the source when the next one is asked for."""
        ...


class ValidationQueries:
    """The images that training kept back, as they are labelled in the library by now."""

    origin: Literal["held-out", "folder"] = "held-out"

    def __init__(self, images: LibraryImages, image_ids: Collection[int]) -> None:
        self._images = images
        self._rows = images.rows_of(image_ids)
        self.kept_apart = frozenset(image_ids)
        self.total: int | None = len(self._rows)
        # Deleted since, or their label taken away.
        self.skipped = len(self.kept_apart) - len(self._rows)

    async def batches(self, size: int) -> AsyncGenerator[list[Query], None]:
        keys, labels = self._images.keys, self._images.labels
        for start in range(0, len(self._rows), size):
            rows = self._rows[start : start + size]
            yield [Query(keys[row], labels[row], keys[row]) for row in rows]


class ArchiveQueries:
    """A zip or tar of class folders: the last folder is the label.

    Members go into the store a batch at a time, because the extractor reads from there.
    """

    origin: Literal["held-out", "folder"] = "folder"
    kept_apart: frozenset[int] = frozenset()

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
            for label, data in usable:
                blob = blob_key(hashlib.sha256(data).hexdigest())
                queries.append(Query(f"{self._prefix}{number}", label, blob))
                number += 1
            await self._store.put_many(
                [(query.key, data) for query, (_, data) in zip(queries, usable, strict=True)]
            )
            yield queries
            for query in queries:
                await self._store.delete(query.key)
