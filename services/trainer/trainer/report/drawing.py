"""The pictures of a report. One that cannot be drawn is left out and says why."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from kinsight.contracts.models import CurvePoint
from kinsight.contracts.reports import ModelReport
from trainer.plots.confusion import confusion
from trainer.plots.curves import Panel, Series, curves
from trainer.plots.first_layer import first_kernels
from trainer.plots.kernels import kernels
from trainer.plots.lettering import lettering
from trainer.plots.retrieval import Found, Retrieved, retrieval
from trainer.plots.top5 import Classified, top5
from trainer.training.run import Run

_log = logging.getLogger(__name__)


class _NothingToDraw(Exception):
    """The sentence that stands in the picture's place."""


def draw(
    run: Run,
    report: ModelReport,
    counts_KK: NDArray[np.int64],
    probabilities: Sequence[NDArray[np.float32]],
) -> tuple[dict[str, bytes], dict[str, str]]:
    """The pictures by file name, and of those there are none of, why.

    probabilities: (K,) of each image of the report's `top5`.
    """
    names = [result.name for result in report.classes]
    number = {name: i for i, name in enumerate(names)}
    place = {image.image_id: i for i, image in enumerate(run.data.images)}

    def pixels(image_id: int) -> NDArray[np.uint8]:
        return np.asarray(run.data.pixels[place[image_id]])

    def top5_sheet() -> bytes:
        chosen = [
            Classified(pixels(one.image_id), number[one.label], p)
            for one, p in zip(report.top5, probabilities, strict=True)
        ]
        return top5(chosen, names)

    def retrieval_sheet() -> bytes:
        chosen = [
            Retrieved(
                pixels(one.image_id),
                number[one.label],
                [Found(pixels(h.image_id), number[h.label], h.distance) for h in one.hits],
            )
            for one in report.retrieval
        ]
        return retrieval(chosen, names)

    return _drawn(
        {
            "curves.png": lambda: _curves(run, report.curve),
            "kernels.png": lambda: _kernels(run),
            "confusion.png": lambda: confusion(counts_KK, names),
            "top5.png": top5_sheet,
            "retrieval.png": retrieval_sheet,
        }
    )


def numbered(names: Sequence[str]) -> list[int]:
    """The classes whose names the pictures do not write, because no font here has the letters."""
    letters = lettering(names)
    return [
        i for i, shown in enumerate(letters.class_names(names)) if shown == f"class {i}" != names[i]
    ]


def training_curves(points: Sequence[CurvePoint]) -> bytes:
    """PNG of loss and accuracies over the iterations."""
    if not points:
        raise _NothingToDraw("This run has told no points of its curve.")
    at = [point.iteration for point in points]

    def line(label: str, values: Sequence[float | None], colour: int) -> list[Series]:
        known = [(x, y) for x, y in zip(at, values, strict=True) if y is not None]
        xs, ys = [x for x, _ in known], [y for _, y in known]
        return [Series(label, xs, ys, colour=colour)] if known else []

    accuracies = [
        *line("training", [point.training_accuracy for point in points], 0),
        *line("validation", [point.validation_accuracy for point in points], 1),
    ]
    losses = line("training", [point.loss for point in points], 0)
    return curves(
        [
            Panel("Loss", "iteration", losses, from_zero=True),
            Panel("Accuracy", "iteration", accuracies, percent=True),
        ]
    )


def _curves(run: Run, points: Sequence[CurvePoint]) -> bytes:
    if run.request.network == "ensemble":
        raise _NothingToDraw("An ensemble has no curve; its members' reports have theirs.")
    return training_curves(points)


def _kernels(run: Run) -> bytes:
    weights = first_kernels(run.network)
    if weights is None:
        raise _NothingToDraw("This network has no convolution.")
    return kernels(weights)


def _drawn(
    pictures: dict[str, Callable[[], bytes]],
) -> tuple[dict[str, bytes], dict[str, str]]:
    done: dict[str, bytes] = {}
    missing: dict[str, str] = {}
    for name, picture in pictures.items():
        try:
            done[name] = picture()
        except _NothingToDraw as reason:
            missing[name] = str(reason)
        # A picture is never worth a model.
        except Exception as error:  # noqa: BLE001
            _log.exception("%s could not be drawn", name)
            missing[name] = f"It could not be drawn ({type(error).__name__}); the log says more."
    return done, missing
