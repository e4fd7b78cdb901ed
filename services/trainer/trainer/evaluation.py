"""How good a ranking is: the figures of merit, from labels alone.

A hit is relevant when its label is the query's. Shapes: N queries, k hits each; where fewer than
k were found the rest counts as not relevant, as does a hit that nobody has labelled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinsight.contracts.evaluation import ClassErrors

DEPTH = 100  # hits looked at for every query
RECALL_DEPTH = 10  # of them, those that a recall is counted over


def relevance(
    hits: Sequence[Sequence[str | None]], labels: Sequence[str], depth: int = DEPTH
) -> NDArray[np.bool_]:
    """(N, depth): whether the hit at each rank has the query's label.

    hits: per query the labels of what was found, nearest first. labels: the N queries' own.
    """
    relevant = np.zeros((len(labels), depth), dtype=np.bool_)
    for row, (found, label) in enumerate(zip(hits, labels, strict=True)):
        relevant[row, : len(found)] = [hit == label for hit in found[:depth]]
    return relevant


def precision_at(relevant: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """(N,): P@k = relevant hits among the first k, divided by k (CBIR paper, table 2)."""
    counts: NDArray[np.float64] = relevant[:, :k].sum(axis=1, dtype=np.float64)
    return counts / k


def average_precision(
    relevant: NDArray[np.bool_], possible: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(N,): AP = (1 / min(depth, R)) Σ_r P@r · relevant_r over the ranks r = 1 … depth.

    possible: (N,) R, the relevant images there are in the library. No relevant image: AP = 0.
    """
    depth = relevant.shape[1]
    precision = np.cumsum(relevant, axis=1) / np.arange(1, depth + 1)
    summed: NDArray[np.float64] = (precision * relevant).sum(axis=1)
    return summed / np.maximum(1, np.minimum(depth, possible))


def recall(
    reference: Sequence[Sequence[int]], kept: Sequence[Sequence[int]], depth: int = RECALL_DEPTH
) -> NDArray[np.float64]:
    """(N,): |first `depth` of the reference ∩ first `depth` kept| / |first `depth` of reference|.

    Image ids, nearest first. 1 where the reference found nothing: nothing was lost.
    """
    found = np.ones(len(reference))
    for row, (wanted, have) in enumerate(zip(reference, kept, strict=True)):
        if first := set(wanted[:depth]):
            found[row] = len(first & set(have[:depth])) / len(first)
    return found


def errors(
    probabilities: NDArray[np.float32],
    labels: Sequence[str],
    classes: Sequence[str],
    *,
    among: int = 1,
) -> NDArray[np.bool_]:
    """(N,): where the label is not among the network's most probable classes (top-`among` error).

    probabilities: (N, K), column i for classes[i]. Equal probabilities go by class number. A label
    the network was not taught is an error.
    """
    likeliest = np.argsort(-probabilities, axis=1, kind="stable")[:, :among]
    return np.array(
        [
            label not in [classes[i] for i in row]
            for row, label in zip(likeliest, labels, strict=True)
        ],
        dtype=np.bool_,
    )


@dataclass(frozen=True)
class Queries:
    """A batch of N queries, whatever it is searched by."""

    labels: list[str]
    possible: NDArray[np.int64]  # (N,) relevant images in the library
    top1_wrong: NDArray[np.bool_]  # (N,) the network's own prediction
    top5_wrong: NDArray[np.bool_]  # (N,) none of its five likeliest


class Predictions:
    """How the network itself classifies the queries, batch by batch."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        self._counts: dict[str, Counter[str]] = {}
        self._wrong: dict[str, NDArray[np.float64]] = {}

    def add(self, queries: Queries, probabilities: NDArray[np.float32]) -> None:
        """probabilities: (N, K), a row per query."""
        wrong = np.column_stack([queries.top1_wrong, queries.top5_wrong]).astype(np.float64)
        for row, label in enumerate(queries.labels):
            predicted = self._classes[int(probabilities[row].argmax())]
            self._counts.setdefault(label, Counter())[predicted] += 1
            self._wrong[label] = self._wrong.get(label, np.zeros(2)) + wrong[row]

    def per_class(self) -> dict[str, ClassErrors]:
        return {
            label: ClassErrors(
                queries=(queries := self._counts[label].total()),
                top1_error=float(wrong[0]) / queries,
                top5_error=float(wrong[1]) / queries,
            )
            for label, wrong in sorted(self._wrong.items())
        }

    def confusion(self) -> dict[str, dict[str, int]]:
        """Queries per label and predicted class, the likeliest first; zeros are left out."""
        return {
            label: dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
            for label, counts in sorted(self._counts.items())
        }
