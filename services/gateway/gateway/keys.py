"""API keys: where some are configured, every request needs one."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from kinsight.errors import Unauthorized
from kinsight.web import problems

# What load balancers and Prometheus ask for; it names no picture.
_OPEN = ("/livez", "/readyz", "/metrics")


class ApiKeys:
    """ASGI middleware: `Authorization: Bearer KEY` or `X-API-Key: KEY`."""

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self.app = app
        self._keys = [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        closed = scope["type"] == "http" and self._keys and scope["path"] not in _OPEN
        if closed and not self._known(Headers(scope=scope)):
            await problems.response(Unauthorized())(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _known(self, headers: Headers) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        given = token if kind.lower() == "bearer" else headers.get("x-api-key", "")
        # all keys are compared, so that the time taken says nothing about them
        matches = [hmac.compare_digest(given.encode(), key) for key in self._keys]
        return any(matches)
