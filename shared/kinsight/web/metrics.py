"""Request metrics, labelled by route template so that paths cannot flood the label space."""

from __future__ import annotations

import time

from fastapi import APIRouter, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kinsight.web.memory import MemoryCollector

REQUESTS = Counter(
    "kinsight_http_requests_total", "Requests answered.", ["service", "method", "route", "status"]
)
LATENCY = Histogram(
    "kinsight_http_request_seconds",
    "Time from the first byte of a request to the last of its answer.",
    ["service", "method", "route"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
STARTED = Gauge("kinsight_started_timestamp_seconds", "When this process started.", ["service"])
REGISTRY.register(MemoryCollector())


class RequestMetrics:
    """ASGI middleware; a plain one, so that streamed bodies pass through untouched."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self.app = app
        self.service = service
        STARTED.labels(service).set(time.time())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"]
            REQUESTS.labels(self.service, method, route, str(status)).inc()
            LATENCY.labels(self.service, method, route).observe(time.perf_counter() - began)


metrics_router = APIRouter(include_in_schema=False)


@metrics_router.get("/metrics")
async def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
