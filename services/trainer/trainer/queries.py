"""Where the queries of an evaluation come from."""

from __future__ import annotations

import asyncio
import json
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Protocol

from kinsight.clients.indexer import IndexerClient
from kinsight.contracts.libraries import TrainingImage
from kinsight.errors import BadArchive
from kinsight.store import Store

_ENCRYPTED = 0x1
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    NotImplementedError,  # zipfile: a compression method Python does not know
    RuntimeError,  # zipfile: a password is needed
)


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
        self._path = path
        self._store = store
        self._prefix = prefix
        self._max_bytes = max_bytes
        self.total: int | None = _count(path)
        self.skipped = 0

    async def batches(self, size: int) -> AsyncGenerator[list[Query], None]:
        members = _read(self._path, self._max_bytes)
        number = 0
        while batch := await asyncio.to_thread(lambda: list(islice(members, size))):
            usable = [(label, data) for label, data in batch if label and data]
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


def _count(path: Path) -> int | None:
    """Raises BadArchive where it is neither zip nor tar; None for a tar, read forward only."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return sum(not info.is_dir() for info in archive.infolist())
        with tarfile.open(path) as archive:
            archive.next()
    except _DAMAGED as error:
        raise BadArchive(
            f"The queries are no zip or tar archive that can be read ({error}); send one of "
            "class folders."
        ) from error
    return None


def _read(path: Path, max_bytes: int) -> Iterator[tuple[str | None, bytes | None]]:
    """Label and bytes of every file; None for a label or bytes that it has not."""
    if zipfile.is_zipfile(path):
        yield from _read_zip(path, max_bytes)
    else:
        yield from _read_tar(path, max_bytes)


def _read_zip(path: Path, max_bytes: int) -> Iterator[tuple[str | None, bytes | None]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            data = None
            if info.file_size <= max_bytes and not info.flag_bits & _ENCRYPTED:
                try:
                    # The size in the header is the sender's word only: never read further.
                    with archive.open(info) as file:
                        data = file.read(max_bytes + 1)
                except _DAMAGED:
                    pass  # costs this member only
            yield _label(info.filename), data if data and len(data) <= max_bytes else None


def _read_tar(path: Path, max_bytes: int) -> Iterator[tuple[str | None, bytes | None]]:
    try:
        with tarfile.open(path, "r|*") as archive:
            for info in archive:
                archive.members = []  # type: ignore[attr-defined]  # else every header is kept
                if info.isdir():
                    continue
                file = archive.extractfile(info) if info.isreg() else None
                fits = file is not None and info.size <= max_bytes
                yield _label(info.name), file.read() if fits and file else None
    except _DAMAGED as error:
        raise BadArchive(f"The tar archive of queries breaks off ({error}); send it again.") from (
            error
        )


def _label(name: str) -> str | None:
    """The last folder, as at ingest; None for resource files and names outside any folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    if "__MACOSX" in path.parts or path.name.startswith("._"):
        return None
    return path.parent.name or None
