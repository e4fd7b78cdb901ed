"""The asynchronous store, used from a process that computes and has no event loop running."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from torch import Tensor

from kinsight.errors import BlobNotFound, WeightsNotFound
from kinsight.networks import load_state
from kinsight.store import open_store
from trainer.training.events import Reporter
from trainer.training.full_disk import is_full

Result = TypeVar("Result")
_SECONDS_BETWEEN_TRIES = 3.0
_log = logging.getLogger(__name__)


class StoreAccess:
    """One event loop for the life of the process, so that a store may keep its connections."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.store = open_store(url)
        self._runner = asyncio.Runner()

    def __enter__(self) -> StoreAccess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._runner.close()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self._runner.run(work)

    def put(self, key: str, data: bytes) -> None:
        self.run(self.store.put(key, data))

    def put_when_there_is_room(self, key: str, data: bytes, reporter: Reporter) -> None:
        """Writes what a whole run has come to; on a full disk it waits for room, and says so."""
        while True:
            try:
                self.put(key, data)
            except OSError as error:
                if not is_full(error):
                    raise
                _log.warning("%s cannot be written: %s", key, error)
                reporter.note(
                    warning=f"The model cannot be written ({self.reason(error)}). Make room for "
                    f"{len(data) / 1e6:,.1f} MB; the job waits and nothing of it is lost."
                )
                time.sleep(_SECONDS_BETWEEN_TRIES)
            else:
                reporter.note(warning=None)
                return

    def reason(self, error: Exception) -> str:
        """Why something could not be written, and where."""
        if not isinstance(error, OSError):
            return str(error)
        free = self.run(self.store.free_bytes())
        room = "" if free is None else f", {free / 1e6:,.1f} MB free"
        return f"{error.strerror}: {self._url}{room}"

    def get(self, key: str) -> bytes | None:
        """None where there is nothing under the key."""
        try:
            return self.run(self.store.get(key))
        except BlobNotFound:
            return None

    def weights(self, name: str) -> dict[str, Tensor]:
        """The uploaded weights `sha256:…`; raises WeightsNotFound, UnfitWeights."""
        return self.run(self._weights(_weights_key(name)))

    def add_weights(self, data: bytes) -> str:
        """Keeps a safetensors file as `POST /weights` does; returns its name, `sha256:…`."""
        name = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.put(_weights_key(name), data)
        return name

    async def _weights(self, key: str) -> dict[str, Tensor]:
        try:
            async with self.store.local_file(key) as path:
                return _read(path)
        except BlobNotFound as error:
            raise WeightsNotFound() from error


def _weights_key(name: str) -> str:
    return f"weights/{name.removeprefix('sha256:')}.safetensors"


def _read(path: Path) -> dict[str, Tensor]:
    return load_state(path)
