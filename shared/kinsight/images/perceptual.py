"""A hash by which near-duplicates of a picture are found."""

from __future__ import annotations

import numpy as np
from PIL import Image


def difference_hash(image: Image.Image) -> int:
    """Signed 64-bit difference hash: bit = a cell of an 8×8 grid is brighter than its right.

    The picture is averaged to 9×8 grey cells; the 64 comparisons, row by row, are the bits from
    highest to lowest. Copies scaled or compressed again differ in a few bits.
    """
    grey = image.convert("L").resize((9, 8), Image.Resampling.BOX)
    cells = np.asarray(grey)
    bits = np.packbits(cells[:, :-1] > cells[:, 1:])
    return int.from_bytes(bits.tobytes(), "big", signed=True)


def hamming(one: int, other: int) -> int:
    """Number of bits in which two 64-bit hashes differ."""
    return ((one ^ other) & 0xFFFF_FFFF_FFFF_FFFF).bit_count()
