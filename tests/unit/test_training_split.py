"""Which images are held back for validation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.training.near_duplicates import groups
from trainer.training.split import split


def _random_hashes(count: int, seed: int = 0) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    return rng.integers(-(2**63), 2**63 - 1, size=count, dtype=np.int64)


def _flip(value: int, bits: list[int]) -> int:
    unsigned = int(value) & (2**64 - 1)
    for bit in bits:
        unsigned ^= 1 << bit
    return unsigned - 2**64 if unsigned >= 2**63 else unsigned


def _reference_groups(hashes: NDArray[np.int64], radius: int) -> list[set[int]]:
    """By definition: connected components of the graph of near pairs."""
    bits = hashes.view(np.uint64)
    near = np.bitwise_count(bits[:, None] ^ bits[None, :]) <= radius
    left, found = set(range(len(hashes))), []
    while left:
        group = {left.pop()}
        while more := {int(j) for i in group for j in np.flatnonzero(near[i])} - group:
            group |= more
        left -= group
        found.append(group)
    return found


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 11), st.lists(st.integers(0, 63), max_size=5)),
        min_size=1,
        max_size=60,
    )
)
def test_groups_are_the_components_of_near_pairs(copies: list[tuple[int, list[int]]]) -> None:
    base = _random_hashes(12)
    hashes = np.array([_flip(base[i], bits) for i, bits in copies], dtype=np.int64)
    expected = _reference_groups(hashes, 3)
    if max(len(group) for group in expected) > 20:
        return  # the distance is narrowed then, see below
    labels = groups(hashes)
    got = {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}
    assert got == {frozenset(group) for group in expected}


def test_where_all_hashes_chain_up_the_distance_shrinks() -> None:
    chain, value = [], 0
    for bit in range(60):
        value |= 1 << bit
        chain += [_flip(value, [])] * 2
    labels = groups(np.array(chain, dtype=np.int64))
    assert len(np.unique(labels)) == 60  # identical ones still stay together


def test_the_split_is_a_seeded_tenth_of_every_class() -> None:
    labels = np.repeat([0, 1, 2], [200, 100, 11])
    hashes = _random_hashes(len(labels))
    first, again = split(labels, hashes, seed=4), split(labels, hashes, seed=4)
    np.testing.assert_array_equal(first.validation, again.validation)
    assert np.bincount(labels[first.validation]).tolist() == [20, 10, 1]
    together = np.concatenate(first)
    np.testing.assert_array_equal(np.sort(together), np.arange(len(labels)))
    assert not np.array_equal(first.validation, split(labels, hashes, seed=5).validation)


def test_near_duplicates_stay_on_one_side_even_across_classes() -> None:
    originals = _random_hashes(300)
    copies = np.array([_flip(h, [3, 17, 40]) for h in originals], dtype=np.int64)
    hashes = np.concatenate([originals, copies])
    labels = np.concatenate([np.arange(300) % 3, (np.arange(300) + 1) % 3])
    parts = split(labels, hashes, seed=0)
    held = np.zeros(600, dtype=bool)
    held[parts.validation] = True
    np.testing.assert_array_equal(held[:300], held[300:])
    assert np.bincount(labels[parts.validation]).min() >= 15


@pytest.mark.parametrize("counts", [[2, 2], [100, 2], [30, 30]])
def test_a_class_of_one_single_group_is_divided(counts: list[int]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    hashes = np.zeros(len(labels), dtype=np.int64)
    parts = split(labels, hashes, seed=1)
    for side in parts:
        assert set(labels[side]) == set(range(len(counts)))
