"""Uploads, streamed into the store."""

from __future__ import annotations

import io
import tarfile
import uuid
from collections.abc import AsyncIterator, Sequence

from starlette.datastructures import UploadFile

from kinsight.errors import EmptyBody
from kinsight.store import Store

_CHUNK = 1 << 18
_BLOCK = tarfile.BLOCKSIZE
_ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")


async def keep(store: Store, chunks: AsyncIterator[bytes]) -> str:
    """Stores a stream; returns its key. Whoever gets the key deletes it in the end."""
    key = f"uploads/{uuid.uuid4().hex}"
    await store.put_stream(key, chunks)
    return key


async def archive_of(files: Sequence[UploadFile]) -> AsyncIterator[bytes]:
    """One archive of a form's files: itself, where it is a single archive, else a tar of them."""
    if len(files) == 1 and await _is_archive(files[0]):
        async for chunk in content(files[0]):
            yield chunk
        return
    for file in files:
        info = tarfile.TarInfo((file.filename or "image").replace("\0", ""))
        info.size = await _size(file)
        yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        async for chunk in content(file):
            yield chunk
        yield b"\0" * (-info.size % _BLOCK)
    yield b"\0" * (2 * _BLOCK)


async def _is_archive(file: UploadFile) -> bool:
    head = await file.read(512)
    await file.seek(0)
    if not head:
        raise EmptyBody("The file in the form is empty.")
    return head.startswith(_ARCHIVES) or head[257:262] == b"ustar"


async def content(file: UploadFile) -> AsyncIterator[bytes]:
    await file.seek(0)
    while chunk := await file.read(_CHUNK):
        yield chunk


async def _size(file: UploadFile) -> int:
    if file.size is not None:
        return file.size
    return file.file.seek(0, io.SEEK_END)
