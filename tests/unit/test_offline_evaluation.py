"""Embeddings evaluated in memory, against plain definitions, torchmetrics and the indexer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer.routing import route
from kinsight.contracts.evaluation import EvaluationRow
from kinsight.contracts.models import RetrievalSettings
from kinsight.contracts.search import RoutingMode
from kinsight.networks import EmbeddingArrays
from kinsight.networks.torchvision_operators import mend
from kinsight.spaces import SPACES as SINGLE_SPACES
from kinsight.spaces import distances, tie_keys
from trainer.offline_evaluation import evaluate
from trainer.routed_tables import ROUTINGS, routed_tables
from trainer.tally import SPACES
from trainer.training.calibration import Labelled

mend()  # torchmetrics imports torchvision

from torchmetrics.functional.retrieval import retrieval_average_precision  # noqa: E402

CLASSES = ["ant", "bee", "cat", "dog", "eel", "fox"]
SETTINGS = RetrievalSettings(routing_threshold=0.8, routing_limit=3, shortlist=120)


def images(count: int, seed: int, *, offset: float = 0.0) -> Labelled:
    """Outputs that tell the class a little; codes of 12 bits, so that many distances are equal.

    The last class is never predicted, so its table is empty.
    """
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(len(CLASSES), 12))
    labels = rng.integers(0, len(CLASSES), size=count)
    feature = (centres[labels] + rng.normal(size=(count, 12)) + offset).astype(np.float32)
    logits = 2 * np.eye(len(CLASSES))[labels] + rng.normal(size=(count, len(CLASSES)))
    logits[:, -1] = -3
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    bits = centres[labels] + rng.normal(size=(count, 12)) > 0
    outputs = EmbeddingArrays(probabilities.astype(np.float32), feature, np.packbits(bits, axis=1))
    return Labelled(outputs, labels)


def plain_ranking(
    database: Labelled, query: EmbeddingArrays, space: str, routing: str, metric: str
) -> list[int]:
    """Rows nearest first, by definition; of `auto` the shortlist alone."""
    filed = database.outputs.probabilities.argmax(axis=1)
    mode = RoutingMode(routing)
    tables = route(mode, query.probabilities, set(filed.tolist()), SETTINGS).class_ids
    rows = np.flatnonzero(np.isin(filed, tables))

    def near(name: str) -> NDArray[np.float64]:
        column = SINGLE_SPACES[name].column
        return distances(
            SINGLE_SPACES[name].metric(metric),
            getattr(query, column),
            getattr(database.outputs, column)[rows],
        )

    if space == "auto":
        hamming = near("hash")
        if len(rows) > SETTINGS.shortlist:
            rows = rows[hamming <= np.sort(hamming)[SETTINGS.shortlist - 1]]
        space = "feature"
    return rows[np.lexsort((tie_keys(rows), near(space)))].tolist()


def rows_of(found: list[EvaluationRow]) -> dict[tuple[str, str], EvaluationRow]:
    return {(row.space, row.routing): row for row in found}


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_figures_are_those_of_plain_rankings(metric: str) -> None:
    database, queries = images(700, 0), images(40, 1)
    told: list[int] = []
    found = rows_of(
        evaluate(
            database,
            queries,
            SETTINGS,
            classes=CLASSES,
            feature_metric=metric,
            advance=told.append,
        )
    )
    assert list(found) == [(space, routing) for space in SPACES for routing in ROUTINGS]
    assert sum(told) == len(queries)
    for (space, routing), row in found.items():
        relevant, kept, exact, whole, compared = [], [], [], [], []
        for q, label in enumerate(queries.labels):
            query = queries.outputs.rows(q)
            ranked = plain_ranking(database, query, space, routing, metric)
            everywhere = plain_ranking(database, query, space, "all", metric)[:10]
            by_feature = plain_ranking(database, query, "feature", routing, metric)[:10]
            hits = database.labels[ranked] == label
            relevant.append(np.pad(hits[:100], (0, max(0, 100 - len(hits)))))
            kept.append(len(set(ranked[:10]) & set(everywhere)) / 10)
            exact.append(len(set(ranked[:10]) & set(by_feature)) / max(1, len(by_feature)))
            ranks = np.flatnonzero(hits) + 1
            possible = (database.labels == label).sum()
            whole.append((np.arange(1, len(ranks) + 1) / ranks).sum() / possible)
            compared.append(len(plain_ranking(database, query, "hash", routing, metric)))
        for k in (1, 5, 10, 100):
            expected = np.mean([hits[:k].mean() for hits in relevant])
            assert getattr(row, f"p_at_{k}") == pytest.approx(expected), (space, routing, k)
        assert row.routing_recall == pytest.approx(np.mean(kept))
        assert row.compared_mean == np.mean(compared)
        if space == "auto":
            assert row.hash_recall == pytest.approx(np.mean(exact))
        else:
            assert row.hash_recall is None
            # Features that differ by less than single precision may change places.
            assert row.map_all == pytest.approx(np.mean(whole), rel=1e-5), (space, routing)
    wrong = queries.outputs.probabilities.argmax(axis=1) != queries.labels
    assert all(row.top1_error == pytest.approx(wrong.mean()) for row in found.values())
    sizes = [found[space, "all"].bytes_per_image for space in SPACES]
    assert sizes == [24, 48, 2, 50]


def test_mean_average_precision_over_all_rows_equals_torchmetrics() -> None:
    database, queries = images(300, 2), images(30, 3)
    (row,) = evaluate(
        database, queries, SETTINGS, classes=CLASSES, spaces=["feature"], routings=["all"]
    )
    expected = [
        retrieval_average_precision(
            torch.from_numpy(
                1 / distances("euclidean", queries.outputs.feature[q], database.outputs.feature)
            ),
            torch.from_numpy(database.labels == label),
        )
        for q, label in enumerate(queries.labels)
    ]
    assert row.map_all == pytest.approx(float(torch.stack(expected).mean()), rel=1e-6)
    per_class = np.average(
        [figures.map for figures in row.per_class.values()],
        weights=[figures.queries for figures in row.per_class.values()],
    )
    assert per_class == pytest.approx(row.map)


def test_equal_distances_do_not_favour_what_was_filed_first() -> None:
    """With equal codes everywhere, precision is the share of the class, wherever its rows lie."""
    count = 2_000
    outputs = EmbeddingArrays(
        np.tile(np.array([0.9, 0.1], np.float32), (count, 1)),
        np.zeros((count, 3), np.float32),
        np.full((count, 1), 255, np.uint8),
    )
    labels = (np.arange(count) >= count * 7 // 10).astype(np.int64)  # one class after the other
    query = Labelled(outputs.rows(slice(0, 1)), np.array([0]))
    for space in ("hash", "feature", "softmax"):
        (row,) = evaluate(
            Labelled(outputs, labels),
            query,
            SETTINGS,
            classes=["ant", "bee"],
            spaces=[space],
            routings=["all"],
        )
        assert row.p_at_10 == pytest.approx(0.7, abs=0.1)
        assert row.p_at_100 == pytest.approx(0.7, abs=0.02)
        assert row.map_all == pytest.approx(0.7, abs=0.02)


def test_what_the_network_was_not_taught_is_wrong_and_finds_nothing() -> None:
    database, queries = images(300, 6), images(30, 7)
    database.labels[:50] = -1
    queries.labels[:6] = -1
    (row,) = evaluate(
        database, queries, SETTINGS, classes=CLASSES, spaces=["hash"], routings=["all"]
    )
    taught = Labelled(queries.outputs.rows(slice(6, None)), queries.labels[6:])
    (known,) = evaluate(
        database, taught, SETTINGS, classes=CLASSES, spaces=["hash"], routings=["all"]
    )
    assert row.top5_error == pytest.approx((6 + 24 * known.top5_error) / 30)
    assert row.p_at_10 == pytest.approx(24 / 30 * known.p_at_10)
    assert row.map_all == pytest.approx(24 / 30 * (known.map_all or 0))
    assert row.per_class[""].queries == 6


def test_saturated_probabilities_keep_their_order() -> None:
    """Squares of such differences vanish in single precision beside 1."""
    steps = np.array([1e-6, 3e-6, 2e-6, 4e-6], np.float32)
    probabilities = np.stack([1 - steps, steps], axis=1)
    flat = EmbeddingArrays(probabilities, np.zeros((4, 1), np.float32), np.zeros((4, 1), np.uint8))
    database = Labelled(flat, np.array([0, 1, 0, 1]))
    query = EmbeddingArrays(np.array([[1, 0]], np.float32), flat.feature[:1], flat.code[:1])
    (row,) = evaluate(
        database,
        Labelled(query, np.array([0])),
        SETTINGS,
        classes=["ant", "bee"],
        spaces=["softmax"],
        routings=["all"],
    )
    assert row.map_all == 1


def test_features_far_from_the_origin_keep_their_order() -> None:
    near, far = (
        evaluate(
            images(300, 4, offset=offset),
            images(30, 5, offset=offset),
            SETTINGS,
            classes=CLASSES,
            spaces=["feature"],
            routings=["all"],
        )[0]
        for offset in (0.0, 500.0)
    )
    assert far.map_all == pytest.approx(near.map_all, abs=2e-3)


@settings(deadline=None)
@given(
    seed=st.integers(0, 10_000),
    classes=st.integers(2, 9),
    threshold=st.sampled_from([0.3, 0.7, 0.95, 1.0]),
    limit=st.integers(1, 6),
    sureness=st.sampled_from([0.1, 1.0, 6.0]),
)
def test_tables_are_those_that_the_indexer_scans(
    seed: int, classes: int, threshold: float, limit: int, sureness: float
) -> None:
    rng = np.random.default_rng(seed)
    logits = sureness * np.round(rng.normal(size=(20, classes)), 1)  # equal ones among them
    p = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    filled = rng.random(classes) < 0.6
    chosen = RetrievalSettings(routing_threshold=threshold, routing_limit=limit)
    for mode in ROUTINGS:
        tables = routed_tables(p, filled, chosen, mode)
        for q in range(len(p)):
            expected = route(RoutingMode(mode), p[q], set(np.flatnonzero(filled)), chosen).class_ids
            assert np.flatnonzero(tables[q]).tolist() == sorted(expected)
