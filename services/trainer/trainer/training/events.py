"""What the process says of itself: JSON lines on standard output, at least one a second."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, TextIO

from kinsight.contracts.models import CurvePoint, ModelCard
from kinsight.errors import KinsightError
from trainer.training.curve_log import CurveLog

_SECONDS_BETWEEN_LINES = 0.5
_RATE_WINDOW_SECONDS = 10.0

_FACTS: dict[str, Any] = {
    "phase": "reading",
    "total": None,
    "device": None,
    "epoch": None,
    "epochs": None,
    "iteration": None,
    "iterations": None,
    "loss": None,
    "training_accuracy": None,
    "validation_accuracy": None,
}


class Reporter:
    """Thread-safe. A thread repeats the progress, however long a step takes.

    Events: progress, curve, and at the end done or failed. `done` and `total` count the unit of
    the phase: images while reading, computing features and calibrating, iterations in training.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._progress: dict[str, Any] = {**_FACTS, "unit": "images", "done": 0}
        self._images_per_unit = 1
        self._history: deque[tuple[float, int]] = deque()
        self._curve: CurveLog | None = None
        self._thread = threading.Thread(target=self._repeat, daemon=True, name="reporter")

    def start(self) -> None:
        self._thread.start()

    def phase(
        self,
        name: str,
        total: int | None,
        *,
        unit: str = "images",
        done: int = 0,
        images_per_unit: int = 1,
    ) -> None:
        """Begins a phase, of which `done` may be done already, and says so at once."""
        with self._lock:
            self._progress |= {"phase": name, "total": total, "unit": unit, "done": done}
            self._images_per_unit = images_per_unit
            self._history.clear()
            self._history.append((time.monotonic(), done))
        self._say_progress()

    def advance(self, done: int, **facts: Any) -> None:
        """How far the phase is; the facts (loss, epoch, …) stay until they are given again."""
        with self._lock:
            self._progress |= {**facts, "done": done}

    def note(self, **facts: Any) -> None:
        with self._lock:
            self._progress |= facts

    def keep_curve(self, path: Path) -> None:
        """Keeps the curve's points in this file too, with those of earlier attempts."""
        self._curve = CurveLog(path)

    @property
    def points(self) -> list[CurvePoint]:
        """The curve so far, where it is kept."""
        return self._curve.points if self._curve else []

    def curve(self, point: CurvePoint) -> None:
        if self._curve:
            self._curve.add(point)
        self._say({"event": "curve", "point": point.model_dump()})

    def done(self, card: ModelCard) -> None:
        self._end({"event": "done", "card": card.model_dump(mode="json")})

    def failed(self, error: KinsightError) -> None:
        self._end({"event": "failed", "problem": error.problem()})

    def per_second(self) -> float | None:
        """Units a second over the last ten seconds."""
        with self._lock:
            return self._rate(self._progress["done"])

    def _repeat(self) -> None:
        while not self._stop.wait(_SECONDS_BETWEEN_LINES):
            self._say_progress()

    def _say_progress(self) -> None:
        with self._lock:
            progress = dict(self._progress)
            rate = self._rate(progress["done"])
        total = progress["total"]
        left = None if total is None else max(0, total - progress["done"])
        progress["per_second"] = rate
        progress["eta_seconds"] = left / rate if rate and left is not None else None
        progress["images_per_second"] = rate * self._images_per_unit if rate else None
        self._say({"event": "progress", "progress": progress})

    def _rate(self, done: int) -> float | None:
        now = time.monotonic()
        self._history.append((now, done))
        while len(self._history) > 2 and self._history[1][0] < now - _RATE_WINDOW_SECONDS:
            self._history.popleft()
        then, before = self._history[0]
        return (done - before) / (now - then) if now > then and done > before else None

    def _end(self, event: dict[str, Any]) -> None:
        self._stop.set()
        self._say(event)

    def _say(self, event: dict[str, Any]) -> None:
        line = json.dumps(event, separators=(",", ":"), allow_nan=False)
        try:
            with self._lock:
                self._stream.write(line + "\n")
                self._stream.flush()
        except OSError:
            # Nobody listens any more: the process that started this one is gone.
            os._exit(1)
