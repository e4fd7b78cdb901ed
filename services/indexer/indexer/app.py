"""The indexer service, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI

from indexer import routes_libraries, routes_promotions, routes_search, vectors
from indexer.engines import ENGINES
from indexer.ingest.job import IngestJob
from indexer.reindex import ReindexJob
from indexer.search import Searcher
from indexer.state import State
from indexer.sweep import Sweeper
from kinsight.broker import Broker, open_broker
from kinsight.clients.extractor import ExtractorClient
from kinsight.clients.fetch import Fetcher
from kinsight.clients.http import ServiceClient, open_session
from kinsight.contracts.jobs import JobKind
from kinsight.database import open_pool
from kinsight.database.migrate import migrate
from kinsight.database.pool import CONNECTION_ERRORS
from kinsight.errors import Unavailable
from kinsight.jobs import Handler, JobRows, Worker
from kinsight.store import open_store
from kinsight.web.service import create_service
from kinsight.web.settings import Settings

_CONNECTIONS = 16
_INGESTS_AT_ONCE = 2  # so that a small upload need not wait for a large one


def create_app(settings: Settings | None = None) -> FastAPI:
    settings = settings or Settings()
    return create_service(
        "indexer",
        settings,
        lifespan=_lifespan,
        routers=[routes_libraries.router, routes_promotions.router, routes_search.router],
        ready=_ready,
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    async with await open_pool(settings.database_url, size=1) as setup:
        await migrate(setup)  # the vector type must exist before connections can speak it
    async with (
        await open_pool(settings.database_url, size=_CONNECTIONS, setup=vectors.register) as pool,
        open_session() as session,
    ):
        store = open_store(settings.store_url)
        broker = open_broker(settings.broker_url, pool)
        jobs = JobRows(pool, broker)
        extractor = ExtractorClient(ServiceClient("extractor", settings.extractor_url, session))
        fetcher = Fetcher(
            settings.max_image_bytes, private_addresses=settings.fetch_private_addresses
        )
        app.state.broker = broker
        app.state.indexer = State(settings, pool, store, jobs, Searcher(pool, ENGINES["sql"]))
        ingest = IngestJob(pool, store, extractor, fetcher, settings)
        reindex = ReindexJob(pool, store, extractor, ENGINES["sql"])
        workers = [
            _worker(settings, jobs, broker, {JobKind.INGEST: ingest}, slots=_INGESTS_AT_ONCE),
            _worker(settings, jobs, broker, {JobKind.REINDEX: reindex}, slots=1),
        ]
        sweeping = asyncio.create_task(Sweeper(pool, store).run())
        await broker.start()
        for worker in workers:
            worker.start()
        try:
            yield
        finally:
            for worker in workers:
                await worker.stop()
            sweeping.cancel()
            await broker.close()
            await fetcher.close()


def _worker(
    settings: Settings,
    jobs: JobRows,
    broker: Broker,
    handlers: Mapping[JobKind, Handler],
    slots: int,
) -> Worker:
    return Worker(
        jobs,
        broker,
        handlers,
        slots=slots,
        lease_seconds=settings.job_lease_seconds,
        attempts=settings.job_attempts,
    )


async def _ready(app: FastAPI) -> list[str]:
    try:
        await app.state.indexer.pool.fetchval("SELECT 1", timeout=2)
    except (*CONNECTION_ERRORS, TimeoutError) as error:
        raise Unavailable("Postgres does not answer.") from error
    # Searches need no broker: whoever balances load must not take this service out for one.
    obstacle = app.state.broker.obstacle
    return [obstacle] if obstacle else []
