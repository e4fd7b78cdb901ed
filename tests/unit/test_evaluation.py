"""Figures of merit against examples worked by hand and against independent formulations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from kinsight.contracts.ingest import BatchAnswer
from trainer import evaluation
from trainer.evaluation import Queries, Tally

LABELS = st.sampled_from(["cat", "dog", None])
RANKINGS = st.lists(LABELS, max_size=140)


def relevance_of(*hits: list[str | None]) -> NDArray[np.bool_]:
    return evaluation.relevance(hits, ["cat"] * len(hits))


def test_relevance_marks_ranks_with_the_querys_label() -> None:
    relevant = evaluation.relevance([["cat", "dog", None], ["cat"]], ["cat", "dog"], depth=4)
    assert relevant.tolist() == [[True, False, False, False], [False, False, False, False]]


def test_precision_of_a_ranking_worked_by_hand() -> None:
    relevant = relevance_of(["cat", "dog", "cat", "cat", "dog", "dog", "cat"])
    assert evaluation.precision_at(relevant, 1) == 1.0
    assert evaluation.precision_at(relevant, 5) == pytest.approx(3 / 5)
    # Seven were found: the other three of the ten count as misses.
    assert evaluation.precision_at(relevant, 10) == pytest.approx(4 / 10)


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


@given(hits=st.lists(st.booleans(), min_size=1, max_size=100).filter(any))
def test_average_precision_equals_scikit_learn_where_all_is_ranked(hits: list[bool]) -> None:
    """With every relevant image among the hits both definitions are the same."""
    labels = ["cat" if hit else "dog" for hit in hits]
    falling = np.arange(len(hits), 0, -1)
    found = evaluation.average_precision(relevance_of([*labels]), np.array([sum(hits)]))
    assert found == pytest.approx(average_precision_score(hits, falling))


@given(hits=RANKINGS, k=st.integers(1, 100))
def test_precision_counts_relevant_hits(hits: list[str | None], k: int) -> None:
    assert evaluation.precision_at(relevance_of(hits), k) == hits[:k].count("cat") / k


def test_errors_are_wrong_and_untaught_labels() -> None:
    probabilities = np.array([[0.7, 0.3], [0.7, 0.3], [0.2, 0.8]], np.float32)
    wrong = evaluation.errors(probabilities, ["cat", "dog", "horse"], ["cat", "dog"])
    assert wrong.tolist() == [False, True, True]


@given(
    rankings=st.lists(RANKINGS, min_size=2, max_size=8),
    cut=st.integers(1, 7),
    data=st.data(),
)
def test_tally_does_not_depend_on_batches(
    rankings: list[list[str | None]], cut: int, data: Any
) -> None:
    count = len(rankings)
    wrong = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    possible = np.array([ranking.count("cat") + 3 for ranking in rankings])
    answers = [_answer(ranking, number) for number, ranking in enumerate(rankings)]

    def tallied(*parts: slice) -> dict[str, Any]:
        tally = Tally("hash", "all")
        for part in parts:
            labels = ["cat"] * len(answers[part])
            if labels:
                tally.add(Queries(labels, possible[part], wrong[part]), answers[part])
        return tally.row().model_dump(exclude={"space", "routing"})

    whole = tallied(slice(None))
    assert tallied(slice(cut), slice(cut, None)) == pytest.approx(whole)
    assert whole["top1_error"] == pytest.approx(wrong.mean())
    assert whole["compared_mean"] == pytest.approx(np.mean(range(count)))
    assert whole["milliseconds_mean"] == pytest.approx(2 * np.mean(range(count)))


def _answer(labels: list[str | None], number: int) -> BatchAnswer:
    return BatchAnswer(
        image_ids=list(range(len(labels))),
        labels=labels,
        distances=[0.0] * len(labels),
        compared=number,
        search_ms=2.0 * number,
    )
