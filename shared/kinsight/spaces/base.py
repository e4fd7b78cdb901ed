"""A space: one output of the model, and how far apart two images are in it."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Metric = Literal["euclidean", "cosine", "hamming"]
Column = Literal["probabilities", "feature", "code"]


class Space(Protocol):
    """`column` is both the field of `Embeddings` and the column of the class tables."""

    column: Column

    def metric(self, feature_metric: str) -> Metric:
        """The distance in this space under a model that compares features by `feature_metric`."""
        ...


def distances(metric: Metric, query: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float64]:
    """Distances of one query, shape (D,), to rows, shape (N, D); returns shape (N,).

    euclidean: √Σ(qᵢ − rᵢ)²; cosine: 1 − q·r / (|q||r|); hamming: differing bits of packed codes.
    """
    if metric == "hamming":
        differing = np.bitwise_count(np.bitwise_xor(rows, query))
        return np.asarray(differing.sum(axis=1), dtype=np.float64)
    rows64, query64 = rows.astype(np.float64), query.astype(np.float64)
    if metric == "euclidean":
        return np.asarray(np.sqrt(np.square(rows64 - query64).sum(axis=1)))
    norms = np.linalg.norm(rows64, axis=1) * np.linalg.norm(query64)
    return np.asarray(1.0 - rows64 @ query64 / np.where(norms == 0, 1.0, norms))


def similarity(distance: float) -> float:
    """1 / (1 + distance): the CBIR paper's measure, 1 for identical images."""
    return 1.0 / (1.0 + distance)
