"""The training images as canvases: decoded once, kept in a file that a resumed run uses again.

Reading is done by threads. Pillow decodes and scales outside the interpreter's lock, and every
image has been decoded by the extractor before, in processes that a bad file may take down.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from kinsight.contracts.libraries import TrainingImage
from kinsight.contracts.models import Preprocessing
from kinsight.errors import BlobNotFound, KinsightError, Unavailable
from kinsight.images.decode import decode
from kinsight.images.limits import Limits
from kinsight.images.preprocess import canvas, canvas_size, decode_target
from kinsight.store import Store
from trainer.training.devices import usable_cores
from trainer.training.events import Reporter

_CHUNK = 32
_SECONDS_BETWEEN_SYNCS = 5.0
Scalar = TypeVar("Scalar", bound=np.generic)

_UNREAD, _READABLE, _UNREADABLE = 0, 1, 2


@dataclass(frozen=True)
class Canvases:
    """pixels: (N, S, S, 3) uint8, mapped from the file. readable: (N,) bool."""

    pixels: NDArray[np.uint8]
    readable: NDArray[np.bool_]


def cache_key(images: Sequence[TrainingImage], card: Preprocessing) -> str:
    """Names a cache of these images in this order under this preprocessing."""
    described = json.dumps([[image.key for image in images], card.model_dump()])
    return hashlib.sha256(described.encode()).hexdigest()[:16]


async def read_canvases(
    images: Sequence[TrainingImage],
    card: Preprocessing,
    store: Store,
    scratch: Path,
    reporter: Reporter,
    limits: Limits,
) -> Canvases:
    """Every image's canvas; what an earlier run has read is not read again.

    An image that is gone from the store or cannot be decoded is marked unreadable. Raises
    Unavailable where the scratch folder's disk is too small.
    """
    folder = scratch / f"canvases-{cache_key(images, card)}"
    side = canvas_size(card)
    pixels = mapped(folder / "pixels.u8", (len(images), side, side, 3), np.uint8)
    state = mapped(folder / "state.u8", (len(images),), np.uint8)
    unread = np.flatnonzero(state == _UNREAD)
    done = len(images) - len(unread)
    reporter.phase("reading", len(images), done=done)
    last_sync = time.monotonic()
    with ThreadPoolExecutor(usable_cores(), "decode") as threads:
        reading = _Reading(images, card, store, limits, threads, pixels)
        pending: set[asyncio.Task[list[tuple[int, bool]]]] = set()
        chunks = iter(np.array_split(unread, max(1, -(-len(unread) // _CHUNK))))
        while True:
            while len(pending) < 2 * usable_cores() and (chunk := next(chunks, None)) is not None:
                pending.add(asyncio.create_task(reading.chunk(chunk)))
            if not pending:
                break
            finished, pending = await asyncio.wait(pending, return_when="FIRST_COMPLETED")
            for task in finished:
                for index, readable in task.result():
                    state[index] = _READABLE if readable else _UNREADABLE
                    done += 1
            reporter.advance(done, unreadable=int((state == _UNREADABLE).sum()))
            if time.monotonic() - last_sync > _SECONDS_BETWEEN_SYNCS:
                _sync(pixels, state)
                last_sync = time.monotonic()
    _sync(pixels, state)
    return Canvases(pixels, np.asarray(state == _READABLE))


def mapped(
    path: Path, shape: tuple[int, ...], dtype: type[Scalar]
) -> np.memmap[tuple[int, ...], np.dtype[Scalar]]:
    """The file at the path as an array, made with zeros where it is not there yet.

    Its room is reserved first: writing to a mapped file on a full disk kills the process.
    Raises Unavailable where there is none.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if not path.exists() or path.stat().st_size != size:
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
        shortage = Unavailable(
            f"The trainer needs {size / 1e9:.1f} GB of scratch space in {path.parent.parent} and "
            f"has {free / 1e9:.1f} GB; make room, or give it another data folder."
        )
        if free < size:
            raise shortage
        try:
            with path.open("wb") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, max(1, size))
                file.truncate(size)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise shortage from error
    return np.memmap(path, dtype=dtype, mode="r+", shape=shape)


class _Reading:
    def __init__(
        self,
        images: Sequence[TrainingImage],
        card: Preprocessing,
        store: Store,
        limits: Limits,
        threads: ThreadPoolExecutor,
        pixels: NDArray[np.uint8],
    ) -> None:
        self._images, self._card, self._store = images, card, store
        self._limits, self._threads, self._pixels = limits, threads, pixels

    async def chunk(self, indices: NDArray[np.int64]) -> list[tuple[int, bool]]:
        """Fetches and decodes some images; says of each whether it could be read."""
        blobs = await asyncio.gather(*(self._fetch(int(index)) for index in indices))
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._decode, indices, blobs)

    async def _fetch(self, index: int) -> bytes | None:
        try:
            return await self._store.get(self._images[index].key)
        except BlobNotFound:
            return None

    def _decode(
        self, indices: NDArray[np.int64], blobs: Sequence[bytes | None]
    ) -> list[tuple[int, bool]]:
        return [(int(i), self._decode_one(int(i), b)) for i, b in zip(indices, blobs, strict=True)]

    def _decode_one(self, index: int, blob: bytes | None) -> bool:
        if blob is None:
            return False
        try:
            decoded = decode(blob, limits=self._limits, target=decode_target(self._card))
        except KinsightError:
            return False
        self._pixels[index] = canvas(decoded.image, self._card)
        return True


def _sync(*arrays: np.memmap[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    """The pixels before the marks that they are there."""
    for array in arrays:
        array.flush()
