"""Random numbers that depend on the seed and on what they are for, and on nothing else.

A training step draws the same numbers whether the process ran from the start or was resumed just
before it, so no generator's state has to be kept in a checkpoint.
"""

from __future__ import annotations

import hashlib

import numpy as np


def derive(seed: int, *purpose: int | str) -> int:
    """A seed in [0, 2⁶³) for one purpose: `derive(7, "crop", 12)`."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: int | str) -> np.random.Generator:
    return np.random.default_rng(derive(seed, *purpose))
