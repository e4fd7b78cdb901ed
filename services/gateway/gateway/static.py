"""Files that browsers keep: compressed once, and told apart by a hash in their address."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request, Response

FOREVER = "public, max-age=31536000, immutable"
_MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True)
class StaticFile:
    data: bytes
    compressed: bytes
    media_type: str


def static_file(name: str, data: bytes) -> StaticFile:
    compressed = gzip.compress(data, 9, mtime=0)
    return StaticFile(data, compressed, _MEDIA_TYPES[name.rpartition(".")[2]])


def is_static(name: str) -> bool:
    return name.rpartition(".")[2] in _MEDIA_TYPES


def version_of(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, data in files.items():
        digest.update(f"{name} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:16]


def respond(
    request: Request, file: StaticFile, *, tag: str, kept: str, policy: Mapping[str, str]
) -> Response:
    """The file, compressed where the browser takes that; 304 where it has it. `policy` are the
    headers that say what the file may do."""
    headers = {**policy, "Vary": "Accept-Encoding", "Cache-Control": kept, "ETag": f'W/"{tag}"'}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(file.compressed, media_type=file.media_type, headers=headers)
    return Response(file.data, media_type=file.media_type, headers=headers)
