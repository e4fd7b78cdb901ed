"""The gateway's application with nothing behind it."""

from __future__ import annotations

import httpx

from gateway.app import create_app
from kinsight.web.settings import Settings


def client(settings: Settings) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(settings), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://kinsight.test")
