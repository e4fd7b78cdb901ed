"""The gateway service, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from gateway import (
    page,
    reference,
    routes_admin,
    routes_index,
    routes_jobs,
    routes_libraries,
    routes_models,
    routes_search,
    sessions,
)
from gateway.keys import ApiKeys
from gateway.live_models import LiveModels
from gateway.metrics import watch_jobs
from gateway.same_origin import SameOrigin
from gateway.state import State
from kinsight.broker import open_broker
from kinsight.clients.admin import AdminClient
from kinsight.clients.extractor import ExtractorClient
from kinsight.clients.fetch import Fetcher
from kinsight.clients.http import ServiceClient, open_session
from kinsight.clients.indexer import IndexerClient
from kinsight.clients.trainer import TrainerClient
from kinsight.database import open_pool
from kinsight.database.migrate import migrate
from kinsight.database.pool import CONNECTION_ERRORS
from kinsight.errors import Unavailable
from kinsight.jobs import JobRows
from kinsight.store import open_store
from kinsight.web.service import create_service
from kinsight.web.settings import Settings

_ROUTERS = (
    routes_search.router,
    routes_index.router,
    routes_jobs.router,
    routes_libraries.router,
    routes_models.router,
    routes_admin.router,
)


def create_app(settings: Settings | None = None) -> FastAPI:
    settings = settings or Settings()
    versioned = APIRouter(prefix="/v1", include_in_schema=False)
    for router in _ROUTERS:
        versioned.include_router(router)
    app = create_service(
        "gateway",
        settings,
        lifespan=_lifespan,
        routers=[page.router, reference.router, sessions.router, *_ROUTERS, versioned],
        ready=_ready,
        description="Visual search that learns your own categories. Every path is also under /v1.",
    )
    app.add_middleware(ApiKeys, keys=settings.api_keys)
    app.add_middleware(SameOrigin)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    async with (
        await open_pool(settings.database_url) as pool,
        open_session() as session,
    ):
        await migrate(pool)
        indexer = IndexerClient(ServiceClient("indexer", settings.indexer_url, session))
        jobs = JobRows(pool, open_broker(settings.broker_url, pool))
        fetcher = Fetcher(
            settings.max_image_bytes, private_addresses=settings.fetch_private_addresses
        )
        app.state.gateway = State(
            settings=settings,
            pool=pool,
            store=open_store(settings.store_url),
            jobs=jobs,
            extractor=ExtractorClient(
                ServiceClient("feature-extractor", settings.extractor_url, session)
            ),
            indexer=indexer,
            trainer=TrainerClient(ServiceClient("trainer", settings.trainer_url, session)),
            admin=AdminClient(ServiceClient("admin", settings.admin_url, session)),
            fetcher=fetcher,
            live_models=LiveModels(indexer),
        )
        watching = asyncio.create_task(watch_jobs(jobs))
        warming = asyncio.create_task(_warm(app.state.gateway))
        try:
            yield
        finally:
            watching.cancel()
            warming.cancel()
            await fetcher.close()


async def _warm(state: State) -> None:
    """Has the live models loaded, so that the first search after a start is quick too."""
    while True:
        try:
            for library in (await state.indexer.libraries()).libraries:
                if library.model:
                    await state.extractor.load(library.model)
        except Unavailable:
            await asyncio.sleep(0.5)
        else:
            return


async def _ready(app: FastAPI) -> None:
    try:
        await app.state.gateway.pool.fetchval("SELECT 1", timeout=2)
    except (*CONNECTION_ERRORS, TimeoutError) as error:
        raise Unavailable("Postgres does not answer.") from error
