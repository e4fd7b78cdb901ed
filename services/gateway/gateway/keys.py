"""API keys: where some are configured, every request needs one."""

from __future__ import annotations

import hmac
import time
from collections.abc import Sequence
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import page, sessions
from kinsight.errors import Unauthorized
from kinsight.web import problems

# What load balancers and Prometheus ask for; it names no picture.
_OPEN = ("/livez", "/readyz", "/metrics")


class ApiKeys:
    """ASGI middleware: `Authorization: Bearer KEY`, `X-API-Key: KEY`, or the page's session."""

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self.app = app
        self._keys = [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        closed = scope["type"] == "http" and self._keys and not _is_open(scope["path"])
        if closed and not self._known(scope):
            await problems.response(Unauthorized())(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _known(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        kind, _, token = headers.get("authorization", "").partition(" ")
        given = token if kind.lower() == "bearer" else headers.get("x-api-key", "")
        # all keys are compared, so that the time taken says nothing about them
        matches = [hmac.compare_digest(given.encode(), key) for key in self._keys]
        if any(matches):
            scope["kinsight_api_key"] = given
            return True
        return not given and sessions.holds(_cookie(headers), self._keys, time.time())


def _is_open(path: str) -> bool:
    return path in _OPEN or page.is_open(path)


def _cookie(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(sessions.COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
