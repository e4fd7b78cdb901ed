"""The order of images that are equally far away."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The golden ratio's part of 2^32 (Knuth, The Art of Computer Programming 3, §6.4).
_FACTOR, _IDS, _KEYS = 2_654_435_761, 2**31, 2**32

TIE_KEY_SQL = f"image_id % {_IDS} * {_FACTOR} % {_KEYS}"
"""`tie_keys` of the column image_id, in Postgres."""


def tie_keys(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) for (N,): by which equally distant images are ordered, and after it by id.

    Libraries are often filled one class after another, and codes of many images are equal: by id
    alone the first of a tie would all be of the class that came first. Multiplicative hashing
    scatters neighbouring ids evenly, and is the same everywhere.
    """
    keys: NDArray[np.int64] = ids % _IDS * _FACTOR % _KEYS
    return keys
