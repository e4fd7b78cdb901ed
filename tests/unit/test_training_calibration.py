"""Search settings tuned on validation images, against plain definitions."""

from __future__ import annotations

import numpy as np
import pytest

from kinsight.networks import EmbeddingArrays
from kinsight.spaces import distances
from trainer.training.calibration import (
    SHORTLISTS,
    Labelled,
    calibrate,
    tables_scanned,
)


def _images(count: int, seed: int, *, sureness: float = 3.0, classes: int = 4) -> Labelled:
    """Images whose code tells the class well, their feature a little."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, 16))
    labels = rng.integers(0, classes, size=count)
    feature = (centres[labels] + rng.normal(size=(count, 16)) * 1.5).astype(np.float32)
    logits = sureness * np.eye(classes)[labels] + rng.normal(size=(count, classes))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    bits = (centres[labels] + rng.normal(size=(count, 16)) * 0.5) > 0
    outputs = EmbeddingArrays(probabilities.astype(np.float32), feature, np.packbits(bits, axis=1))
    return Labelled(outputs, labels)


def _precision(database: Labelled, queries: Labelled, tables: np.ndarray, shortlist: int) -> float:
    """Mean P@10 in `auto`, each query scanning its own number of tables, by definition."""
    filed = database.outputs.probabilities.argmax(axis=1)
    total = 0.0
    for q in range(len(queries)):
        order = np.argsort(-queries.outputs.probabilities[q], kind="stable")
        rows = np.flatnonzero(np.isin(filed, order[: tables[q]]))
        hamming = distances("hamming", queries.outputs.code[q], database.outputs.code[rows])
        if len(rows) > shortlist:
            rows = rows[hamming <= np.sort(hamming)[shortlist - 1]]
        near = distances("euclidean", queries.outputs.feature[q], database.outputs.feature[rows])
        hits = rows[np.argsort(near, kind="stable")[:10]]
        total += (database.labels[hits] == queries.labels[q]).sum() / 10
    return total / len(queries)


def test_shortlist_and_routing_keep_their_promises() -> None:
    database, queries = _images(900, 0), _images(120, 1)
    chosen = calibrate(
        database, queries, feature_metric="euclidean", seed=0, advance=lambda _: None
    )
    every = np.full(len(queries), 4)
    by_shortlist = {s: _precision(database, queries, every, s) for s in SHORTLISTS}
    best = max(by_shortlist.values())
    good = [s for s, precision in by_shortlist.items() if precision >= best - 0.005 - 1e-9]
    assert chosen.shortlist == max(good)

    probabilities = queries.outputs.probabilities
    scanned = tables_scanned(probabilities, chosen.routing_threshold, chosen.routing_limit)
    reached = _precision(database, queries, scanned, chosen.shortlist)
    assert reached >= by_shortlist[chosen.shortlist] - 0.005 - 1e-9
    assert scanned.mean() < 4


def test_match_distances_cover_the_validation_images() -> None:
    database, queries = _images(400, 2), _images(600, 3)
    chosen = calibrate(
        database, queries, feature_metric="euclidean", seed=0, advance=lambda _: None
    )
    assert set(chosen.match_distance) == {"softmax", "feature", "hash", "auto"}
    limits = tables_scanned(
        queries.outputs.probabilities, chosen.routing_threshold, chosen.routing_limit
    )
    filed = database.outputs.probabilities.argmax(axis=1)
    nearest = []
    for q, count in enumerate(limits):
        order = np.argsort(-queries.outputs.probabilities[q], kind="stable")[:count]
        rows = np.isin(filed, order)
        query = queries.outputs.feature[q]
        nearest.append(distances("euclidean", query, database.outputs.feature[rows]).min())
    within = np.array(nearest) <= chosen.match_distance["feature"] + 1e-6
    assert 0.99 <= within.mean() < 1.0


def test_tables_are_added_until_their_sum_reaches_the_threshold() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.05, 0.9, 0.05], [0.34, 0.33, 0.33]], np.float32)
    assert tables_scanned(probabilities, 0.5, 3).tolist() == [1, 1, 2]
    assert tables_scanned(probabilities, 0.85, 3).tolist() == [2, 1, 3]
    assert tables_scanned(probabilities, 0.85, 2).tolist() == [2, 1, 2]


def test_an_unsure_classifier_makes_routing_wider() -> None:
    """Where the codes know the class and the classifier guesses, one table is not enough."""
    database = _images(800, 4, sureness=6.0)
    sure, unsure = _images(150, 5, sureness=6.0), _images(150, 5, sureness=0.3)
    narrow, wide = (
        calibrate(database, queries, feature_metric="euclidean", seed=0, advance=lambda _: None)
        for queries in (sure, unsure)
    )
    assert narrow.routing_limit < wide.routing_limit


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_tiny_sets_are_calibrated_too(metric: str) -> None:
    chosen = calibrate(
        _images(5, 6, classes=2),
        _images(2, 7, classes=2),
        feature_metric=metric,
        seed=0,
        advance=lambda _: None,
    )
    assert 1 <= chosen.routing_limit <= 2


def test_large_sets_are_sampled() -> None:
    many = _images(30_000, 8)
    assert len(many.sample(2_000, seed=1)) == 2_000
    first, again = many.sample(50, seed=1), many.sample(50, seed=1)
    np.testing.assert_array_equal(first.outputs.feature, again.outputs.feature)


def test_queries_that_come_upon_empty_tables_set_no_match_distance() -> None:
    database = _images(40, 4)
    elsewhere = database.outputs.probabilities.copy()
    elsewhere[:, 3] = 0  # nobody is filed in the last table
    empty = Labelled(database.outputs._replace(probabilities=elsewhere), database.labels)
    queries = _images(30, 5, sureness=0.0)
    sure = np.full_like(queries.outputs.probabilities, 0.0)
    sure[:, 3] = 1
    lost = Labelled(queries.outputs._replace(probabilities=sure), queries.labels)
    chosen = calibrate(empty, lost, feature_metric="euclidean", seed=0, advance=lambda _: None)
    assert chosen.match_distance == {}
