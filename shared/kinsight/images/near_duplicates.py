"""Groups of images that are nearly the same picture, by their difference hashes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RADIUS = 3
# Sets of sparse pictures (handwriting on white) have hashes so alike that near ones chain up to
# half of the set. Then the radius is narrowed until no group holds more than this part.
_LARGEST_PART = 0.05
_LEAST_GROUP = 20
_MOST_COMPARISONS = 1_000_000_000
_BLOCK = 4_000_000
_SHIFTS = (0, 16, 32, 48)


def groups(hashes: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) group number of each image; images within Hamming distance 3 share theirs.

    Transitive: a chain of near ones is one group. Where hashes do not tell the pictures of this
    set apart the distance shrinks to 2, 1 or 0.
    """
    return _grouped(hashes)[1]


class NearDuplicates:
    """Finds among N pictures those that are nearly the same as another one.

    Where the hashes do not tell these pictures apart (see `groups`) it finds none: of handwriting
    a third has the very hash of something else.
    """

    def __init__(self, hashes: NDArray[np.int64]) -> None:
        self._bits = hashes.astype(np.int64).view(np.uint64)
        self.tells = not len(hashes) or _grouped(hashes)[0] == RADIUS
        # Per 16-bit part the pictures in its order: those that agree in a part lie together.
        self._sorted = []
        for shift in _SHIFTS if self.tells else ():
            part = _part(self._bits, shift)
            order = np.argsort(part, kind="stable")
            self._sorted.append((shift, part[order], order))

    def of(self, perceptual_hash: int) -> NDArray[np.int64]:
        """(M,) ascending: the pictures within the radius of this signed 64-bit hash."""
        bits = np.array([perceptual_hash], dtype=np.int64).view(np.uint64)
        found = [np.zeros(0, dtype=np.int64)]
        for shift, parts, order in self._sorted:
            wanted = _part(bits, shift)[0]
            start, end = np.searchsorted(parts, [wanted, wanted + np.uint64(1)])
            same = order[start:end]
            found.append(same[np.bitwise_count(self._bits[same] ^ bits[0]) <= RADIUS])
        return np.unique(np.concatenate(found))


def _grouped(hashes: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
    """The radius that was used, and the group numbers."""
    unique, inverse = np.unique(hashes, return_inverse=True)
    bits = unique.astype(np.int64).view(np.uint64)
    pairs = _near_pairs(bits)
    if pairs is None:
        return 0, inverse
    first, second, distance = pairs
    allowed = max(_LEAST_GROUP, int(len(hashes) * _LARGEST_PART))
    for radius in range(RADIUS, -1, -1):
        near = distance <= radius
        labels = _components(len(bits), first[near], second[near])[inverse]
        if radius == 0 or np.bincount(labels).max() <= allowed:
            return radius, labels
    raise AssertionError("radius 0 always returns")


def _near_pairs(
    bits: NDArray[np.uint64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]] | None:
    """All pairs of distinct hashes within the radius, and their distances; perhaps twice.

    None where so many agree in a part that comparing them would take hours.

    Two hashes that differ in at most 3 bits agree in one of their four 16-bit parts, so only
    those with a common part are compared.
    """
    firsts, seconds, distances = [], [], []
    buckets = [bucket for shift in _SHIFTS for bucket in _buckets(bits, shift)]
    if sum(len(bucket) ** 2 for bucket in buckets) > _MOST_COMPARISONS:
        return None
    for bucket in buckets:
        rows = max(1, _BLOCK // len(bucket))
        for start in range(0, len(bucket), rows):
            block = bucket[start : start + rows]
            distance = np.bitwise_count(bits[block][:, None] ^ bits[bucket][None, :])
            i, j = np.nonzero((distance <= RADIUS) & (block[:, None] < bucket[None, :]))
            firsts.append(block[i])
            seconds.append(bucket[j])
            distances.append(distance[i, j])
    empty = np.zeros(0, np.int64)
    return (
        np.concatenate([empty, *firsts]),
        np.concatenate([empty, *seconds]),
        np.concatenate([np.zeros(0, np.uint8), *distances]),
    )


def _buckets(bits: NDArray[np.uint64], shift: int) -> list[NDArray[np.int64]]:
    """Indices of hashes with the same 16 bits at the shift, where there are two or more."""
    part = _part(bits, shift)
    order = np.argsort(part, kind="stable")
    starts = np.flatnonzero(np.diff(part[order])) + 1
    return [bucket for bucket in np.split(order, starts) if len(bucket) > 1]


def _part(bits: NDArray[np.uint64], shift: int) -> NDArray[np.uint64]:
    return (bits >> np.uint64(shift)) & np.uint64(0xFFFF)


def _components(
    count: int, first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Connected components: each node's label falls to the smallest it is connected with."""
    labels = np.arange(count)
    while True:
        before = labels.copy()
        smallest = np.minimum(labels[first], labels[second])
        np.minimum.at(labels, first, smallest)
        np.minimum.at(labels, second, smallest)
        labels = labels[labels]
        if np.array_equal(before, labels):
            return labels
