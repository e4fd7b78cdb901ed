"""No other web site may change anything here through its visitors' browsers."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from kinsight.errors import CrossSite
from kinsight.web import problems

_READING = ("GET", "HEAD", "OPTIONS")


class SameOrigin:
    """ASGI middleware. Only browsers send these headers, and no script can set them.

    `Sec-Fetch-Site` is sent over https and to localhost only; elsewhere `Origin` decides.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _READING:
            headers = Headers(scope=scope)
            if not _is_ours(headers):
                await problems.response(CrossSite())(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _is_ours(headers: Headers) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return True
    # a proxy may rename the host; it then says what the browser called it
    hosts = (headers.get("host"), headers.get("x-forwarded-host"))
    return urlsplit(origin).netloc in hosts
