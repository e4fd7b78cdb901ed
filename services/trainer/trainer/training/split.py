"""Which images are held back for validation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.training.near_duplicates import groups
from trainer.training.seeds import generator

VALIDATION_PART = 0.1


class Split(NamedTuple):
    """Indices of images, ascending."""

    training: NDArray[np.int64]
    validation: NDArray[np.int64]


def split(labels: NDArray[np.int64], hashes: NDArray[np.int64], *, seed: int) -> Split:
    """A tenth of every class, at least one image, near-duplicates kept on one side.

    labels: (N,) class numbers, each at least twice. hashes: (N,) signed 64-bit difference hashes.
    A class that is one group of near-duplicates has that group divided, as it could not be
    validated otherwise. The same arguments give the same split.
    """
    rng = generator(seed, "split")
    quota = np.maximum(1, np.round(np.bincount(labels) * VALIDATION_PART)).astype(np.int64)
    held = np.zeros(len(labels), dtype=bool)
    taken = np.zeros(len(quota), dtype=np.int64)
    members = _members(groups(hashes))
    for group in rng.permutation(len(members)):
        indices = members[group]
        classes, counts = np.unique(labels[indices], return_counts=True)
        if np.all(taken[classes] + counts <= quota[classes]):
            held[indices] = True
            taken[classes] += counts
    for number in np.flatnonzero(taken == 0):
        own = np.flatnonzero(labels == number)
        held[_fallback(own, members, labels, held, rng, int(quota[number]))] = True
    return Split(np.flatnonzero(~held), np.flatnonzero(held))


def _members(labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def _fallback(
    own: NDArray[np.int64],
    members: list[NDArray[np.int64]],
    labels: NDArray[np.int64],
    held: NDArray[np.bool_],
    rng: np.random.Generator,
    quota: int,
) -> NDArray[np.int64]:
    """Images for a class all of whose groups are above its quota: the smallest, or a part."""
    candidates = [group for group in members if np.isin(own, group).any()]
    smallest = min(candidates, key=len)
    left = np.bincount(labels[~held], minlength=labels.max() + 1)
    left -= np.bincount(labels[smallest[~held[smallest]]], minlength=len(left))
    if len(smallest) <= len(own) // 2 and left.min() >= 1:
        return smallest
    return rng.permutation(own)[:quota]
