"""A real HTTP server whose answers a test writes down beforehand, for what no gateway does at will.

Breaking off, being away, being too busy: the client's patience is tested against these.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kinsight.errors import KinsightError

JOB = {
    "id": "7b0f2b6e-58a5-4bb5-9d1d-0b7f3a2f8f11",
    "kind": "ingest",
    "state": "queued",
    "library": "shop",
    "created_at": "2026-11-21T00:00:00Z",
}


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


class BreakOff(Exception):
    """Raised by an answer to close the connection without one."""


@dataclass(frozen=True)
class Answer:
    body: bytes = b""
    status: int = 200
    media_type: str = "application/json"
    breaks: bool = False  # end the connection before the promised length is sent


Script = Callable[[Seen], Answer]


@dataclass
class Gateway:
    url: str
    port: int
    seen: list[Seen] = field(default_factory=list)


@contextmanager
def serve(script: Script, port: int = 0) -> Iterator[Gateway]:
    """Serves on loopback until the end of the block; every request is kept in `seen`."""

    connections: list[socket.socket] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            split = urlsplit(self.path)
            seen = Seen(
                self.command,
                split.path,
                parse_qs(split.query),
                {name.lower(): value for name, value in self.headers.items()},
                self.rfile.read(length),
            )
            gateway.seen.append(seen)
            try:
                answer = script(seen)
            except BreakOff:
                self.close_connection = True
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.media_type)
            self.send_header("Content-Length", str(len(answer.body) + answer.breaks))
            self.end_headers()
            self.wfile.write(answer.body)
            self.close_connection = answer.breaks or self.close_connection

        do_GET = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815  the base class's names

        def setup(self) -> None:
            super().setup()
            connections.append(self.connection)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    gateway = Gateway(f"http://127.0.0.1:{server.server_port}", server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield gateway
    finally:
        server.shutdown()
        thread.join()
        for connection in connections:  # as a process that ends closes them
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        server.server_close()


def document(value: Any, status: int = 200) -> Answer:
    return Answer(json.dumps(value).encode(), status)


def problem(error: KinsightError) -> Answer:
    body = json.dumps(error.problem()).encode()
    return Answer(body, error.status, "application/problem+json")


def job(**changes: Any) -> dict[str, Any]:
    return {**JOB, **changes}
