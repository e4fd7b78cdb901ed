"""The decode pool: pictures are decoded in processes that a bad file cannot take others down with.

A thread per worker takes requests from one queue, searches first, and speaks to its process. When
that process crashes, hangs or runs out of memory, only the request at hand is concerned: its
pictures are tried one by one in a fresh process, and the culprit alone is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_extractor import metrics
from feature_extractor.decode_process import WorkerLost, WorkerProcess
from feature_extractor.decode_protocol import DecodeTask
from feature_extractor.decode_worker import WorkerSettings
from feature_extractor.lanes import Lane
from kinsight.errors import BY_CODE, BadImage, KinsightError, Unavailable

_log = logging.getLogger(__name__)
_NO_ROWS: NDArray[np.uint8] = np.empty((0, 0, 0, 3), np.uint8)


@dataclass(frozen=True)
class Decoded:
    """One picture.

    rows: (1 or 10, S, S, 3) uint8, empty without a card. result: bytes of a thumbnail, else
    empty. queue_seconds, decode_seconds: how long it waited for a worker and was worked on.
    """

    width: int
    height: int
    format: str
    perceptual_hash: int
    rows: NDArray[np.uint8]
    result: bytes
    queue_seconds: float
    decode_seconds: float


@dataclass(order=True)
class _Request:
    lane: int
    number: int
    images: Sequence[bytes] = field(compare=False)
    task: DecodeTask = field(compare=False)
    since: float = field(compare=False)
    future: Future[list[Decoded | KinsightError]] = field(compare=False)


class DecodePool:
    """Decode workers behind a queue; every method is safe to call from any thread."""

    def __init__(self, workers: int, settings: WorkerSettings) -> None:
        self._settings = settings
        self._numbers = itertools.count()
        self._waiting: queue.PriorityQueue[_Request] = queue.PriorityQueue()
        self._closing = threading.Event()
        self._processes: list[WorkerProcess | None] = [None] * workers
        self._threads = [
            threading.Thread(target=self._serve, args=(slot,), name=f"decode-{slot}", daemon=True)
            for slot in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def workers(self) -> int:
        return len(self._threads)

    @property
    def worker_pids(self) -> list[int]:
        """Of the workers that run at this moment."""
        return [process.pid for process in list(self._processes) if process and process.alive]

    async def decode(self, data: bytes, task: DecodeTask, lane: Lane) -> Decoded:
        """One picture; raises what `kinsight.images.decode` raises, and Unavailable."""
        (outcome,) = await self.decode_many([data], task, lane)
        if isinstance(outcome, KinsightError):
            raise outcome
        return outcome

    async def decode_many(
        self, images: Sequence[bytes], task: DecodeTask, lane: Lane
    ) -> list[Decoded | KinsightError]:
        """Several pictures in one request, so that small ones are not outweighed by messages.

        Per picture the result or its error. Raises Unavailable where no worker can be started.
        """
        future: Future[list[Decoded | KinsightError]] = Future()
        metrics.QUEUE_DEPTH.labels(lane.label).inc(len(images))
        self._waiting.put(
            _Request(lane, next(self._numbers), images, task, time.perf_counter(), future)
        )
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Ends the workers, in the midst of a picture too; what waits gets Unavailable."""
        self._closing.set()
        for _ in self._threads:
            self._waiting.put(_Request(-1, next(self._numbers), [], DecodeTask(), 0.0, Future()))
        for process in self._processes:
            if process:
                process.kill()
        for thread in self._threads:
            thread.join()
        while not self._waiting.empty():
            self._waiting.get().future.set_exception(_stopping())

    def _serve(self, slot: int) -> None:
        # Started before it is needed: the first search should not wait for it.
        with contextlib.suppress(Unavailable):
            self._process(slot)
        while True:
            request = self._waiting.get()
            if self._closing.is_set():
                request.future.set_exception(_stopping())
                break
            metrics.QUEUE_DEPTH.labels(Lane(request.lane).label).dec(len(request.images))
            if request.future.set_running_or_notify_cancel():
                self._answer(slot, request)
        self._end(slot)

    def _answer(self, slot: int, request: _Request) -> None:
        waited = time.perf_counter() - request.since
        try:
            outcomes = self._decode(slot, request.images, request.task, waited)
        # Whatever it is belongs to whoever waits for the answer, not to this thread.
        except Exception as error:  # noqa: BLE001
            request.future.set_exception(error)
        else:
            request.future.set_result(outcomes)

    def _decode(
        self, slot: int, images: Sequence[bytes], task: DecodeTask, waited: float, attempts: int = 2
    ) -> list[Decoded | KinsightError]:
        process = self._process(slot)
        try:
            items, bodies = process.ask(images, task)
        except WorkerLost as lost:
            self._end(slot)
            if self._closing.is_set():
                raise _stopping() from lost
            metrics.WORKERS_LOST.inc()
            _log.warning("A decode worker %s over %d image(s).", lost, len(images))
            if len(images) > 1:
                return [self._decode(slot, [image], task, waited)[0] for image in images]
            # A process may also be killed from outside; the picture gets the benefit once.
            if attempts > 1 and not lost.timed_out:
                return self._decode(slot, images, task, waited, attempts - 1)
            return [self._refusal(lost)]
        if any(item.get("reason") == "memory" for item in items):
            self._end(slot)
        return [_outcome(item, body, waited) for item, body in zip(items, bodies, strict=True)]

    def _refusal(self, lost: WorkerLost) -> BadImage:
        metrics.IMAGES_REJECTED.labels(BadImage.code).inc()
        if lost.timed_out:
            return BadImage(
                f"Decoding this picture takes longer than {self._settings.seconds:g} s; "
                "save it again as JPEG or PNG and send that."
            )
        return BadImage(
            "This picture brings the decoder down; save it again as JPEG or PNG and send that."
        )

    def _process(self, slot: int) -> WorkerProcess:
        process = self._processes[slot]
        if process and not process.alive:  # killed from outside while it had nothing to do
            self._end(slot)
            process = None
        if process is None:
            process = self._processes[slot] = WorkerProcess(self._settings)
        if self._closing.is_set():
            raise _stopping()
        return process

    def _end(self, slot: int) -> None:
        process, self._processes[slot] = self._processes[slot], None
        if process:
            process.end()


def _outcome(item: dict[str, Any], body: memoryview, waited: float) -> Decoded | KinsightError:
    if "error" in item:
        metrics.IMAGES_REJECTED.labels(item["error"]).inc()
        return BY_CODE[item["error"]](item["detail"])
    metrics.DECODE_SECONDS.observe(item["seconds"])
    shape = item.get("shape")
    return Decoded(
        width=item.get("width", 0),
        height=item.get("height", 0),
        format=item.get("format", ""),
        perceptual_hash=item.get("perceptual_hash", 0),
        rows=np.frombuffer(body, np.uint8).reshape(shape) if shape else _NO_ROWS,
        result=b"" if shape else bytes(body),
        queue_seconds=waited,
        decode_seconds=item["seconds"],
    )


def _stopping() -> Unavailable:
    return Unavailable("The feature extractor is stopping; try again in a moment.")
