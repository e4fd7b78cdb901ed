"""From canvases to batches: crops, mirror images, normalisation."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinsight.contracts.models import Preprocessing


def centre_crops(
    pixels_NSS3: NDArray[np.uint8], indices: NDArray[np.int64], side: int
) -> NDArray[np.uint8]:
    """(B, side, side, 3): what a search sees of these canvases."""
    start = (pixels_NSS3.shape[1] - side) // 2
    part = slice(start, start + side)
    return np.ascontiguousarray(pixels_NSS3[indices, part, part])


def random_crops(
    pixels_NSS3: NDArray[np.uint8],
    indices: NDArray[np.int64],
    side: int,
    *,
    padding: int,
    mirror: bool,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """(B, side, side, 3): a random square of each canvas, mirrored half of the time (AlexNet §4.1).

    padding: the square may reach so many pixels over the canvas's edge, where it is reflected.
    """
    size = pixels_NSS3.shape[1]
    offsets = rng.integers(-padding, size - side + padding + 1, size=(len(indices), 2))
    mirrored = rng.random(len(indices)) < (0.5 if mirror else 0.0)
    line = np.arange(side)
    crops = np.empty((len(indices), side, side, 3), np.uint8)
    for row, (index, (top, left)) in enumerate(zip(indices, offsets, strict=True)):
        if padding:
            ys, xs = _reflect(line + top, size), _reflect(line + left, size)
            crop = pixels_NSS3[index][ys[:, None], xs]
        else:
            crop = pixels_NSS3[index, top : top + side, left : left + side]
        crops[row] = crop[:, ::-1] if mirrored[row] else crop
    return crops


def _reflect(positions: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """…2 1 0 1 2…: positions beyond either edge, mirrored at the edge pixel."""
    positions = np.abs(positions)
    return np.where(positions >= size, 2 * (size - 1) - positions, positions)


class Normaliser:
    """Pixels to the network's input on its device: (pixel / 255 − mean) / std per channel."""

    def __init__(self, card: Preprocessing, device: torch.device) -> None:
        self.device = device
        self._mean = torch.tensor(card.mean, device=device).view(1, 3, 1, 1) * 255
        self._scale = 1 / (torch.tensor(card.std, device=device).view(1, 3, 1, 1) * 255)

    def __call__(self, pixels_BSS3: NDArray[np.uint8]) -> Tensor:
        """(B, 3, S, S) float32; the pixels' own order is `channels_last`."""
        pixels = torch.from_numpy(pixels_BSS3).to(self.device, non_blocking=True)
        return (pixels.permute(0, 3, 1, 2).float() - self._mean) * self._scale
