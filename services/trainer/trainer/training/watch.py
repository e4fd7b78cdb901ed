"""What a training run looks like from outside."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Any, NamedTuple

from kinsight.contracts.models import CurvePoint
from trainer.training.events import Reporter

_SECONDS_BETWEEN_POINTS = 1.0
_RECENT = 50  # iterations that the loss and the accuracy shown are means of
_BLOWN_UP = 4.0  # times the loss of the beginning, or of guessing


class Extent(NamedTuple):
    """How long the run is: `images` of them are trained on in each iteration."""

    iterations: int
    epochs: int
    per_epoch: int
    images: int
    classes: int


class Watch:
    """Tells the reporter of every step, and the curve of some."""

    def __init__(self, extent: Extent, reporter: Reporter, start: int) -> None:
        self._extent, self._reporter = extent, reporter
        self._losses: deque[float] = deque(maxlen=_RECENT)
        self._accuracies: deque[float] = deque(maxlen=_RECENT)
        self._iteration, self._last_point = start, 0.0
        self._first: float | None = None
        reporter.phase(
            "training",
            extent.iterations,
            unit="iterations",
            done=start,
            images_per_unit=extent.images,
        )
        reporter.note(epochs=extent.epochs, iterations=extent.iterations)

    def step(self, iteration: int, loss: float, accuracy: float, seconds: float) -> None:
        self._iteration = iteration
        self._first = loss if self._first is None else self._first
        self._losses.append(loss)
        self._accuracies.append(accuracy)
        self._reporter.advance(
            iteration,
            iteration=iteration,
            epoch=round(iteration / self._extent.per_epoch, 2),
            loss=self._loss(),
            training_accuracy=sum(self._accuracies) / len(self._accuracies),
        )
        if time.monotonic() - self._last_point >= _SECONDS_BETWEEN_POINTS:
            self._point(seconds)

    def validated(self, accuracy: float, seconds: float) -> None:
        self._reporter.note(validation_accuracy=accuracy)
        self._point(seconds, validation_accuracy=accuracy)

    def sound(self) -> bool:
        """Whether these weights are worth going back to: the loss is about as low as at first.

        A run that blows up keeps its last good checkpoint.
        """
        chance = math.log(self._extent.classes)
        return self._loss() <= _BLOWN_UP * max(self._first or 0.0, chance)

    def _point(self, seconds: float, **facts: Any) -> None:
        self._last_point = time.monotonic()
        rate = self._reporter.per_second()
        images = self._extent.images
        self._reporter.curve(
            CurvePoint(
                iteration=self._iteration,
                seconds=seconds,
                loss=self._loss(),
                images_per_second=rate * images if rate else None,
                training_accuracy=sum(self._accuracies) / len(self._accuracies),
                **facts,
            )
        )

    def _loss(self) -> float:
        return sum(self._losses) / len(self._losses)
