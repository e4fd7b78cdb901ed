"""How good a ranking is: the figures of merit, from labels alone.

A hit is relevant when its label is the query's. Shapes: N queries, k hits each; where fewer than
k were found the rest counts as not relevant, as does a hit that nobody has labelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinsight.contracts.evaluation import EvaluationRow
from kinsight.contracts.ingest import BatchAnswer

DEPTH = 100  # hits looked at for every query


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


def errors(
    probabilities: NDArray[np.float32], labels: Sequence[str], classes: Sequence[str]
) -> NDArray[np.bool_]:
    """(N,): where the network's most probable class is not the label.

    probabilities: (N, K), column i for classes[i]. A label the network was not taught is an error.
    """
    predicted = np.argmax(probabilities, axis=1)
    return np.array(
        [classes[i] != label for i, label in zip(predicted, labels, strict=True)], dtype=np.bool_
    )


@dataclass(frozen=True)
class Queries:
    """A batch of N queries, whatever it is searched by."""

    labels: list[str]
    possible: NDArray[np.int64]  # (N,) relevant images in the library
    wrong: NDArray[np.bool_]  # (N,) the network's own prediction


class Tally:
    """Sums up one space under one routing mode, batch by batch."""

    def __init__(self, space: str, routing: str) -> None:
        self.space, self.routing = space, routing
        self._queries = 0
        self._sums = np.zeros(7)

    def add(self, queries: Queries, answers: Sequence[BatchAnswer]) -> None:
        relevant = relevance([answer.labels for answer in answers], queries.labels)
        self._queries += len(queries.labels)
        self._sums += [
            precision_at(relevant, 1).sum(),
            precision_at(relevant, 5).sum(),
            precision_at(relevant, 10).sum(),
            average_precision(relevant, queries.possible).sum(),
            queries.wrong.sum(),
            sum(answer.compared for answer in answers),
            sum(answer.search_ms for answer in answers),
        ]

    def row(self) -> EvaluationRow:
        """The means over all queries; of at least one."""
        means = self._sums / self._queries
        return EvaluationRow(
            space=self.space,
            routing=self.routing,
            p_at_1=means[0],
            p_at_5=means[1],
            p_at_10=means[2],
            map=means[3],
            top1_error=means[4],
            compared_mean=means[5],
            milliseconds_mean=means[6],
        )
