"""The trainer service, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from kinsight.broker import Broker, open_broker
from kinsight.clients.extractor import ExtractorClient
from kinsight.clients.http import ServiceClient, open_session
from kinsight.clients.indexer import IndexerClient
from kinsight.contracts.jobs import JobKind
from kinsight.database import open_pool
from kinsight.database.migrate import migrate
from kinsight.database.pool import CONNECTION_ERRORS
from kinsight.errors import Unavailable
from kinsight.jobs import JobRows, Worker
from kinsight.store import open_store
from kinsight.web.service import create_service
from kinsight.web.settings import Settings
from trainer import routes
from trainer.jobs import JOBS, Workshop
from trainer.registry import ModelRegistry
from trainer.settings import TrainerSettings
from trainer.sweep import Sweeper
from trainer.weights_store import WeightsStore


def create_app(settings: Settings | None = None) -> FastAPI:
    return create_service(
        "trainer",
        TrainerSettings.of(settings),
        lifespan=_lifespan,
        routers=[routes.router],
        ready=_ready,
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: TrainerSettings = app.state.settings
    async with await open_pool(settings.database_url) as pool, open_session() as session:
        await migrate(pool)
        store = open_store(settings.store_url)
        broker = open_broker(settings.broker_url, pool)
        extractor = ExtractorClient(ServiceClient("extractor", settings.extractor_url, session))
        indexer = IndexerClient(ServiceClient("indexer", settings.indexer_url, session))
        workshop = Workshop(
            settings=settings,
            pool=pool,
            store=store,
            rows=JobRows(pool, broker),
            indexer=indexer,
            extractor=extractor,
            registry=ModelRegistry(pool, store, extractor),
            weights=WeightsStore(store, settings),
        )
        app.state.workshop = workshop
        app.state.broker = broker
        workers = [_worker(kind, workshop, broker) for kind in JOBS]
        sweeper = Sweeper(pool, store, settings)
        await sweeper.sweep()
        sweeping = asyncio.create_task(sweeper.run())
        await broker.start()
        for worker in workers:
            worker.start()
        try:
            yield
        finally:
            for worker in workers:
                await worker.stop()
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
            await broker.close()


def _worker(kind: JobKind, workshop: Workshop, broker: Broker) -> Worker:
    return Worker(
        workshop.rows,
        broker,
        {kind: JOBS[kind](workshop)},
        lease_seconds=workshop.settings.job_lease_seconds,
        attempts=workshop.settings.job_attempts,
    )


async def _ready(app: FastAPI) -> list[str]:
    try:
        await app.state.workshop.pool.fetchval("SELECT 1", timeout=2)
    except (*CONNECTION_ERRORS, TimeoutError) as error:
        raise Unavailable("Postgres does not answer.") from error
    # Requests are taken all the same, and workers look for jobs on their own.
    obstacle = app.state.broker.obstacle
    return [obstacle] if obstacle else []
