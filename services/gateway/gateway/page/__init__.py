"""The web page: one document and its assets, read once and served with a strict policy.

The assets' address holds a hash over all of them, so that a browser keeps them for good and a new
version is a new address; between themselves they are named relative to it. Nothing is loaded from
anywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from gateway.static import (
    FOREVER,
    StaticFile,
    is_static,
    respond,
    static_file,
    version_of,
)
from kinsight.errors import NotFound

router = APIRouter(include_in_schema=False)

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        # no script of the page may turn text into markup: user text stays text
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True)
class Page:
    document: StaticFile
    assets: dict[str, StaticFile]
    version: str


@cache
def load() -> Page:
    """The files of this package; `{{assets}}` in the document becomes the assets' address."""
    folder = files(__package__)
    assets = {
        entry.name: entry.read_bytes()
        for entry in sorted(folder.joinpath("assets").iterdir(), key=lambda entry: entry.name)
        if is_static(entry.name)
    }
    version = version_of(assets)
    document = folder.joinpath("index.html").read_text("utf-8")
    return Page(
        document=static_file(
            "index.html", document.replace("{{assets}}", f"/assets/{version}").encode()
        ),
        assets={name: static_file(name, data) for name, data in assets.items()},
        version=version,
    )


def is_open(path: str) -> bool:
    """Whether the path is the page's own: loaded before anybody can have signed in."""
    return path in ("/", "/favicon.ico") or path.startswith("/assets/")


@router.get("/")
async def document(request: Request) -> Response:
    page = load()
    tag = f"page-{page.version}"
    return respond(request, page.document, tag=tag, kept="no-cache", policy=_HEADERS)


@router.get("/favicon.ico")
async def favicon(request: Request) -> Response:
    return await asset(request, load().version, "icon.svg")


@router.get("/assets/{version}/{name}")
async def asset(request: Request, version: str, name: str) -> Response:
    page = load()
    found = page.assets.get(name)
    if found is None:
        raise NotFound(f"The page has no asset {name!r}.")
    # While replicas are being replaced, a page of the other version may ask here.
    kept = FOREVER if version == page.version else "no-store"
    tag = f"{page.version}-{name}"
    return respond(request, found, tag=tag, kept=kept, policy=_HEADERS)
