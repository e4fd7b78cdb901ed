"""Services in the test's own process, on real ports: the clients between them speak HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn
from fastapi import FastAPI

from kinsight.broker import open_broker
from kinsight.clients.extractor import ExtractorClient
from kinsight.clients.http import ServiceClient, open_session
from kinsight.clients.indexer import IndexerClient
from kinsight.clients.trainer import TrainerClient
from kinsight.contracts.ingest import IngestRequest
from kinsight.contracts.jobs import Job
from kinsight.contracts.libraries import LibraryCreate
from kinsight.database import Pool, open_pool
from kinsight.errors import Unavailable
from kinsight.jobs import JobRows
from kinsight.local.ports import free_ports
from kinsight.store import Store, open_store
from kinsight.web.settings import Settings


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the tests' own signals stay theirs


@asynccontextmanager
async def serve(app: FastAPI, port: int) -> AsyncIterator[None]:
    server = _Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, lifespan="on")
    )
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(60):
            while not server.started:
                if task.done():
                    await task
                await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await task


@dataclass
class System:
    """Settings for five services, clients to them, and whichever have been started."""

    settings: Settings
    pool: Pool
    store: Store
    rows: JobRows
    session: aiohttp.ClientSession
    _ports: dict[str, int]
    _running: AsyncExitStack
    services: dict[str, AsyncExitStack] = field(default_factory=dict)

    async def start(
        self, service: str, make: Callable[[Settings], FastAPI], seconds: float = 60
    ) -> None:
        stack = AsyncExitStack()
        await stack.enter_async_context(serve(make(self.settings), self._ports[service]))
        self.services[service] = stack
        self._running.push_async_callback(self.stop, service)

        async def ready() -> bool:
            with contextlib.suppress(Unavailable):
                await self.client(service).json("GET", "/readyz")
                return True
            return False

        await eventually(ready, seconds)

    async def stop(self, service: str) -> None:
        stack = self.services.pop(service, None)
        if stack:
            await stack.aclose()

    def client(self, service: str) -> ServiceClient:
        return ServiceClient(service, f"http://127.0.0.1:{self._ports[service]}", self.session)

    @property
    def trainer(self) -> TrainerClient:
        return TrainerClient(self.client("trainer"))

    @property
    def indexer(self) -> IndexerClient:
        return IndexerClient(self.client("indexer"))

    @property
    def extractor(self) -> ExtractorClient:
        return ExtractorClient(self.client("extractor"))

    async def fill(self, library: str, files: Mapping[str, bytes]) -> None:
        """Makes a library and ingests files; needs the indexer and the extractor."""
        await self.indexer.create_library(LibraryCreate(name=library))
        key = f"uploads/{library}-{time.monotonic_ns()}"
        await self.store.put(key, archive(files))
        job = await self.indexer.ingest(library, IngestRequest(upload=key))
        job = await self.ended(job)
        assert job.state == "succeeded", job.error

    async def ended(self, job: Job, seconds: float = 120) -> Job:
        return await self.until(job, lambda found: found.state.ended, seconds)

    async def until(self, job: Job, good: Callable[[Job], bool], seconds: float = 120) -> Job:
        async with asyncio.timeout(seconds):
            while not good(found := await self.rows.get(job.id)):
                await asyncio.sleep(0.05)
        return found


@asynccontextmanager
async def system(database_url: str, folder: Path, **changes: Any) -> AsyncIterator[System]:
    """Nothing is started yet; everything that is gets stopped at the end."""
    names = ("gateway", "extractor", "indexer", "trainer", "admin")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    settings = Settings(
        database_url=database_url,
        store_url=(folder / "store").as_uri(),
        data_dir=folder / "data",
        **{f"{name}_url": f"http://127.0.0.1:{port}" for name, port in ports.items()},
        **changes,
    )
    async with await open_pool(database_url) as pool, open_session() as session:
        broker = open_broker(None, pool)
        async with AsyncExitStack() as running:
            yield System(
                settings,
                pool,
                open_store(settings.store_url),
                JobRows(pool, broker),
                session,
                ports,
                running,
            )


async def eventually(good: Callable[[], Awaitable[bool]], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not await good():
            await asyncio.sleep(0.05)


def archive(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        for name, data in files.items():
            out.writestr(name, data)
    return buffer.getvalue()
