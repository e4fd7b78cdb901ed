"""The ingest job: reads ahead, files batch after batch, goes on after a crash."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from indexer import libraries
from indexer.ingest import ledger
from indexer.ingest.addresses import AddressSource
from indexer.ingest.batch import BatchWriter
from indexer.ingest.folders import FolderSource, allowed_folder
from kinsight.archives import open_archive
from kinsight.archives.members import Member, Source
from kinsight.clients.extractor import ExtractorClient
from kinsight.clients.fetch import Fetcher
from kinsight.contracts.ingest import IngestRequest
from kinsight.contracts.jobs import Progress
from kinsight.database import Pool
from kinsight.errors import Conflict
from kinsight.jobs import JobContext
from kinsight.store import Store
from kinsight.web.settings import Settings

_BATCH_FILES = 128
_BATCH_BYTES = 32 << 20
_SWITCHES = 20  # models that may go live under one batch before we call it hopeless


@dataclass(frozen=True)
class IngestJob:
    pool: Pool
    store: Store
    extractor: ExtractorClient
    fetcher: Fetcher
    settings: Settings

    async def __call__(self, context: JobContext) -> dict[str, Any]:
        """Returns the totals of the ledger."""
        request = IngestRequest(**context.claim.payload)
        library = context.claim.library or ""
        library_id = await libraries.library_id(self.pool, library)
        writer = BatchWriter(self.pool, self.store, self.extractor, library_id)
        start = await ledger.next_number(self.pool, context.claim.id)
        async with self._source(request) as source:
            pace = _Pace(start, source.total)
            members = source.members(start)
            ahead = asyncio.create_task(asyncio.to_thread(_take, members))
            try:
                while batch := await ahead:
                    ahead = asyncio.create_task(asyncio.to_thread(_take, members))
                    await self._file(context, writer, batch, pace)
            finally:
                # The thread reads the archive until its batch is full; leave it nothing to read.
                ahead.cancel()
        return await ledger.totals(self.pool, context.claim.id)

    async def _file(
        self, context: JobContext, writer: BatchWriter, batch: list[Member], pace: _Pace
    ) -> None:
        progress = pace.after(len(batch))
        for _ in range(_SWITCHES):
            async with writer.prepare(batch) as seen:
                if await writer.commit(context, batch, seen, progress):
                    return
        raise Conflict("The library's model changed all the time; send the files again.")

    @asynccontextmanager
    async def _source(self, request: IngestRequest) -> AsyncIterator[Source]:
        limit = self.settings.max_image_bytes
        if request.upload is not None:
            async with self.store.local_file(request.upload) as path:
                yield await asyncio.to_thread(open_archive, path, request.labels, limit)
        elif request.folder is not None:
            folder = allowed_folder(request.folder, self.settings.ingest_roots)
            yield await asyncio.to_thread(FolderSource, folder, request.labels, limit)
        else:
            yield AddressSource(request.urls or [], self.fetcher, asyncio.get_running_loop())


class _Pace:
    """Rate and time left, measured over this attempt."""

    def __init__(self, start: int, total: int | None) -> None:
        self._done = self._start = start
        self._total = total
        self._began = time.monotonic()

    def after(self, files: int) -> Progress:
        self._done += files
        seconds = max(time.monotonic() - self._began, 1e-3)
        rate = (self._done - self._start) / seconds
        left = (self._total - self._done) / rate if self._total is not None else None
        return Progress(
            done=self._done, total=self._total, unit="files", per_second=rate, eta_seconds=left
        )


def _take(members: Iterator[Member]) -> list[Member]:
    """The next batch: so many files or bytes, whichever is reached first."""
    batch: list[Member] = []
    size = 0

    def room(member: Member) -> bool:
        nonlocal size
        batch.append(member)
        size += len(member.data)
        member.sha256  # noqa: B018  hashed here, in the reading thread, not on the event loop
        return len(batch) < _BATCH_FILES and size < _BATCH_BYTES

    for _ in takewhile(room, members):
        pass
    return batch
