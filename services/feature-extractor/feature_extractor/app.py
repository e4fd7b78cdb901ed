"""The feature extractor: decodes, batches, runs networks on GPU or CPU."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from feature_extractor.options import ExtractorOptions
from feature_extractor.routes import router
from feature_extractor.state import State
from kinsight.web.service import create_service
from kinsight.web.settings import Settings


def create_app(
    settings: Settings | None = None, options: ExtractorOptions | None = None
) -> FastAPI:
    """Both are read from the environment where they are not given."""
    settings = settings or Settings()
    options = options or ExtractorOptions()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.extraction = State(settings, options)
        try:
            yield
        finally:
            await app.state.extraction.close()

    async def ready(app: FastAPI) -> None:
        await app.state.extraction.ready()

    return create_service(
        "feature-extractor", settings, lifespan=lifespan, routers=[router], ready=ready
    )
