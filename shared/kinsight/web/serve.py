"""`python -m kinsight.web.serve SERVICE`: runs one service under uvicorn."""

from __future__ import annotations

import argparse
import asyncio
import importlib
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kinsight.web.service import configure_logging

SERVICES = {
    "gateway": "gateway.app",
    "feature-extractor": "feature_extractor.app",
    "indexer": "indexer.app",
    "trainer": "trainer.app",
    "admin": "admin.app",
}
HEADER_SECONDS = 10.0


class DeadlineProtocol(HttpToolsProtocol):
    """Closes a connection whose request head does not arrive in time.

    uvicorn bounds idle connections between requests only, so that trickling headers could hold
    connections open for ever.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEADER_SECONDS, transport.close)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._deadline is None:  # a further request on a kept connection
            self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def on_headers_complete(self) -> None:
        self._disarm()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m kinsight.web.serve", description=__doc__)
    parser.add_argument("service", choices=sorted(SERVICES))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    configure_logging(arguments.service)
    app = importlib.import_module(SERVICES[arguments.service]).create_app()
    uvicorn.run(
        app,
        host=arguments.host,
        port=arguments.port,
        http=DeadlineProtocol,
        access_log=False,
        log_config=None,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
