"""From canvases to batches: crops, mirror images, normalisation; whole batches at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
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


class Windows(NamedTuple):
    """Which square of each of B canvases: (B, 2) top and left corner, (B,) mirrored or not.

    A square may reach up to `padding` pixels over the edge, where the canvas is reflected:
    … 2 1 0 1 2 ….
    """

    corners: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    side: int
    padding: int


def windows(
    places_B2: NDArray[np.float64],
    mirrored_B: NDArray[np.bool_],
    *,
    canvas: int,
    side: int,
    padding: int,
) -> Windows:
    """places: in [0, 1), see `trainer.training.draws`; every corner is equally likely."""
    positions = canvas - side + 2 * padding + 1
    corners = np.floor(places_B2 * positions).astype(np.int64) - padding
    return Windows(corners, mirrored_B, side, padding)


def cut(
    pixels_NSS3: NDArray[np.uint8], indices: NDArray[np.int64], where: Windows
) -> NDArray[np.uint8]:
    """(B, side, side, 3): the squares of these canvases, in memory (AlexNet §4.1)."""
    corners, padding = where.corners, where.padding
    if padding:
        margins = ((0, 0), (padding, padding), (padding, padding), (0, 0))
        pixels_NSS3 = np.pad(pixels_NSS3[indices], margins, mode="reflect")
        indices, corners = np.arange(len(indices)), corners + padding
    count, size = pixels_NSS3.shape[:2]
    # Rows of bytes, so that each is copied in one piece.
    rows = pixels_NSS3.reshape(count, size, size * 3)
    squares = sliding_window_view(rows, (where.side, where.side * 3), axis=(1, 2))
    found = squares[indices, corners[:, 0], corners[:, 1] * 3]
    crops: NDArray[np.uint8] = found.reshape(len(indices), where.side, where.side, 3)
    crops[where.mirrored] = crops[where.mirrored, :, ::-1]
    return crops


def cut_on_device(pixels_NSS3: Tensor, indices: NDArray[np.int64], where: Windows) -> Tensor:
    """The same of canvases that lie on a device, there: (B, side, side, 3) uint8."""
    device, size = pixels_NSS3.device, pixels_NSS3.shape[1]
    rows, corners, mirrored = (
        torch.from_numpy(array).to(device, non_blocking=True)
        for array in (indices, where.corners, where.mirrored)
    )
    line = torch.arange(where.side, device=device)
    across = torch.where(mirrored[:, None], line.flip(0), line)
    ys = _reflected(corners[:, :1] + line, size)
    xs = _reflected(corners[:, 1:] + across, size)
    crops: Tensor = pixels_NSS3[rows[:, None, None], ys[:, :, None], xs[:, None, :]]
    return crops


def _reflected(positions: Tensor, size: int) -> Tensor:
    """Positions beyond either edge, mirrored at the edge pixel as often as it takes."""
    period = max(1, 2 * (size - 1))
    positions = positions % period
    return torch.minimum(positions, period - positions)


def cut_out(x_B3SS: Tensor, centres_B2: NDArray[np.float64], side: int) -> Tensor:
    """A square of this side in each normalised picture gets the mean colour, in place.

    centres: in [0, 1), how far down and to the right; a square may reach over the edge. Cutout of
    DeVries & Taylor 2017.
    """
    size = x_B3SS.shape[-1]
    starts = np.floor(centres_B2 * size).astype(np.int64) - side // 2
    first = torch.from_numpy(starts).to(x_B3SS.device, non_blocking=True)[:, :, None]
    line = torch.arange(size, device=x_B3SS.device)
    inside_B2S = (line >= first) & (line < first + side)
    square = inside_B2S[:, 0, :, None] & inside_B2S[:, 1, None, :]
    return x_B3SS.masked_fill_(square[:, None], 0)


class Normaliser:
    """Pixels to the network's input on its device: (pixel / 255 − mean) / std per channel."""

    def __init__(self, card: Preprocessing, device: torch.device) -> None:
        self.device = device
        self._mean = torch.tensor(card.mean, device=device).view(1, 3, 1, 1) * 255
        self._scale = 1 / (torch.tensor(card.std, device=device).view(1, 3, 1, 1) * 255)

    def __call__(self, pixels_BSS3: NDArray[np.uint8] | Tensor) -> Tensor:
        """(B, 3, S, S) float32; the pixels' own order is `channels_last`."""
        if isinstance(pixels_BSS3, np.ndarray):
            pixels_BSS3 = torch.from_numpy(pixels_BSS3)
        pixels = pixels_BSS3.to(self.device, non_blocking=True)
        return (pixels.permute(0, 3, 1, 2).float() - self._mean) * self._scale

    def shift(self, colours_B3: NDArray[np.float32] | Tensor) -> Tensor:
        """(B, 3, 1, 1): what adding these colours to all pixels of an image adds to its input.

        colours: red, green, blue, in parts of 255.
        """
        if isinstance(colours_B3, np.ndarray):
            colours_B3 = torch.from_numpy(colours_B3)
        colours = colours_B3.to(self.device, non_blocking=True)
        return colours[:, :, None, None] * (self._scale * 255)
