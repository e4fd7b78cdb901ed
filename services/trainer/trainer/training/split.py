"""Which images are held out for validation.

An image's own number decides, which its SHA-256 and the split seed make, so that a library that
grows keeps holding out what it held out before: two models of different age can be compared on
images that neither was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kinsight.images.near_duplicates import groups
from trainer.training.seeds import derive

VALIDATION_PART = 0.1
# How far a class may be from its tenth before images with other numbers make up for it. A narrow
# band would move images whenever the library grows.
_BAND = 0.5


class Split(NamedTuple):
    """Indices of images, ascending."""

    training: NDArray[np.int64]
    validation: NDArray[np.int64]


def split(
    labels: NDArray[np.int64], hashes: NDArray[np.int64], names: Sequence[str], *, seed: int
) -> Split:
    """About a tenth of every class, at least one image, near-duplicates kept on one side.

    labels: (N,) class numbers, each at least twice. hashes: (N,) signed 64-bit difference hashes.
    names: SHA-256 of each image. The images come oldest first: the oldest of a group of
    near-duplicates decides for all of them, so that a later copy moves nothing.

    A class gets a twentieth to three twentieths of its images, and never all of them. A class that
    is one group of near-duplicates has that group divided, as it could not be validated otherwise.
    """
    numbers = np.array([derive(seed, "held out", name) for name in names]) / 2.0**63
    quota = np.bincount(labels) * VALIDATION_PART
    least = np.maximum(1, np.ceil(quota * (1 - _BAND))).astype(np.int64)
    most = np.maximum(1, np.floor(quota * (1 + _BAND))).astype(np.int64)
    held = np.zeros(len(labels), dtype=bool)
    taken = np.zeros(len(quota), dtype=np.int64)
    members = _members(groups(hashes))
    for group in sorted(members, key=lambda group: float(numbers[group[0]])):
        classes, counts = np.unique(labels[group], return_counts=True)
        wanted = numbers[group[0]] < VALIDATION_PART or np.any(taken[classes] < least[classes])
        if wanted and np.all(taken[classes] + counts <= most[classes]):
            held[group] = True
            taken[classes] += counts
    for number in np.flatnonzero(taken == 0):
        own = np.flatnonzero(labels == number)
        own = own[np.argsort(numbers[own], kind="stable")]
        held[_fallback(own, members, labels, held, int(least[number]))] = True
    return Split(np.flatnonzero(~held), np.flatnonzero(held))


def _members(labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The indices of each group, ascending."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def _fallback(
    own: NDArray[np.int64],
    members: list[NDArray[np.int64]],
    labels: NDArray[np.int64],
    held: NDArray[np.bool_],
    least: int,
) -> NDArray[np.int64]:
    """Images for a class all of whose groups are too large: the smallest that may be, or a part.

    own: the images of the class, those that are to be held out first in front.
    """
    images = np.bincount(labels)
    for group in sorted((g for g in members if np.isin(own, g).any()), key=len):
        after = held.copy()
        after[group] = True
        if np.all(np.bincount(labels[after], minlength=len(images)) <= images / 2):
            return group
    return own[:least]
