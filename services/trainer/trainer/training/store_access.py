"""The asynchronous store, used from a process that computes and has no event loop running."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from torch import Tensor

from kinsight.errors import BlobNotFound, WeightsNotFound
from kinsight.networks import load_state
from kinsight.store import open_store

Result = TypeVar("Result")


class StoreAccess:
    """One event loop for the life of the process, so that a store may keep its connections."""

    def __init__(self, url: str) -> None:
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

    def get(self, key: str) -> bytes | None:
        """None where there is nothing under the key."""
        try:
            return self.run(self.store.get(key))
        except BlobNotFound:
            return None

    def weights(self, name: str) -> dict[str, Tensor]:
        """The uploaded weights `sha256:…`; raises WeightsNotFound, UnfitWeights."""
        return self.run(self._weights(f"weights/{name.removeprefix('sha256:')}.safetensors"))

    async def _weights(self, key: str) -> dict[str, Tensor]:
        try:
            async with self.store.local_file(key) as path:
                return _read(path)
        except BlobNotFound as error:
            raise WeightsNotFound() from error


def _read(path: Path) -> dict[str, Tensor]:
    return load_state(path)
