"""Dynamic batching: whatever waits for the same model when the device is free goes together.

Nothing waits for a batch to fill. Few threads run the networks; searches go first, and bulk
batches are sized so that a search never waits long behind one.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from feature_extractor import metrics
from feature_extractor.lanes import Lane
from feature_extractor.pace import Pace
from kinsight.errors import Overloaded, Unavailable

# After so many search batches in a row a waiting bulk batch runs, so that ingest never stands
# still under a constant stream of searches.
_SEARCHES_IN_A_ROW = 8


class Embedder(Protocol):
    """What the batcher needs of a model: outputs for B / crops pictures, in order."""

    pace: Pace

    def run(self, rows_BHWC: NDArray[np.uint8], crops: int, /) -> tuple[NDArray[Any], ...]: ...


@dataclass(frozen=True)
class Embedded:
    """arrays: the model's outputs for one picture, (1, …) each.

    embed_seconds: of the batch it was in, with batch_size pictures.
    """

    arrays: tuple[NDArray[Any], ...]
    queue_seconds: float
    embed_seconds: float
    batch_size: int


@dataclass(eq=False)
class _Item:
    model: Embedder
    rows: NDArray[np.uint8]  # (crops, S, S, 3)
    lane: Lane
    since: float
    future: Future[Embedded]


class Batcher:
    """The queue before the device, and the threads that empty it."""

    def __init__(
        self, *, search_queue: int, threads: int = 1, on_start: Callable[[], None] | None = None
    ) -> None:
        """threads: batches that run at once. on_start: run first in each of their threads."""
        self._search_queue = search_queue
        self._on_start = on_start
        self._lanes: dict[Lane, deque[_Item]] = {Lane.SEARCH: deque(), Lane.BULK: deque()}
        self._changed = threading.Condition()
        self._closing = False
        self._searches = 0
        self._threads = [
            threading.Thread(target=self._work, name=f"inference-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def threads(self) -> int:
        return len(self._threads)

    async def embed(
        self, model: Embedder, rows: NDArray[np.uint8], lane: Lane, seconds: float
    ) -> Embedded:
        """One picture, (crops, S, S, 3); raises what `embed_all` raises."""
        (embedded,) = await self.embed_all(model, [rows], lane, seconds)
        return embedded

    async def embed_all(
        self, model: Embedder, pictures: Sequence[NDArray[np.uint8]], lane: Lane, seconds: float
    ) -> list[Embedded]:
        """Several pictures, (crops, S, S, 3) each, not necessarily in one batch.

        Raises Overloaded where the lane of searches is full, Unavailable where the device has not
        come to all of them within `seconds`.
        """
        now = time.perf_counter()
        items = [_Item(model, rows, lane, now, Future()) for rows in pictures]
        with self._changed:
            if self._closing:
                raise _stopping()
            if lane is Lane.SEARCH and len(self._lanes[lane]) >= self._search_queue:
                raise Overloaded(
                    f"{self._search_queue} searches are waiting for the network; try again in a "
                    "moment."
                )
            self._lanes[lane].extend(items)
            self._changed.notify(len(items))
        metrics.QUEUE_DEPTH.labels(lane.label).inc(len(items))
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.gather(*(asyncio.wrap_future(i.future) for i in items))
        except TimeoutError as error:
            raise Unavailable(
                f"The network did not come to this picture within {seconds:g} s; try again in a "
                "moment."
            ) from error

    def close(self) -> None:
        """Ends the threads after the batches at hand; what waits gets Unavailable."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        for waiting in self._lanes.values():
            for item in waiting:
                metrics.QUEUE_DEPTH.labels(item.lane.label).dec()
                if item.future.set_running_or_notify_cancel():
                    item.future.set_exception(_stopping())

    def _work(self) -> None:
        if self._on_start:
            self._on_start()
        while batch := self._next_batch():
            self._run(batch)

    def _next_batch(self) -> list[_Item]:
        """Waits for work; empty when the batcher closes."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or any(self._lanes.values()))
                if self._closing:
                    return []
                taken = self._take()
            # Who has given up waiting is left out.
            if batch := [i for i in taken if i.future.set_running_or_notify_cancel()]:
                return batch

    def _take(self) -> list[_Item]:
        """The first item's companions: same model, same crops, as many as fit the time."""
        searches, bulk = self._lanes[Lane.SEARCH], self._lanes[Lane.BULK]
        yield_to_bulk = bool(bulk) and self._searches >= _SEARCHES_IN_A_ROW
        waiting = searches if searches and not yield_to_bulk else bulk
        self._searches = self._searches + 1 if waiting is searches else 0
        first = waiting[0]
        most = max(1, first.model.pace.rows // len(first.rows))
        taken: list[_Item] = []
        for item in waiting:
            if item.model is first.model and item.rows.shape == first.rows.shape:
                taken.append(item)
                if len(taken) == most:
                    break
        chosen = set(taken)
        self._lanes[first.lane] = deque(item for item in waiting if item not in chosen)
        metrics.QUEUE_DEPTH.labels(first.lane.label).dec(len(taken))
        return taken

    def _run(self, batch: list[_Item]) -> None:
        model, lane, crops = batch[0].model, batch[0].lane, len(batch[0].rows)
        rows = batch[0].rows if len(batch) == 1 else np.concatenate([i.rows for i in batch])
        began = time.perf_counter()
        try:
            arrays = model.run(rows, crops)
        # Whatever it is belongs to those who wait for the answer, not to the inference thread.
        except Exception as error:  # noqa: BLE001
            for item in batch:
                item.future.set_exception(error)
            return
        took = time.perf_counter() - began
        with self._changed:
            model.pace.observe(len(rows), took)
        metrics.BATCH_SIZE.labels(lane.label).observe(len(rows))
        metrics.EMBED_SECONDS.labels(lane.label).observe(took)
        metrics.IMAGES_EMBEDDED.labels(lane.label).inc(len(batch))
        for number, item in enumerate(batch):
            own = tuple(array[number : number + 1] for array in arrays)
            item.future.set_result(Embedded(own, began - item.since, took, len(batch)))


def _stopping() -> Unavailable:
    return Unavailable("The feature extractor is stopping; try again in a moment.")
