"""Figures of merit against examples worked by hand, and against torchmetrics and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from kinsight.networks.torchvision_operators import mend
from trainer import evaluation
from trainer.evaluation import Predictions, Queries

mend()  # torchmetrics imports torchvision

from torchmetrics.functional.retrieval import (  # noqa: E402
    retrieval_average_precision,
    retrieval_precision,
    retrieval_recall,
)
from torchmetrics.retrieval import RetrievalMAP, RetrievalPrecision  # noqa: E402

LABELS = st.sampled_from(["cat", "dog", None])
RANKINGS = st.lists(LABELS, max_size=140)


def relevance_of(*hits: list[str | None]) -> NDArray[np.bool_]:
    return evaluation.relevance(hits, ["cat"] * len(hits))


def as_scores(hits: list[str | None]) -> tuple[torch.Tensor, torch.Tensor]:
    """Falling scores and their relevance, as torchmetrics wants a ranking."""
    return torch.arange(len(hits), 0, -1).float(), torch.tensor([hit == "cat" for hit in hits])


def test_relevance_marks_ranks_with_the_querys_label() -> None:
    relevant = evaluation.relevance([["cat", "dog", None], ["cat"]], ["cat", "dog"], depth=4)
    assert relevant.tolist() == [[True, False, False, False], [False, False, False, False]]


def test_precision_of_a_ranking_worked_by_hand() -> None:
    relevant = relevance_of(["cat", "dog", "cat", "cat", "dog", "dog", "cat"])
    assert evaluation.precision_at(relevant, 1) == 1.0
    assert evaluation.precision_at(relevant, 5) == pytest.approx(3 / 5)
    # Seven were found: the other three of the ten count as misses.
    assert evaluation.precision_at(relevant, 10) == pytest.approx(4 / 10)


@settings(deadline=None)
@given(hits=RANKINGS.filter(bool), k=st.integers(1, 120))
def test_precision_equals_torchmetrics(hits: list[str | None], k: int) -> None:
    """Also with fewer hits than k, which both count as misses, and with no relevant hit."""
    expected = float(retrieval_precision(*as_scores(hits), top_k=k))
    found = evaluation.precision_at(evaluation.relevance([hits], ["cat"], depth=max(k, 100)), k)
    assert found == pytest.approx(expected)


def test_average_precision_of_a_ranking_worked_by_hand() -> None:
    relevant = relevance_of(["cat", "dog", "cat", "dog", "cat"])
    found = 1 / 1 + 2 / 3 + 3 / 5
    assert evaluation.average_precision(relevant, np.array([3])) == pytest.approx(found / 3)
    assert evaluation.average_precision(relevant, np.array([7])) == pytest.approx(found / 7)


def test_average_precision_is_reachable_in_a_library_with_more_than_the_depth() -> None:
    relevant = relevance_of(["cat"] * 100)
    assert evaluation.average_precision(relevant, np.array([5000])) == 1.0


def test_nothing_to_find_is_an_average_precision_of_zero() -> None:
    assert evaluation.average_precision(relevance_of(["dog"]), np.array([0])) == 0.0


@given(hits=RANKINGS, unseen=st.integers(0, 300))
def test_average_precision_equals_the_sum_over_hits(hits: list[str | None], unseen: int) -> None:
    possible = hits.count("cat") + unseen
    total, seen = 0.0, 0
    for rank, hit in enumerate(hits[:100], start=1):
        if hit == "cat":
            seen += 1
            total += seen / rank
    expected = total / min(100, possible) if possible else 0.0
    found = evaluation.average_precision(relevance_of(hits), np.array([possible]))
    assert found == pytest.approx(expected)


@settings(deadline=None)
@given(hits=st.lists(st.booleans(), min_size=1, max_size=100))
def test_average_precision_equals_others_where_all_is_ranked(hits: list[bool]) -> None:
    """With every relevant image among the hits all definitions are the same."""
    labels: list[str | None] = ["cat" if hit else "dog" for hit in hits]
    found = evaluation.average_precision(relevance_of(labels), np.array([sum(hits)]))
    assert found == pytest.approx(float(retrieval_average_precision(*as_scores(labels))))
    if any(hits):
        falling = np.arange(len(hits), 0, -1)
        assert found == pytest.approx(average_precision_score(hits, falling))


@settings(deadline=None, max_examples=40)
@given(rankings=st.lists(st.lists(LABELS, min_size=5, max_size=40), min_size=1, max_size=6))
def test_means_over_queries_equal_torchmetrics(rankings: list[list[str | None]]) -> None:
    """A query with nothing relevant counts as 0 in both means."""
    relevant = relevance_of(*rankings)
    possible = np.array([ranking.count("cat") for ranking in rankings])
    scores, targets = zip(*map(as_scores, rankings), strict=True)
    lengths = torch.tensor([len(ranking) for ranking in rankings])
    indexes = torch.repeat_interleave(torch.arange(len(rankings)), lengths)
    arguments = {"indexes": indexes}
    precision, whole = RetrievalPrecision(top_k=5), RetrievalMAP()
    for metric in (precision, whole):
        metric.update(torch.cat(scores), torch.cat(targets), **arguments)
    assert evaluation.precision_at(relevant, 5).mean() == pytest.approx(float(precision.compute()))
    means = evaluation.average_precision(relevant, possible).mean()
    assert means == pytest.approx(float(whole.compute()))


@given(hits=RANKINGS, k=st.integers(1, 100))
def test_precision_counts_relevant_hits(hits: list[str | None], k: int) -> None:
    assert evaluation.precision_at(relevance_of(hits), k) == hits[:k].count("cat") / k


def test_recall_of_rankings_worked_by_hand() -> None:
    exhaustive = [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [1, 2, 3, 4], [], [7]]
    routed = [[2, 4, 6, 11, 12, 13, 14, 15, 16, 17, 1], [4, 9, 1], [3], []]
    # Rank 11 counts on neither side; nothing found by the reference is nothing lost.
    assert evaluation.recall(exhaustive, routed).tolist() == [0.3, 0.5, 1.0, 0.0]


@settings(deadline=None)
@given(order=st.permutations(range(30)), data=st.data())
def test_recall_equals_torchmetrics(order: list[int], data: st.DataObject) -> None:
    """The ten first of the reference are what is relevant, the other ranking is judged."""
    wanted = data.draw(st.permutations(range(30)))[:10]
    preds = torch.tensor([30 - order.index(image) for image in range(30)]).float()
    target = torch.tensor([image in wanted for image in range(30)])
    expected = float(retrieval_recall(preds, target, top_k=10))
    assert float(evaluation.recall([wanted], [order])[0]) == pytest.approx(expected)


def test_errors_are_wrong_and_untaught_labels() -> None:
    probabilities = np.array([[0.7, 0.3], [0.7, 0.3], [0.2, 0.8]], np.float32)
    wrong = evaluation.errors(probabilities, ["cat", "dog", "horse"], ["cat", "dog"])
    assert wrong.tolist() == [False, True, True]


def test_top_five_errors_look_at_five_classes() -> None:
    classes = list("abcdefg")
    probabilities = np.array([[0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.05]] * 4, np.float32)
    wrong = evaluation.errors(probabilities, ["a", "e", "f", "z"], classes, among=5)
    assert wrong.tolist() == [False, False, True, True]
    two = evaluation.errors(probabilities[:1, :2], ["b"], classes[:2], among=5)
    assert two.tolist() == [False]


def test_predictions_by_class_worked_by_hand() -> None:
    probabilities = np.array([[0.7, 0.3], [0.4, 0.6], [0.2, 0.8], [0.9, 0.1]], np.float32)
    labels = ["cat", "cat", "dog", "horse"]
    predictions = Predictions(["cat", "dog"])
    for part in (slice(0, 1), slice(1, 4)):  # in batches, as they come
        queries = Queries(
            labels[part],
            np.zeros(len(labels[part]), np.int64),
            evaluation.errors(probabilities[part], labels[part], ["cat", "dog"]),
            evaluation.errors(probabilities[part], labels[part], ["cat", "dog"], among=5),
        )
        predictions.add(queries, probabilities[part])
    assert predictions.confusion() == {
        "cat": {"cat": 1, "dog": 1},
        "dog": {"dog": 1},
        "horse": {"cat": 1},
    }
    found = predictions.per_class()
    assert (found["cat"].queries, found["cat"].top1_error, found["cat"].top5_error) == (2, 0.5, 0)
    assert (found["dog"].top1_error, found["horse"].top5_error) == (0, 1)
