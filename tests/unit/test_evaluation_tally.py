"""Sums over batches, overall and per class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinsight.contracts.ingest import BatchAnswer
from trainer import evaluation
from trainer.evaluation import Queries
from trainer.jobs.evaluation_run import found_by
from trainer.tally import Found, Tally, bytes_per_image

RANKINGS = st.lists(st.sampled_from(["cat", "dog", None]), max_size=140)


def queries(labels: list[str], possible: list[int]) -> Queries:
    wrong = np.array([label == "dog" for label in labels])
    return Queries(labels, np.array(possible), wrong, np.zeros(len(labels), np.bool_))


def test_a_tally_worked_by_hand() -> None:
    tally = Tally("auto", "argmax", bytes_per_image=134)
    hits = [["cat", "dog"], ["dog", "cat"], ["dog", "dog"]]
    labels = ["cat", "cat", "dog"]
    tally.add(
        queries(labels, [1, 1, 4]),
        Found(
            relevant=evaluation.relevance(hits, labels),
            compared=np.array([10.0, 20.0, 60.0]),
            milliseconds=np.array([1.0, 2.0, 6.0]),
            routing_recall=np.array([1.0, 0.5, 0.0]),
            hash_recall=np.array([1.0, 1.0, 0.4]),
        ),
    )
    row = tally.row()
    assert (row.space, row.routing, row.bytes_per_image) == ("auto", "argmax", 134)
    assert row.p_at_1 == pytest.approx(2 / 3)
    assert row.p_at_5 == pytest.approx((1 + 1 + 2) / 5 / 3)
    assert row.p_at_10 == pytest.approx(4 / 10 / 3)
    assert row.p_at_100 == pytest.approx(4 / 100 / 3)
    assert row.map == pytest.approx((1 + 1 / 2 + 2 / 4) / 3)
    assert (row.top1_error, row.top5_error) == (pytest.approx(1 / 3), 0)
    assert (row.compared_mean, row.milliseconds_mean) == (30, 3)
    assert row.routing_recall == pytest.approx(0.5)
    assert row.hash_recall == pytest.approx(0.8)
    assert row.map_all is None  # not measured
    cat, dog = row.per_class["cat"], row.per_class["dog"]
    assert (cat.queries, cat.p_at_1, cat.p_at_5) == (2, 0.5, pytest.approx(1 / 5))
    assert cat.map == pytest.approx((1 + 1 / 2) / 2)
    assert (dog.queries, dog.p_at_1, dog.map) == (1, 1, pytest.approx(2 / 4))


def test_what_routing_and_hash_keep_worked_by_hand() -> None:
    def answer(*image_ids: int) -> BatchAnswer:
        labels = ["cat" if image_id < 10 else "dog" for image_id in image_ids]
        distances = [float(rank) for rank in range(len(image_ids))]
        return BatchAnswer(
            image_ids=list(image_ids),
            labels=labels,
            distances=distances,
            compared=20,
            search_ms=1.5,
        )

    answers = {
        ("feature", "argmax"): [answer(1, 2, 3, 4)],
        ("auto", "argmax"): [answer(2, 11, 1, 12)],
        ("auto", "all"): [answer(2, 15, 11, 16, 12)],
    }
    found = found_by(answers, "auto", "argmax", ["cat"])
    assert found.relevant[0, :5].tolist() == [True, False, True, False, False]
    assert found.routing_recall is not None
    assert found.routing_recall.tolist() == [3 / 5]  # 2, 11 and 12 of what `all` finds
    assert found.hash_recall is not None
    assert found.hash_recall.tolist() == [2 / 4]  # 1 and 2 of what `feature` finds in that table
    assert found.milliseconds is not None
    assert (found.compared.tolist(), found.milliseconds.tolist()) == ([20], [1.5])
    answers["feature", "all"] = [answer(1, 2, 3, 5)]
    exact = found_by(answers, "feature", "argmax", ["cat"])
    assert exact.hash_recall is None
    assert exact.routing_recall is not None
    assert exact.routing_recall.tolist() == [3 / 4]


@settings(deadline=None)
@given(
    rankings=st.lists(RANKINGS, min_size=2, max_size=8),
    cut=st.integers(1, 7),
    data=st.data(),
)
def test_tally_does_not_depend_on_batches(
    rankings: list[list[str | None]], cut: int, data: st.DataObject
) -> None:
    count = len(rankings)
    labels = data.draw(st.lists(st.sampled_from(["cat", "dog"]), min_size=count, max_size=count))
    possible = [ranking.count("cat") + 3 for ranking in rankings]

    def tallied(*parts: slice) -> dict[str, Any]:
        tally = Tally("hash", "all")
        for part in parts:
            if labels[part]:
                numbers = np.arange(count)[part]
                found = Found(
                    evaluation.relevance(rankings[part], labels[part]), numbers, 2.0 * numbers
                )
                tally.add(queries(labels[part], possible[part]), found)
        return tally.row().model_dump(exclude={"space", "routing"})

    whole = tallied(slice(None))
    parts = tallied(slice(cut), slice(cut, None))
    assert parts.pop("per_class").keys() == whole["per_class"].keys()
    assert parts == pytest.approx({name: whole[name] for name in parts})
    assert whole["top1_error"] == pytest.approx(labels.count("dog") / count)
    assert whole["compared_mean"] == pytest.approx(np.mean(range(count)))
    assert whole["milliseconds_mean"] == pytest.approx(2 * np.mean(range(count)))
    weighted = sum(part["queries"] * part["p_at_10"] for part in whole["per_class"].values())
    assert whole["p_at_10"] == pytest.approx(weighted / count)


def test_bytes_of_each_space() -> None:
    sizes = {"classes": 10, "feature_dimensions": 128, "code_bits": 45}
    found = {space: bytes_per_image(space, **sizes) for space in ("softmax", "feature", "hash")}
    assert found == {"softmax": 40, "feature": 512, "hash": 6}
    assert bytes_per_image("auto", **sizes) == 518
