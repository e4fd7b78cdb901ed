"""The gate's arithmetic: means over labels that are exact, and what follows from them."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.gate import Measured, judge
from indexer.indexes import Index
from indexer.precision import Tally
from kinsight.contracts.models import RetrievalSettings
from kinsight.contracts.promotions import Gate

LIVE = Index(
    id=1,
    library_id=1,
    model_id="live",
    classes=("a", "b"),
    feature_dimensions=2,
    code_bits=8,
    feature_metric="euclidean",
    retrieval=RetrievalSettings(),
    crops=1,
)
COUNTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10)), min_size=1, max_size=60)


def tally(counts: list[tuple[str, int]]) -> Tally:
    filled = Tally()
    for label, relevant in counts:
        filled.add(label, relevant)
    return filled


def figures(candidate: float | None, live: float | None = None, *, same: bool = True) -> Measured:
    def fraction(value: float | None) -> Fraction | None:
        return None if value is None else Fraction(str(value))

    queries = 0 if candidate is None else 40
    return Measured(fraction(candidate), fraction(live), queries, 40, same)


def judged(
    candidate: float | None,
    live: float | None = None,
    *,
    floor: float | None = None,
    override: bool = False,
    first: bool = False,
) -> Gate:
    return judge(figures(candidate, live), None if first else LIVE, floor, override=override)


@given(COUNTS)
def test_the_mean_over_images(counts: list[tuple[str, int]]) -> None:
    expected = Fraction(sum(relevant for _, relevant in counts), 10 * len(counts))
    filled = tally(counts)
    assert filled.mean() == expected
    weights = {label: sum(one == label for one, _ in counts) for label in "abc"}
    assert filled.mean(weights) == expected, "weights as they are found change nothing"
    assert filled.queries == len(counts)


@given(COUNTS, st.randoms())
def test_the_order_of_the_queries_makes_no_difference(counts, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(counts)
    random.shuffle(shuffled)
    weights = {"a": 3, "b": 1, "c": 7}
    assert tally(counts).mean(weights) == tally(shuffled).mean(weights)


def test_each_label_counts_by_its_weight() -> None:
    few = tally([("a", 10), ("b", 4), ("b", 6)])
    assert few.mean() == Fraction(2, 3)
    assert few.mean({"a": 1, "b": 1}) == Fraction(3, 4)
    assert few.mean({"a": 1, "b": 0}) == 1
    assert few.mean({"a": 3}) == 1, "a label without weight does not count"


def test_nothing_measured_is_no_mean() -> None:
    assert Tally().mean() is None
    assert Tally().mean({"a": 1}) is None
    assert tally([("a", 10)]).mean({"b": 1}) is None


@pytest.mark.parametrize(
    ("candidate", "live", "floor", "passes"),
    [
        (0.9, 0.9, None, True),
        (0.9, 0.9001, None, False),
        (0.9001, 0.9, None, True),
        (0.8, 0.7, None, True),
        (0.7999, 0.7, None, False),
        (0.7, 0.7, 0.7, True),
        (0.7, 0.8, 0.5, False),
        (0.0, 0.0, 0.0, True),
        (1.0, 1.0, 1.0, True),
        (0.9, None, None, True),  # the live index was cleared
        (None, 0.9, None, False),
        (None, None, 0.0, False),
    ],
)
def test_not_worse_and_not_below_the_floor(
    candidate: float | None, live: float | None, floor: float | None, passes: bool
) -> None:
    found = judged(candidate, live, floor=floor)
    assert (found.passed, found.promoted) == (passes, passes)
    overridden = judged(candidate, live, floor=floor, override=True)
    assert (overridden.passed, overridden.promoted) == (passes, True)
    assert overridden.reason == found.reason


@pytest.mark.parametrize("candidate", [0.79, None])
def test_a_first_model_needs_only_a_floor_that_was_set(candidate: float | None) -> None:
    asked = judged(candidate, floor=0.8, first=True)
    assert (asked.passed, asked.promoted, asked.live_model) == (False, False, None)
    default = judged(candidate, first=True)
    assert (default.passed, default.promoted, default.floor) == (False, True, 0.8)
    assert "nothing else is live" in default.reason
    assert judged(0.8, floor=0.8, first=True).passed


def test_the_reason_names_what_is_wrong() -> None:
    both = judged(0.6, 0.7).reason
    assert "worse than the live model's 0.7000 on the same 40 held-out images" in both
    assert "below the library's default floor of 0.8" in both
    assert "below the library's floor, which is 0.9" in judged(0.85, 0.7, floor=0.9).reason
    apart = judge(figures(0.6, 0.7, same=False), LIVE, None, override=False)
    assert "too few were held out from both" in apart.reason
    for candidate, live, first in product((0.5, 0.9, None), (0.7, None), (True, False)):
        text = judged(candidate, live, first=first).reason
        assert text[0].isupper() and text.endswith(".")
