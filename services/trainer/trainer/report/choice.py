"""Which validation images a report shows."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray


def chosen(
    labels_N: NDArray[np.int64],
    predicted_N: NDArray[np.int64],
    *,
    count: int,
    wrong: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Rows of up to `count` images, at most `wrong` of them misclassified while others are left.

    By chance, but of as many classes as there is room for; in the order of their classes.
    """
    order = rng.permutation(len(labels_N))
    mistaken = labels_N[order] != predicted_N[order]
    taken: Counter[int] = Counter()
    rows = _spread(order[mistaken], labels_N, wrong, taken)
    rows += _spread(order[~mistaken], labels_N, count - len(rows), taken)
    if len(rows) < count:
        left = [row for row in order[mistaken] if row not in rows]
        rows += _spread(np.array(left, dtype=np.int64), labels_N, count - len(rows), taken)
    return np.array(sorted(rows, key=lambda row: (labels_N[row], row)), dtype=np.int64)


def _spread(
    candidates: NDArray[np.int64], labels_N: NDArray[np.int64], count: int, taken: Counter[int]
) -> list[int]:
    """The first candidates of the classes that have been taken least so far."""
    waiting: Counter[int] = Counter(taken)
    ranked = []
    for place, row in enumerate(candidates.tolist()):
        label = int(labels_N[row])
        ranked.append((waiting[label], place, row))
        waiting[label] += 1
    rows = [row for _, _, row in sorted(ranked)[: max(0, count)]]
    taken.update(int(labels_N[row]) for row in rows)
    return rows
