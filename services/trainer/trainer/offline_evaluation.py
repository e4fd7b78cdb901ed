"""Evaluation of embeddings in memory: what the job measures on a library, without one.

For training reports and reproductions of the papers' tables, where the database is a training set
and every rank counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kinsight.contracts.evaluation import EvaluationRow
from kinsight.contracts.models import RetrievalSettings
from kinsight.networks import EmbeddingArrays
from kinsight.spaces import tie_keys
from trainer import evaluation
from trainer.evaluation import Queries
from trainer.routed_tables import ROUTINGS, routed_tables
from trainer.tally import SPACES, Found, Tally, bytes_per_image
from trainer.training.calibration import Labelled, code_signs, scaled, with_ties

_BLOCK_BYTES = 256 << 20
_BYTES_PER_PAIR = 48  # distances, sort keys and orders in three spaces

Order = NDArray[np.int64]  # rows of the database, nearest first


def evaluate(
    database: Labelled,
    queries: Labelled,
    retrieval: RetrievalSettings,
    *,
    classes: Sequence[str],
    feature_metric: str = "euclidean",
    spaces: Sequence[str] = SPACES,
    routings: Sequence[str] = ROUTINGS,
    advance: Callable[[int], None] = lambda _: None,
) -> list[EvaluationRow]:
    """A row for each space under each routing mode; `advance` is told how many queries are done.

    Labels are class numbers, named by `classes`, in the order of the probabilities' columns; -1 is
    a class that the network was not taught: always an error, and nothing is relevant to it.
    The database's rows lie in the tables of their own predicted classes. `map` looks at the first
    100 ranks as evaluation jobs do, `map_all` at every row of the tables scanned: AP =
    (1 / R) Σ_r P@r · relevant_r with R the relevant rows of the whole database (the mean average
    precision of papers on hashing). Equal distances go by `spaces.tie_keys` of the rows' numbers.
    In `auto` the shortlist, its border's ties included, comes first, ordered by feature, and the
    other rows follow by Hamming distance. Nothing is timed.

    50,000 rows and 10,000 queries take minutes on two cores, and half a gigabyte beside a copy of
    the database's features.
    """
    index = _Database(database, feature_metric)
    bytes_in = partial(
        bytes_per_image,
        classes=database.outputs.probabilities.shape[1],
        feature_dimensions=database.outputs.feature.shape[1],
        code_bits=8 * database.outputs.code.shape[1],
    )
    tallies = {
        (space, routing): Tally(space, routing, bytes_in(space))
        for space in spaces
        for routing in routings
    }
    block = max(1, _BLOCK_BYTES // (_BYTES_PER_PAIR * max(1, len(database))))
    for start in range(0, len(queries), block):
        outputs = queries.outputs.rows(slice(start, start + block))
        labels = queries.labels[start : start + block]
        found: dict[tuple[str, str], list[_One]] = {key: [] for key in tallies}
        rankings = index.rankings(outputs, retrieval, spaces, routings)
        for label, ranking in zip(labels, rankings, strict=True):
            relevant = (index.labels == label) & (label >= 0)
            for key, ones in found.items():
                ones.append(_one(ranking, *key, relevant))
        judged = _judged(outputs, labels, classes, index.labels)
        for key, tally in tallies.items():
            tally.add(judged, _together(found[key], auto=tally.space == "auto"))
        advance(len(labels))
    return [tally.row() for tally in tallies.values()]


class _One(NamedTuple):
    """What one query found in one space under one routing mode."""

    relevant: NDArray[np.bool_]  # (DEPTH,)
    compared: float
    precision_all: float
    routing_recall: float
    hash_recall: float


def _one(ranking: _Ranking, space: str, routing: str, relevant_N: NDArray[np.bool_]) -> _One:
    order = ranking(space, routing)
    relevant = relevant_N[order]
    ranks = np.flatnonzero(relevant) + 1
    precisions = np.arange(1, len(ranks) + 1) / ranks
    first = np.zeros(evaluation.DEPTH, dtype=np.bool_)
    first[: len(order)] = relevant[: evaluation.DEPTH]

    def kept(reference: Order) -> float:
        return float(evaluation.recall([reference[:_TOP].tolist()], [order[:_TOP].tolist()])[0])

    return _One(
        first,
        len(order),
        float(precisions.sum()) / max(1, int(relevant_N.sum())),
        kept(ranking(space, "all")),
        kept(ranking("feature", routing)) if space == "auto" else 0.0,
    )


_TOP = evaluation.RECALL_DEPTH


def _together(ones: Sequence[_One], *, auto: bool) -> Found:
    return Found(
        relevant=np.stack([one.relevant for one in ones]),
        compared=np.array([one.compared for one in ones]),
        routing_recall=np.array([one.routing_recall for one in ones]),
        hash_recall=np.array([one.hash_recall for one in ones]) if auto else None,
        precision_all=np.array([one.precision_all for one in ones]),
    )


def _judged(
    outputs: EmbeddingArrays,
    labels: NDArray[np.int64],
    classes: Sequence[str],
    database_labels: NDArray[np.int64],
) -> Queries:
    names = [classes[label] if label >= 0 else "" for label in labels]
    counts = np.bincount(database_labels[database_labels >= 0], minlength=len(classes))
    return Queries(
        names,
        np.where(labels >= 0, counts[labels], 0),
        evaluation.errors(outputs.probabilities, names, classes),
        evaluation.errors(outputs.probabilities, names, classes, among=5),
    )


class _Ranking:
    """One query's rows of the database by space and routing mode, each made once."""

    def __init__(
        self,
        orders: Mapping[str, Order],
        inside: Mapping[str, NDArray[np.bool_]],
        hamming: NDArray[np.int16] | None,
        shortlist: int,
    ) -> None:
        """orders: per single space, over all rows. inside: per routing, rows of its tables."""
        self._orders, self._inside = orders, inside
        self._hamming, self._shortlist = hamming, max(shortlist, evaluation.DEPTH)
        self._made: dict[tuple[str, str], Order] = {}

    def __call__(self, space: str, routing: str) -> Order:
        key = (space, routing)
        if key not in self._made:
            self._made[key] = self._auto(routing) if space == "auto" else self._within(*key)
        return self._made[key]

    def _within(self, space: str, routing: str) -> Order:
        order = self._orders[space]
        return order if routing == "all" else order[self._inside[routing][order]]

    def _auto(self, routing: str) -> Order:
        assert self._hamming is not None
        order = self("hash", routing)
        end = with_ties(self._hamming[order], self._shortlist)
        listed = np.zeros(len(self._hamming), dtype=np.bool_)
        listed[order[:end]] = True
        exact = self("feature", routing)
        return np.concatenate([exact[listed[exact]], order[end:]])


