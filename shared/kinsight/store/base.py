"""The store: where images, weights, models and checkpoints lie, by key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """Keys are relative POSIX paths. What `put*` wrote survives a power cut once it returns."""

    async def put(self, key: str, data: bytes) -> None: ...

    async def put_many(self, items: Sequence[tuple[str, bytes]]) -> None: ...

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        """Returns the bytes written; leaves nothing behind when the stream breaks off."""
        ...

    async def get(self, key: str) -> bytes:
        """Raises BlobNotFound."""
        ...

    async def size(self, key: str) -> int | None:
        """Bytes under the key, None where there is nothing."""
        ...

    async def delete(self, key: str) -> None:
        """No error where there is nothing."""
        ...

    async def delete_prefix(self, prefix: str) -> int: ...

    async def keys(self, prefix: str) -> list[str]: ...

    async def free_bytes(self) -> int | None:
        """Room left, None where the store knows no bound."""
        ...

    def local_file(self, key: str) -> AbstractAsyncContextManager[Path]:
        """A readable local path to the bytes, valid inside the context; raises BlobNotFound."""
        ...


def blob_key(sha256: str) -> str:
    """Key of an image's bytes; content-addressed, so that storing twice is harmless."""
    return f"blobs/{sha256[:2]}/{sha256}"
