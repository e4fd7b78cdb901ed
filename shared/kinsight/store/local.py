"""A folder as a store: temp file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath

from kinsight.errors import BadRequest, BlobNotFound

_WRITE_CHUNK = 1 << 20


class LocalStore:
    """Files under `root`. Every write is atomic and durable when it returns."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._incoming = root / ".incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    async def put(self, key: str, data: bytes) -> None:
        await self.put_many([(key, data)])

    async def put_many(self, items: Sequence[tuple[str, bytes]]) -> None:
        await asyncio.to_thread(self._put_many, items)

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        target = self._path(key)
        temporary = self._temporary()
        written = 0
        try:
            with temporary.open("wb") as file:
                buffer = bytearray()
                async for chunk in chunks:
                    buffer += chunk
                    if len(buffer) >= _WRITE_CHUNK:
                        written += await asyncio.to_thread(file.write, buffer)
                        buffer = bytearray()
                written += file.write(buffer)
                await asyncio.to_thread(_flush, file.fileno())
            await asyncio.to_thread(_rename, temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        return written

    async def get(self, key: str) -> bytes:
        path = self._path(key)
        try:
            return await asyncio.to_thread(path.read_bytes)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise BlobNotFound(f"The store has nothing under {key}.") from error

    async def size(self, key: str) -> int | None:
        try:
            return (await asyncio.to_thread(self._path(key).stat)).st_size
        except FileNotFoundError:
            return None

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._path(key).unlink, True)

    async def delete_prefix(self, prefix: str) -> int:
        keys = await self.keys(prefix)
        folder = self._path(prefix.rstrip("/"))
        if prefix.endswith("/"):
            await asyncio.to_thread(shutil.rmtree, folder, True)
        else:
            for key in keys:
                await self.delete(key)
        return len(keys)

    async def keys(self, prefix: str) -> list[str]:
        return await asyncio.to_thread(self._keys, prefix)

    async def free_bytes(self) -> int | None:
        return (await asyncio.to_thread(shutil.disk_usage, self.root)).free

    @asynccontextmanager
    async def local_file(self, key: str) -> AsyncIterator[Path]:
        path = self._path(key)
        if not await asyncio.to_thread(path.is_file):
            raise BlobNotFound(f"The store has nothing under {key}.")
        yield path

    def _path(self, key: str) -> Path:
        parts = PurePosixPath(key).parts
        if not parts or key.startswith("/") or any(part in ("..", ".incoming") for part in parts):
            raise BadRequest(f"Not a key of the store: {key!r}.")
        return self.root.joinpath(*parts)

    def _temporary(self) -> Path:
        return self._incoming / uuid.uuid4().hex

    def _put_many(self, items: Sequence[tuple[str, bytes]]) -> None:
        folders = set()
        for key, data in items:
            target = self._path(key)
            temporary = self._temporary()
            try:
                with temporary.open("wb") as file:
                    file.write(data)
                    _flush(file.fileno())
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
            folders.add(target.parent)
        for folder in folders:
            _flush_folder(folder)

    def _keys(self, prefix: str) -> list[str]:
        folder = self._path(prefix) if prefix.endswith("/") else self._path(prefix).parent
        if not folder.is_dir():
            return []
        keys = (p.relative_to(self.root).as_posix() for p in folder.rglob("*") if p.is_file())
        return sorted(key for key in keys if key.startswith(prefix))


def _rename(temporary: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary.replace(target)
    _flush_folder(target.parent)


def _flush(descriptor: int) -> None:
    os.fsync(descriptor)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