class _Database:
    """The rows that are searched, by class table, ready for matrix products."""

    def __init__(self, database: Labelled, feature_metric: str) -> None:
        # Every sort below leaves equal distances in the rows' order.
        scattered = np.argsort(tie_keys(np.arange(len(database))))
        database = Labelled(database.outputs.rows(scattered), database.labels[scattered])
        self.labels = database.labels
        self._metric = feature_metric
        self._table = database.outputs.probabilities.argmax(axis=1)
        classes = database.outputs.probabilities.shape[1]
        self._filled = np.bincount(self._table, minlength=classes) > 0
        # Saturated probabilities differ so little that single precision would lose their order.
        self._probabilities = _Points(database.outputs.probabilities.astype(np.float64))
        self._feature = _Points(scaled(database.outputs.feature, feature_metric))
        self._signs = code_signs(database.outputs.code)

    def rankings(
        self,
        outputs: EmbeddingArrays,
        retrieval: RetrievalSettings,
        spaces: Sequence[str],
        routings: Sequence[str],
    ) -> Iterator[_Ranking]:
        """One per query; memory goes with their number."""
        needed = {*spaces, "feature", "hash"} if "auto" in spaces else set(spaces)
        orders, hamming = {}, None
        if "softmax" in needed:
            orders["softmax"] = self._probabilities.order(outputs.probabilities)
        if "feature" in needed:
            orders["feature"] = self._feature.order(scaled(outputs.feature, self._metric))
        if "hash" in needed:
            signs = code_signs(outputs.code)
            hamming = np.rint((signs.shape[1] - signs @ self._signs.T) / 2).astype(np.int16)
            orders["hash"] = np.argsort(hamming, axis=1, kind="stable")
        tables = {
            routing: routed_tables(outputs.probabilities, self._filled, retrieval, routing)
            for routing in routings
        }
        for q in range(len(outputs.probabilities)):
            yield _Ranking(
                {space: order[q] for space, order in orders.items()},
                {routing: routed[q][self._table] for routing, routed in tables.items()},
                None if hamming is None else hamming[q],
                retrieval.shortlist,
            )


class _Points:
    """Points in a Euclidean space, (N, d)."""

    def __init__(self, points: NDArray[np.floating]) -> None:
        # Around their mean the squares are small, and with them what the products round away.
        self._mean = points.mean(axis=0, keepdims=True)
        self._points = points - self._mean
        squares = np.einsum("nd,nd->n", self._points, self._points, dtype=np.float64)
        self._squares = squares.astype(points.dtype)

    def order(self, queries: NDArray[np.floating]) -> Order:
        """(Q, N): rows by squared distance |q|² + |r|² − 2 q·r, equal ones by their number."""
        shifted = queries - self._mean
        near = np.square(shifted).sum(axis=1, keepdims=True) + self._squares
        near -= 2 * (shifted @ self._points.T)
        # Not negative, a float's bits order as the number does: one sort of (distance, row).
        keys = np.maximum(near, 0).astype(np.float32).view(np.uint32).astype(np.uint64)
        keys <<= np.uint64(32)
        keys |= np.arange(keys.shape[1], dtype=np.uint64)
        keys.sort(axis=1)
        return np.asarray(keys & np.uint64(0xFFFF_FFFF), dtype=np.int64)
