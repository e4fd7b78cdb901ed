"""The colours of a training set: their mean, and the noise along their principal components.

AlexNet §2 (the mean over the training set is subtracted) and §4.1 (colour noise).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NOISE_DEVIATION = 0.1  # of the α_i, §4.1

# More pictures, or more pixels of each, hardly move a mean and a 3 × 3 covariance.
_MOST_IMAGES = 20_000
_MOST_PIXELS_A_SIDE = 64
_BLOCK = 256


@dataclass(frozen=True)
class Colours:
    """Of pixels in [0, 1]. mean: (3,); values: (3,) λ_i, falling; components: (3, 3), column i
    is p_i.
    """

    mean: NDArray[np.float64]
    values: NDArray[np.float64]
    components: NDArray[np.float64]

    def noise(self, normal_B3: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, 3): Σ_i p_i α_i λ_i, to be added to every pixel of an image; α_i = 0.1 times the
        standard normal numbers given.

        λ is a variance, so the formula depends on the scale of the pixels, which the paper leaves
        open. In [0, 1] it changes brightness by about 0.015, four grey levels of 255; taken in
        0…255 it would drown the picture.
        """
        shifted = (NOISE_DEVIATION * normal_B3 * self.values) @ self.components.T
        return shifted.astype(np.float32)


def colours_of(pixels_NSS3: NDArray[np.uint8], indices: NDArray[np.int64]) -> Colours:
    """Of these canvases: all of them up to 20,000, else as many evenly spread; up to 64 × 64
    evenly spread pixels of each.
    """
    chosen = indices[:: -(-len(indices) // _MOST_IMAGES)]
    step = -(-pixels_NSS3.shape[1] // _MOST_PIXELS_A_SIDE)
    total, products, count = np.zeros(3), np.zeros((3, 3)), 0
    for start in range(0, len(chosen), _BLOCK):
        block = pixels_NSS3[chosen[start : start + _BLOCK], ::step, ::step].reshape(-1, 3)
        # Whole numbers below 2⁵³ are exact in float64, whatever the order of the sums.
        rows = block.astype(np.float64)
        total += rows.sum(axis=0)
        products += rows.T @ rows
        count += len(rows)
    mean = total / count
    covariance = (products / count - np.outer(mean, mean)) / 255**2
    values, components = np.linalg.eigh(covariance)
    return Colours(mean / 255, np.maximum(values[::-1], 0), components[:, ::-1])
