"""Search settings of a new model, tuned on its validation images as queries (design §5).

The training images are the database, each in the table of its predicted class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinsight.contracts.models import RetrievalSettings
from kinsight.networks import EmbeddingArrays
from kinsight.spaces import SPACES, distances
from trainer.training.seeds import generator

MOST_QUERIES = 2_000
MOST_ROWS = 20_000
SHORTLISTS = (100, 200, 400, 800, 1600)
_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
_MOST_TABLES = 8
_TOLERANCE = 0.005
_MATCH_QUANTILE = 0.995
_HITS = 10
_SPACES = ("softmax", "feature", "hash", "auto")  # in the order of `_Query.nearest`
_BLOCK = 64


@dataclass(frozen=True)
class Labelled:
    """Images with their outputs; labels: (N,) true class numbers."""

    outputs: EmbeddingArrays
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def accuracy(self) -> float:
        """Part that is classified rightly."""
        return float((self.outputs.probabilities.argmax(axis=1) == self.labels).mean())

    def sample(self, most: int, seed: int) -> Labelled:
        if len(self) <= most:
            return self
        rows = np.sort(generator(seed, "calibration", most).permutation(len(self))[:most])
        return Labelled(self.outputs.rows(rows), self.labels[rows])


def calibrate(
    database: Labelled,
    queries: Labelled,
    *,
    feature_metric: str,
    seed: int,
    advance: Callable[[int], None],
) -> RetrievalSettings:
    """Shortlist, routing and match distances; at most 2,000 queries and 20,000 rows are used.

    shortlist: the largest whose P@10 in `auto` over all tables is within 0.005 of the best.
    routing: the fewest tables on average whose P@10 is within 0.005 of the best routing's, which
    is at least that of all tables. match_distance: the 99.5th percentile of the queries'
    distances to their nearest hits. `advance` is told how many more queries are done.
    """
    database, queries = database.sample(MOST_ROWS, seed), queries.sample(MOST_QUERIES, seed)
    index = _Index(database, feature_metric)
    tables = _table_counts(queries.outputs.probabilities.shape[1])
    precision = np.zeros((len(queries), len(tables), len(SHORTLISTS)))
    for number, query in enumerate(index.prepared(queries)):
        precision[number] = query.precisions(tables, int(queries.labels[number]))
        if (number + 1) % _BLOCK == 0:
            advance(_BLOCK)
    shortlist = _choose_shortlist(precision[:, -1].mean(axis=0))
    threshold, limit = _choose_routing(
        queries.outputs.probabilities, tables, precision[:, :, SHORTLISTS.index(shortlist)]
    )
    scanned = tables_scanned(queries.outputs.probabilities, threshold, limit)
    nearest = np.array(
        [
            query.nearest(int(count), shortlist)
            for query, count in zip(index.prepared(queries), scanned, strict=True)
        ]
    )
    limits = np.quantile(nearest, _MATCH_QUANTILE, axis=0, method="higher")
    return RetrievalSettings(
        routing_threshold=threshold,
        routing_limit=limit,
        shortlist=shortlist,
        # Where queries come upon empty tables no distance is beyond all of them: no limit then.
        match_distance={
            space: limit
            for space, limit in zip(_SPACES, limits.tolist(), strict=True)
            if np.isfinite(limit)
        },
    )


def tables_scanned(
    probabilities_QK: NDArray[np.float32], threshold: float, limit: int
) -> NDArray[np.int64]:
    """(Q,): tables by falling probability until their sum reaches the threshold, at most limit."""
    falling = -np.sort(-probabilities_QK.astype(np.float64), axis=1)
    before = np.cumsum(falling, axis=1) - falling
    counts: NDArray[np.int64] = (before < threshold).sum(axis=1)
    return counts.clip(1, limit)


def _table_counts(classes: int) -> list[int]:
    return [*range(1, min(classes, _MOST_TABLES + 1)), classes]


def _choose_shortlist(precision_S: NDArray[np.float64]) -> int:
    good = np.flatnonzero(precision_S >= precision_S.max() - _TOLERANCE)
    return SHORTLISTS[int(good[-1])]


def _choose_routing(
    probabilities_QK: NDArray[np.float32], tables: list[int], precision_QT: NDArray[np.float64]
) -> tuple[float, int]:
    """The threshold and limit that scan the fewest tables among the good ones."""
    candidates = []
    for limit in tables:
        for threshold in _THRESHOLDS:
            scanned = tables_scanned(probabilities_QK, threshold, limit)
            column = np.searchsorted(tables, scanned)
            precision = precision_QT[np.arange(len(scanned)), column].mean()
            candidates.append((scanned.mean(), -precision, threshold, limit))
    best = max(precision_QT[:, -1].mean(), *(-candidate[1] for candidate in candidates))
    good = [candidate for candidate in candidates if -candidate[1] >= best - _TOLERANCE]
    # All tables may be better than any bounded number of them.
    _, _, threshold, limit = min(good, default=(0.0, 0.0, _THRESHOLDS[-1], tables[-1]))
    return threshold, limit


class _Index:
    """The database by class table."""

    def __init__(self, database: Labelled, feature_metric: str) -> None:
        self.labels = database.labels
        self.outputs = database.outputs
        self.table = database.outputs.probabilities.argmax(axis=1)
        self.metric = feature_metric
        self.feature = scaled(database.outputs.feature, feature_metric)
        self.squares = np.square(self.feature).sum(axis=1)
        self.signs = code_signs(database.outputs.code)

    def prepared(self, queries: Labelled) -> Iterator[_Query]:
        """Block by block the distances to all rows as matrix products."""
        for start in range(0, len(queries), _BLOCK):
            outputs = queries.outputs.rows(slice(start, start + _BLOCK))
            feature = scaled(outputs.feature, self.metric)
            # |q|² is the same for all rows, so the order does without it.
            near = self.squares[None, :] - 2 * (feature @ self.feature.T)
            signs = code_signs(outputs.code)
            hamming = np.rint((signs.shape[1] - signs @ self.signs.T) / 2).astype(np.int16)
            ranks = np.argsort(np.argsort(-outputs.probabilities, axis=1, kind="stable"), axis=1)
            for row in range(len(feature)):
                one = outputs.rows(row)
                yield _Query(self, one, hamming[row], near[row], ranks[row][self.table])


class _Query:
    """One query against the index: rows by falling likeness of code, and their features' order."""

    def __init__(
        self,
        index: _Index,
        outputs: EmbeddingArrays,
        hamming_N: NDArray[np.int16],
        near_N: NDArray[np.float32],
        rank_N: NDArray[np.int64],
    ) -> None:
        self._index, self._outputs, self._near = index, outputs, near_N
        self._rows = np.argsort(hamming_N, kind="stable")
        self._hamming = hamming_N[self._rows]
        self._rank = rank_N[self._rows]

    def precisions(self, tables: list[int], label: int) -> NDArray[np.float64]:
        """(T, S): P@10 in `auto` for each number of tables and each shortlist."""
        found = np.zeros((len(tables), len(SHORTLISTS)))
        for t, count in enumerate(tables):
            rows, hamming = self._within(count)
            known: dict[int, float] = {}
            for s, shortlist in enumerate(SHORTLISTS):
                end = with_ties(hamming, shortlist)
                if end not in known:
                    known[end] = self._precision(rows[:end], label)
                found[t, s] = known[end]
        return found

    def nearest(self, tables: int, shortlist: int) -> tuple[float, float, float, float]:
        """Distances to the nearest hit in softmax, feature, hash and auto; inf in empty tables."""
        rows, hamming = self._within(tables)
        if not len(rows):
            return (np.inf,) * 4
        listed = rows[: with_ties(hamming, shortlist)]
        own, index = self._outputs, self._index
        softmax = distances("euclidean", own.probabilities, index.outputs.probabilities[rows])
        return (
            float(softmax.min()),
            self._feature_distance(rows),
            float(hamming[0]),
            self._feature_distance(listed),
        )

    def _within(self, tables: int) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
        inside = self._rank < tables
        return self._rows[inside], self._hamming[inside]

    def _precision(self, rows: NDArray[np.int64], label: int) -> float:
        if len(rows) > _HITS:
            rows = rows[np.argpartition(self._near[rows], _HITS)[:_HITS]]
        return float((self._index.labels[rows] == label).sum()) / _HITS

    def _feature_distance(self, rows: NDArray[np.int64]) -> float:
        row = rows[np.argmin(self._near[rows])]
        metric = SPACES["feature"].metric(self._index.metric)
        return float(
            distances(metric, self._outputs.feature, self._index.outputs.feature[[row]])[0]
        )


def scaled(feature_Nd: NDArray[np.float32], metric: str) -> NDArray[np.float32]:
    """The features such that their Euclidean distances order as the metric does."""
    if metric != "cosine":
        return feature_Nd
    norms = np.linalg.norm(feature_Nd, axis=1, keepdims=True)
    return np.asarray(feature_Nd / np.where(norms == 0, 1, norms), dtype=np.float32)


def with_ties(hamming: NDArray[np.int16], shortlist: int) -> int:
    """How many of the ascending distances a shortlist takes: all that tie with its last."""
    if len(hamming) <= shortlist:
        return len(hamming)
    return int(np.searchsorted(hamming, hamming[shortlist - 1], side="right"))


def code_signs(code: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, n) of ±1, whose products give Hamming distances; padding bits agree everywhere."""
    return np.unpackbits(code, axis=1).astype(np.float32) * 2 - 1
