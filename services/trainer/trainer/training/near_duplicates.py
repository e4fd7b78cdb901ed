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


def groups(hashes: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) group number of each image; images within Hamming distance 3 share theirs.

    Transitive: a chain of near ones is one group. Where hashes do not tell the pictures of this
    set apart the distance shrinks to 2, 1 or 0.
    """
    unique, inverse = np.unique(hashes, return_inverse=True)
    bits = unique.astype(np.int64).view(np.uint64)
    first, second, distance = _near_pairs(bits)
    allowed = max(_LEAST_GROUP, int(len(hashes) * _LARGEST_PART))
    for radius in range(RADIUS, -1, -1):
        near = distance <= radius
        labels = _components(len(bits), first[near], second[near])[inverse]
        if radius == 0 or np.bincount(labels).max() <= allowed:
            return labels
    raise AssertionError("radius 0 always returns")


def _near_pairs(
    bits: NDArray[np.uint64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """All pairs of distinct hashes within the radius, and their distances; perhaps twice.

    Two hashes that differ in at most 3 bits agree in one of their four 16-bit parts, so only
    those with a common part are compared.
    """
    firsts, seconds, distances = [], [], []
    buckets = [bucket for shift in (0, 16, 32, 48) for bucket in _buckets(bits, shift)]
    if sum(len(bucket) ** 2 for bucket in buckets) <= _MOST_COMPARISONS:
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
    part = (bits >> np.uint64(shift)) & np.uint64(0xFFFF)
    order = np.argsort(part, kind="stable")
    starts = np.flatnonzero(np.diff(part[order])) + 1
    return [bucket for bucket in np.split(order, starts) if len(bucket) > 1]


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
