"""The one way every service's application is made."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import APIRouter, FastAPI, Request

from kinsight import __version__
from kinsight.web import problems
from kinsight.web.metrics import RequestMetrics, metrics_router
from kinsight.web.settings import Settings

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
Readiness = Callable[[FastAPI], Awaitable[list[str] | None]]


def create_service(
    name: str,
    settings: Settings,
    *,
    lifespan: Lifespan,
    routers: Sequence[APIRouter],
    ready: Readiness,
    **openapi: Any,
) -> FastAPI:
    """An application with health, metrics and problem errors around the service's own routes.

    `ready` raises Unavailable, saying what is missing, as long as the service cannot work; it may
    return warnings of what is amiss while the service works all the same.
    """
    app = FastAPI(
        title=f"Kinsight {name}",
        version=__version__,
        lifespan=lifespan,
        # FastAPI's pages load their scripts from a public host; the gateway has one of its own
        docs_url=None,
        redoc_url=None,
        responses={"default": {"model": problems.Problem, "description": "A problem object."}},
        **openapi,
    )
    app.state.settings = settings
    app.state.ready = ready
    app.add_middleware(RequestMetrics, service=name)
    problems.install(app)
    app.include_router(_health)
    app.include_router(metrics_router)
    for router in routers:
        app.include_router(router)
    return app


_health = APIRouter(tags=["health"])


@_health.get("/livez", summary="Is the process alive?")
async def livez() -> dict[str, str]:
    return {"status": "alive"}


@_health.get("/readyz", summary="Can the service do its work?")
async def readyz(request: Request) -> dict[str, str | list[str]]:
    """`warnings` says what is amiss, and what to do, while the service works all the same."""
    warnings = await request.app.state.ready(request.app)
    return {"status": "ready", **({"warnings": warnings} if warnings else {})}


def configure_logging(service: str) -> None:
    logging.basicConfig(
        level=logging.INFO,
        format=f"%(asctime)s %(levelname)s {service} %(name)s: %(message)s",
    )
