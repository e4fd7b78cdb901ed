"""The REST page at /docs: Swagger UI over this gateway's OpenAPI document.

FastAPI's own page loads Swagger UI from a public host; this one serves it from the installed
package, so that it works without internet and under a policy of its own.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from gateway.static import FOREVER, StaticFile, respond, static_file, version_of
from kinsight.errors import NotFound

router = APIRouter(include_in_schema=False)

_VENDORED = ("swagger-ui-bundle.js", "swagger-ui.css")
_POLICY = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self' 'unsafe-inline'",  # Swagger UI styles its elements one by one
            "img-src 'self' data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True)
class _Reference:
    document: StaticFile
    assets: dict[str, StaticFile]
    version: str


@cache
def _load() -> _Reference:
    vendored = files("fastapi_swagger").joinpath("resources")
    own = files(__package__)
    assets = {name: vendored.joinpath(name).read_bytes() for name in _VENDORED}
    assets["reference.js"] = own.joinpath("reference.js").read_bytes()
    version = version_of(assets)
    document = own.joinpath("index.html").read_text("utf-8")
    return _Reference(
        document=static_file("index.html", document.replace("{{version}}", version).encode()),
        assets={name: static_file(name, data) for name, data in assets.items()},
        version=version,
    )


async def _loaded() -> _Reference:
    """Reading and compressing takes a tenth of a second: not on the event loop."""
    return await asyncio.to_thread(_load)


@router.get("/docs")
async def document(request: Request) -> Response:
    page = await _loaded()
    tag = f"docs-{page.version}"
    return respond(request, page.document, tag=tag, kept="no-cache", policy=_POLICY)


@router.get("/docs/{version}/{name}")
async def asset(request: Request, version: str, name: str) -> Response:
    page = await _loaded()
    found = page.assets.get(name)
    if found is None:
        raise NotFound(f"The REST page has no asset {name!r}.")
    kept = FOREVER if version == page.version else "no-store"
    return respond(request, found, tag=f"{page.version}-{name}", kept=kept, policy=_POLICY)
