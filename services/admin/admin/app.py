"""The admin service, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from admin import routes
from admin.sampler import Sampler
from admin.settings import AdminSettings
from admin.state import State
from admin.watching import watch
from kinsight.broker import open_broker
from kinsight.clients.extractor import ExtractorClient
from kinsight.clients.http import ServiceClient, open_session
from kinsight.clients.indexer import IndexerClient
from kinsight.clients.trainer import TrainerClient
from kinsight.database import open_pool
from kinsight.database.migrate import migrate
from kinsight.database.pool import CONNECTION_ERRORS
from kinsight.errors import Unavailable
from kinsight.store import open_store
from kinsight.web.service import create_service
from kinsight.web.settings import Settings


def create_app(settings: Settings | None = None) -> FastAPI:
    return create_service(
        "admin",
        AdminSettings.of(settings),
        lifespan=_lifespan,
        routers=[routes.router],
        ready=_ready,
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: AdminSettings = app.state.settings
    async with await open_pool(settings.database_url) as pool, open_session() as session:
        await migrate(pool)
        services = {
            "gateway": ServiceClient("gateway", settings.gateway_url, session),
            "feature-extractor": ServiceClient(
                "feature-extractor", settings.extractor_url, session
            ),
            "indexer": ServiceClient("indexer", settings.indexer_url, session),
            "trainer": ServiceClient("trainer", settings.trainer_url, session),
        }
        broker = open_broker(settings.broker_url, pool)
        app.state.admin = State(
            settings=settings,
            pool=pool,
            broker=broker,
            store=open_store(settings.store_url),
            services=services,
            extractor=ExtractorClient(services["feature-extractor"]),
            indexer=IndexerClient(services["indexer"]),
            trainer=TrainerClient(services["trainer"]),
        )
        await broker.start()
        state: State = app.state.admin
        background = [
            asyncio.create_task(Sampler(pool, services, settings).run()),
            asyncio.create_task(watch(settings, state.store, state.indexer, state.trainer)),
        ]
        try:
            yield
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await broker.close()


async def _ready(app: FastAPI) -> list[str]:
    try:
        await app.state.admin.pool.fetchval("SELECT 1", timeout=2)
    except (*CONNECTION_ERRORS, TimeoutError) as error:
        raise Unavailable("Postgres does not answer.") from error
    # The doctor has to be within reach when the broker is not.
    obstacle = app.state.admin.broker.obstacle
    return [obstacle] if obstacle else []
