"""Which pictures of a data set are taken, and which of them are for testing."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinsight.contracts.libraries import TrainingImage
from kinsight.images.near_duplicates import groups
from trainer.training.seeds import generator

_TEST_PART = 1 / 6
Entry = tuple[int, str, str]  # number, name, class


@dataclass(frozen=True)
class Most:
    """The most pictures to take of each class, classes, and training pictures in all; None: all."""

    train: int | None = None
    test: int | None = None
    classes: int | None = None
    total: int | None = None

    def of_class(self, classes: int) -> int | None:
        """Training pictures of each of so many classes."""
        bounds = [self.train, None if self.total is None else max(2, self.total // classes)]
        return min((bound for bound in bounds if bound is not None), default=None)


def draw(
    entries: Sequence[Entry], classes: Sequence[str], most: int | None, seed: int
) -> list[Entry]:
    """So many of each class, chosen by a hash of their names: a larger part holds a smaller one."""
    by_class: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_class[entry[2]].append(entry)

    def rank(entry: Entry) -> bytes:
        return hashlib.sha256(f"{seed}/{entry[1]}".encode("utf-8", "surrogateescape")).digest()

    chosen = []
    for name in classes:
        members = by_class.get(name, [])
        chosen += members if most is None else sorted(members, key=rank)[:most]
    return chosen


def sixth(images: Sequence[TrainingImage], seed: int) -> set[int]:
    """Ids of a sixth of every class, at least one where it has two, groups of near-duplicates
    whole. A class that is one such group has it divided.
    """
    labels = [image.label for image in images]
    quota = {label: max(1, round(n * _TEST_PART)) for label, n in Counter(labels).items() if n > 1}
    group_of = groups(np.array([image.perceptual_hash for image in images], dtype=np.int64))
    taken: Counter[str] = Counter()
    chosen: set[int] = set()
    rng = generator(seed, "test part")
    order = np.argsort(group_of, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(group_of[order])) + 1)
    for number in rng.permutation(len(members)):
        counts = Counter(labels[i] for i in members[number])
        if all(taken[label] + n <= quota.get(label, 0) for label, n in counts.items()):
            taken += counts
            chosen |= {images[i].image_id for i in members[number]}
    for label, wanted in quota.items():
        if not taken[label]:
            own = [image.image_id for image in images if image.label == label]
            chosen |= {own[i] for i in rng.permutation(len(own))[:wanted]}
    return chosen


def both(one: int | None, other: int | None) -> int | None:
    """Of a part that is cut into training and test; a missing bound on the test part is a sixth."""
    return None if one is None else one + (round(one * _TEST_PART) if other is None else other)
