"""Which images are held back for validation."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kinsight.images.near_duplicates import groups
from trainer.training.split import Split, split


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


def _names(count: int, first: int = 0) -> list[str]:
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in range(first, count)]


def _split(labels: NDArray[np.int64], hashes: NDArray[np.int64], seed: int = 0) -> Split:
    return split(labels, hashes, _names(len(labels)), seed=seed)


def test_the_split_is_a_seeded_tenth_of_every_class() -> None:
    labels = np.repeat([0, 1, 2], [20_000, 300, 11])
    hashes = _random_hashes(len(labels))
    first, again = _split(labels, hashes, seed=4), _split(labels, hashes, seed=4)
    np.testing.assert_array_equal(first.validation, again.validation)
    counts = np.bincount(labels[first.validation])
    assert counts[0] == pytest.approx(2_000, rel=0.05)
    assert 15 <= counts[1] <= 45
    assert counts[2] == 1
    together = np.concatenate(first)
    np.testing.assert_array_equal(np.sort(together), np.arange(len(labels)))
    other = _split(labels, hashes, seed=5).validation
    assert np.isin(first.validation, other).mean() == pytest.approx(0.1, abs=0.05)


# Classes with their sizes, and how many of an image's neighbours in the list are its copies.
_LIBRARIES = st.tuples(
    st.lists(st.integers(2, 60), min_size=2, max_size=6),
    st.integers(1, 4),
    st.integers(0, 2**31),
)


def _library(
    sizes: list[int], copies: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels in an order by chance, and hashes of which so many in a row are near."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    originals = _random_hashes(len(labels), seed)[np.arange(len(labels)) // copies]
    return labels, originals ^ (np.int64(1) << rng.integers(0, 2, len(labels)))


@settings(max_examples=60, deadline=None)
@given(_LIBRARIES)
def test_every_class_is_on_both_sides_and_near_its_quota(
    library: tuple[list[int], int, int],
) -> None:
    sizes, copies, seed = library
    labels, hashes = _library(sizes, copies, seed)
    parts = _split(labels, hashes, seed=seed)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))
    held = np.bincount(labels[parts.validation], minlength=len(sizes))
    assert np.all(held >= 1)
    assert np.all(held < sizes)
    # A group that is held out for a small class brings images of larger ones with it.
    limit = 0.15 if copies == 1 else 0.5
    assert np.all(held <= np.maximum(1, limit * np.array(sizes)))
    if copies == 1:
        assert np.all(held >= np.floor(0.05 * np.array(sizes)))


@settings(max_examples=60, deadline=None)
@given(_LIBRARIES)
def test_no_group_is_on_both_sides_but_the_only_one_of_a_class(
    library: tuple[list[int], int, int],
) -> None:
    sizes, copies, seed = library
    labels, hashes = _library(sizes, copies, seed)
    held = np.zeros(len(labels), dtype=bool)
    held[_split(labels, hashes, seed=seed).validation] = True
    found = groups(hashes)
    for number in np.unique(found):
        group = np.flatnonzero(found == number)
        if held[group].any() and not held[group].all():
            # To move such a group as a whole would hold out more than half of a class.
            whole = held.copy()
            whole[group] = True
            assert np.any(np.bincount(labels[whole], minlength=len(sizes)) > np.array(sizes) / 2)


@settings(max_examples=25, deadline=None)
@given(_LIBRARIES, st.integers(1, 100))
def test_a_library_that_grows_holds_out_what_it_held_out(
    library: tuple[list[int], int, int], percent: int
) -> None:
    sizes, copies, seed = library
    labels, hashes = _library([20 * size for size in sizes], copies, seed)
    before = round(len(labels) / (1 + percent / 100))
    if np.bincount(labels[:before], minlength=len(sizes)).min() < 40:
        return
    old, new = _split(labels[:before], hashes[:before]), _split(labels, hashes)
    still = np.isin(old.validation, new.validation)
    assert still.mean() >= 0.9
    # Nor does what was trained on come to be held out.
    assert np.isin(old.training, new.validation).mean() <= 0.01


def test_a_copy_that_comes_later_joins_the_side_of_the_first() -> None:
    labels = np.arange(400) % 2
    hashes = _random_hashes(400)
    old = _split(labels, hashes)
    copies = np.concatenate([hashes, hashes ^ np.int64(5)])
    new = _split(np.concatenate([labels, labels]), copies)
    first = np.zeros(400, dtype=bool)
    first[old.validation] = True
    both = np.zeros(800, dtype=bool)
    both[new.validation] = True
    np.testing.assert_array_equal(both[:400], first)
    np.testing.assert_array_equal(both[400:], first)


def test_near_duplicates_stay_on_one_side_even_across_classes() -> None:
    originals = _random_hashes(300)
    copies = np.array([_flip(h, [3, 17, 40]) for h in originals], dtype=np.int64)
    hashes = np.concatenate([originals, copies])
    labels = np.concatenate([np.arange(300) % 3, (np.arange(300) + 1) % 3])
    parts = _split(labels, hashes)
    held = np.zeros(600, dtype=bool)
    held[parts.validation] = True
    np.testing.assert_array_equal(held[:300], held[300:])
    assert np.bincount(labels[parts.validation]).min() >= 10


@pytest.mark.parametrize("counts", [[2, 2], [100, 2], [30, 30]])
def test_a_class_of_one_single_group_is_divided(counts: list[int]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    hashes = np.zeros(len(labels), dtype=np.int64)
    parts = _split(labels, hashes, seed=1)
    for side in parts:
        assert set(labels[side]) == set(range(len(counts)))
