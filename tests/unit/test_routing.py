from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.routing import class_ids, route
from kinsight.contracts.models import RetrievalSettings
from kinsight.contracts.search import RoutingMode
from kinsight.errors import ClassNotFound

SETTINGS = RetrievalSettings(routing_threshold=0.8, routing_limit=3)
PROBABILITIES = np.array([0.05, 0.5, 0.1, 0.35], dtype=np.float32)


def chosen(mode: RoutingMode, filled: set[int], named: tuple[int, ...] = ()) -> list[int]:
    return route(mode, PROBABILITIES, filled, SETTINGS, named).class_ids


def test_argmax_scans_the_most_probable_table_even_when_it_is_empty() -> None:
    assert chosen(RoutingMode.ARGMAX, {0, 2}) == [1]


def test_adaptive_stops_at_the_threshold() -> None:
    assert chosen(RoutingMode.ADAPTIVE, {0, 1, 2, 3}) == [1, 3]


def test_adaptive_goes_on_to_a_filled_table() -> None:
    assert chosen(RoutingMode.ADAPTIVE, {0}) == [0]


def test_adaptive_keeps_to_its_limit() -> None:
    flat = np.full(10, 0.1, dtype=np.float32)
    assert route(RoutingMode.ADAPTIVE, flat, set(range(10)), SETTINGS).class_ids == [0, 1, 2]


def test_all_scans_what_is_filled() -> None:
    assert chosen(RoutingMode.ALL, {0, 2}) == [2, 0]


def test_named_classes_are_scanned_most_probable_first() -> None:
    result = route(RoutingMode.NAMED, PROBABILITIES, {1}, SETTINGS, (0, 3))
    assert result.class_ids == [3, 0]
    assert result.probability == pytest.approx(0.4)


@given(
    weights=st.lists(st.integers(0, 100), min_size=1, max_size=12).filter(any),
    filled=st.sets(st.integers(0, 11)),
)
def test_adaptive_finds_something_wherever_all_does(weights: list[int], filled: set[int]) -> None:
    probabilities = (np.array(weights) / sum(weights)).astype(np.float32)
    filled &= set(range(len(weights)))
    adaptive = route(RoutingMode.ADAPTIVE, probabilities, filled, SETTINGS).class_ids
    everything = route(RoutingMode.ALL, probabilities, filled, SETTINGS).class_ids
    assert adaptive == everything[: len(adaptive)]
    assert bool(adaptive) == bool(filled)


def test_unknown_class_names_the_known_ones() -> None:
    with pytest.raises(ClassNotFound, match="hat, shoe"):
        class_ids(["boat"], ["hat", "shoe"])


def test_commas_separate_names_unless_they_are_part_of_one() -> None:
    classes = ["hat", "shoe", "salt, pepper"]
    assert class_ids(["shoe,hat"], classes) == [1, 0]
    assert class_ids(["salt, pepper"], classes) == [2]
    assert class_ids(["hat", "hat"], classes) == [0]
