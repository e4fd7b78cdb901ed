"""The figures of a report, from labels and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kinsight.contracts.models import CurvePoint
from kinsight.contracts.reports import ClassResult, ConfusedPair

_MOST_PAIRS = 15
_MOST_POINTS = 500  # of either kind; more than a picture can tell apart


def confusion_counts(
    labels_N: NDArray[np.int64], predicted_N: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """(K, K): images by true class (row) and predicted class (column)."""
    cells = np.bincount(labels_N * classes + predicted_N, minlength=classes * classes)
    return np.asarray(cells.reshape(classes, classes), dtype=np.int64)


def cells(counts_KK: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """(true, predicted, images) of every cell that is not 0."""
    return [(int(i), int(j), int(counts_KK[i, j])) for i, j in np.argwhere(counts_KK)]


def class_results(
    counts_KK: NDArray[np.int64], names: Sequence[str], training: Mapping[str, int]
) -> list[ClassResult]:
    """Per class. training: training images by class name. Without validation images: 0."""
    totals, right = counts_KK.sum(axis=1), counts_KK.diagonal()
    return [
        ClassResult(
            name=name,
            training_images=training.get(name, 0),
            validation_images=int(totals[i]),
            right=int(right[i]),
            accuracy=float(right[i] / max(1, totals[i])),
        )
        for i, name in enumerate(names)
    ]


def confused_pairs(counts_KK: NDArray[np.int64], names: Sequence[str]) -> list[ConfusedPair]:
    """The fifteen that happen most often; among equals those with the larger part first."""
    totals = np.maximum(1, counts_KK.sum(axis=1))
    wrong = counts_KK * (1 - np.eye(len(counts_KK), dtype=np.int64))
    pairs = [
        ConfusedPair(
            true=names[i],
            predicted=names[j],
            count=int(wrong[i, j]),
            part=float(wrong[i, j] / totals[i]),
        )
        for i, j in np.argwhere(wrong)
    ]
    return sorted(pairs, key=lambda pair: (-pair.count, -pair.part))[:_MOST_PAIRS]


def thinned(points: Sequence[CurvePoint]) -> list[CurvePoint]:
    """Evenly spaced points, at most 500 with a validation accuracy and 500 without."""
    validated = [point for point in points if point.validation_accuracy is not None]
    others = [point for point in points if point.validation_accuracy is None]
    kept = [*_spaced(validated), *_spaced(others)]
    return sorted(kept, key=lambda point: point.iteration)


def _spaced(points: list[CurvePoint]) -> list[CurvePoint]:
    if len(points) <= _MOST_POINTS:
        return points
    places = np.linspace(0, len(points) - 1, _MOST_POINTS).round().astype(int)
    return [points[place] for place in places]
