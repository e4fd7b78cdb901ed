"""What the extractor does: embed one picture, embed or inspect stored ones, make a preview."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from feature_extractor.decode_protocol import DecodeTask
from feature_extractor.decoding import Decoded, DecodePool
from feature_extractor.intake import Room
from feature_extractor.lanes import Lane
from feature_extractor.options import ExtractorOptions
from kinsight.contracts.embeddings import Embeddings
from kinsight.contracts.extraction import Inspection
from kinsight.errors import BlobNotFound, KinsightError
from kinsight.images.cropping import Crop
from kinsight.store import Store

if TYPE_CHECKING:  # at run time torch is imported by the engine's own start
    from feature_extractor.engine import Engine
    from feature_extractor.models import LoadedModel

Outcome = TypeVar("Outcome")
Arrays = tuple[NDArray[Any], ...]

# Few enough that a search does not wait long for a worker, enough that messages to the worker
# cost little beside the pictures.
_GROUP = 8


class Extractor:
    """Store, decode pool and engine, joined."""

    def __init__(
        self,
        store: Store,
        pool: DecodePool,
        engine: Callable[[], Awaitable[Engine]],
        options: ExtractorOptions,
    ) -> None:
        """engine: waits until it is open."""
        self._store = store
        self._pool = pool
        self._engine = engine
        self._options = options
        # Enough groups in hand to keep the workers and the largest batch busy, and no more: this
        # bounds the pictures in memory however many requests there are.
        self._groups = asyncio.Semaphore(max(8, 4 * pool.workers))
        self._bulk = Room(options.bulk_requests, 0)
        self._previews = Room(2 * pool.workers, 16 * options.search_queue)

    async def embed(self, data: bytes, model_id: str, crop: Crop | None, crops: int) -> Embeddings:
        """One picture, N = 1. Raises what decoding, the model and the queue raise."""
        began = time.perf_counter()
        engine = await self._engine()
        model = await engine.models.get(model_id)
        ready = time.perf_counter()
        task = DecodeTask(card=model.card.preprocessing, crop=crop, crops=crops)
        decoded = await self._pool.decode(data, task, Lane.SEARCH)
        decode = time.perf_counter() - ready - decoded.queue_seconds
        embedded = await engine.batcher.embed(
            model, decoded.rows, Lane.SEARCH, self._options.search_seconds
        )
        total = time.perf_counter() - began
        timings = {
            # All waiting, for the model, a worker and the device, so that the three add up.
            "queue": total - decode - embedded.embed_seconds,
            "decode": decode,
            "embed": embedded.embed_seconds,
        }
        meta = {
            "model": model_id,
            "width": decoded.width,
            "height": decoded.height,
            "device": engine.device.name,
            "timings_ms": {name: round(value * 1000, 3) for name, value in timings.items()},
        }
        probabilities, feature, code = embedded.arrays
        return Embeddings(probabilities, feature, code, meta)

    async def embed_stored(self, keys: Sequence[str], model_id: str, crops: int = 1) -> Embeddings:
        """Rows for the keys without error, in order; `items` in the meta for every key."""
        engine = await self._engine()
        async with self._bulk.enter():
            model = await engine.models.get(model_id)
            task = DecodeTask(card=model.card.preprocessing, crops=crops)

            async def embed(decoded: Sequence[Decoded]) -> list[Arrays]:
                rows = [one.rows for one in decoded]
                embedded = await engine.batcher.embed_all(
                    model, rows, Lane.BULK, self._options.bulk_seconds * crops
                )
                return [one.arrays for one in embedded]

            outcomes = await self._over_groups(keys, task, embed)
        rows = [arrays for _, arrays in outcomes if arrays is not None]
        items = [inspection.model_dump() for inspection, _ in outcomes]
        meta = {"model": model_id, "device": engine.device.name, "items": items}
        probabilities, feature, code = (
            np.concatenate(columns) for columns in zip(_no_rows(model), *rows, strict=True)
        )
        return Embeddings(probabilities, feature, code, meta)

    async def inspect_stored(self, keys: Sequence[str]) -> list[Inspection]:
        """Facts of stored pictures, without a model."""

        async def nothing(decoded: Sequence[Decoded]) -> list[None]:
            return [None] * len(decoded)

        async with self._bulk.enter():
            outcomes = await self._over_groups(keys, DecodeTask(), nothing)
        return [inspection for inspection, _ in outcomes]

    async def thumbnail(self, key: str, size: int) -> bytes:
        """A WebP; raises BlobNotFound and what `kinsight.images.thumbnail` raises."""
        async with self._previews.enter():
            data = await self._store.get(key)
            preview = await self._pool.decode(data, DecodeTask(thumbnail=size), Lane.PREVIEW)
            return preview.result

    async def _over_groups(
        self,
        keys: Sequence[str],
        task: DecodeTask,
        use: Callable[[Sequence[Decoded]], Awaitable[list[Outcome]]],
    ) -> list[tuple[Inspection, Outcome | None]]:
        """Per key its facts, and what `use` made of it unless it has an error."""

        async def one_group(group: Sequence[str]) -> list[tuple[Inspection, Outcome | None]]:
            async with self._groups:
                found = await self._read_and_decode(group, task)
                used = iter(await use([one for one in found if isinstance(one, Decoded)]))
                return [
                    (_inspection(key, one), next(used) if isinstance(one, Decoded) else None)
                    for key, one in zip(group, found, strict=True)
                ]

        try:
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(one_group(keys[start : start + _GROUP]))
                    for start in range(0, len(keys), _GROUP)
                ]
        except BaseExceptionGroup as group:
            # The first says it: a device or a store that fails concerns the whole request.
            raise group.exceptions[0] from group
        return [outcome for group in running for outcome in group.result()]

    async def _read_and_decode(
        self, keys: Sequence[str], task: DecodeTask
    ) -> list[Decoded | KinsightError]:
        blobs = await asyncio.gather(*(self._read(key) for key in keys))
        images = [blob for blob in blobs if isinstance(blob, bytes)]
        decoded = iter(await self._pool.decode_many(images, task, Lane.BULK) if images else [])
        return [next(decoded) if isinstance(blob, bytes) else blob for blob in blobs]

    async def _read(self, key: str) -> bytes | BlobNotFound:
        try:
            return await self._store.get(key)
        except BlobNotFound as error:
            return error


def _inspection(key: str, found: Decoded | KinsightError) -> Inspection:
    if isinstance(found, KinsightError):
        return Inspection(key=key, error=found.detail)
    return Inspection(
        key=key,
        width=found.width,
        height=found.height,
        format=found.format,
        perceptual_hash=found.perceptual_hash,
    )


def _no_rows(model: LoadedModel) -> Arrays:
    """Outputs of no picture, so that the shapes hold where every file was refused."""
    card = model.card
    return (
        np.empty((0, len(card.classes)), np.float32),
        np.empty((0, card.feature_dimensions), np.float32),
        np.empty((0, (card.code_bits + 7) // 8), np.uint8),
    )
