"""The web page: one document and its assets, read once and served with a strict policy.

The assets' address holds a hash over all of them, so that a browser keeps them for good and a new
version is a new address; between themselves they are named relative to it. Nothing is loaded from
anywhere else.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response

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
    "Vary": "Accept-Encoding",
}
_FOREVER = "public, max-age=31536000, immutable"
_MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True)
class _File:
    data: bytes
    compressed: bytes
    media_type: str


@dataclass(frozen=True)
class Page:
    document: _File
    assets: dict[str, _File]
    version: str


@cache
def load() -> Page:
    """The files of this package; `{{assets}}` in the document becomes the assets' address."""
    folder = files(__package__)
    assets = {
        entry.name: entry.read_bytes()
        for entry in sorted(folder.joinpath("assets").iterdir(), key=lambda entry: entry.name)
        if entry.name.rpartition(".")[2] in _MEDIA_TYPES
    }
    digest = hashlib.sha256()
    for name, data in assets.items():
        digest.update(f"{name} {len(data)}\n".encode() + data)
    version = digest.hexdigest()[:16]
    document = folder.joinpath("index.html").read_text("utf-8")
    return Page(
        document=_file("index.html", document.replace("{{assets}}", f"/assets/{version}").encode()),
        assets={name: _file(name, data) for name, data in assets.items()},
        version=version,
    )


def _file(name: str, data: bytes) -> _File:
    compressed = gzip.compress(data, 9, mtime=0)
    return _File(data, compressed, _MEDIA_TYPES[name.rpartition(".")[2]])


def is_open(path: str) -> bool:
    """Whether the path is the page's own: loaded before anybody can have signed in."""
    return path in ("/", "/favicon.ico") or path.startswith("/assets/")


@router.get("/")
async def document(request: Request) -> Response:
    page = load()
    return _answer(request, page.document, f"page-{page.version}", "no-cache")


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
    kept = _FOREVER if version == page.version else "no-store"
    return _answer(request, found, f"{page.version}-{name}", kept)


def _answer(request: Request, file: _File, tag: str, kept: str) -> Response:
    headers = {**_HEADERS, "Cache-Control": kept, "ETag": f'W/"{tag}"'}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(file.compressed, media_type=file.media_type, headers=headers)
    return Response(file.data, media_type=file.media_type, headers=headers)
