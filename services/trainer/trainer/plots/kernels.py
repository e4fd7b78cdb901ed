"""The kernels of a convolution as pictures (AlexNet, figure 3)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainer.plots.lettering import lettering
from trainer.plots.sheet import Sheet
from trainer.plots.style import MUTED, TEXT

_MOST = 512
_WIDTH = 900.0
_GAP, _HEAD = 4.0, 28.0


def kernels(weights_OIHW: NDArray[np.float32]) -> bytes:
    """PNG of the kernels in a grid: (O, I, H, W), in colour where I = 3, else their mean over I.

    Each is scaled to its own range, so that weak kernels are seen too. Of more than 512 the first
    512 are shown.
    """
    shown = weights_OIHW[:_MOST]
    columns = _columns(len(shown))
    rows = math.ceil(len(shown) / columns)
    side = min(96.0, (_WIDTH + _GAP) / columns - _GAP)
    width = max(320.0, columns * (side + _GAP) - _GAP)
    sheet = Sheet(width, _HEAD + rows * (side + _GAP), lettering([]))
    sheet.text(0, _HEAD / 2 - 2, _caption(weights_OIHW, len(shown)), size=TEXT, colour=MUTED)
    for number, kernel in enumerate(_pixels(shown)):
        row, column = divmod(number, columns)
        # Enlarged beforehand: 11 pixels into 90 by whole pixels would be uneven.
        large = Image.fromarray(kernel).resize((256, 256), Image.Resampling.NEAREST)
        x, y = column * (side + _GAP), _HEAD + row * (side + _GAP)
        sheet.picture(x, y, side, np.asarray(large))
    return sheet.png()


def _pixels(weights_OIHW: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(O, H, W, 3)."""
    if weights_OIHW.shape[1] != 3:
        weights_OIHW = weights_OIHW.mean(axis=1, keepdims=True).repeat(3, axis=1)
    low = weights_OIHW.min(axis=(1, 2, 3), keepdims=True)
    span = weights_OIHW.max(axis=(1, 2, 3), keepdims=True) - low
    # A kernel that is the same everywhere is grey.
    scaled = np.where(span > 0, (weights_OIHW - low) / np.where(span > 0, span, 1), 0.5)
    return np.asarray((scaled * 255).round().astype(np.uint8).transpose(0, 2, 3, 1))


def _columns(count: int) -> int:
    """Wide rather than high, with as full a last row as there can be (96: 6 rows of 16)."""
    usual = math.ceil(math.sqrt(2.5 * count))
    near = range(max(1, usual - 3), min(count, usual + 3) + 1)
    return min(near, key=lambda columns: (-count % columns, abs(columns - usual)))


def _caption(weights_OIHW: NDArray[np.float32], shown: int) -> str:
    kernels, channels, height, width = weights_OIHW.shape
    some = f"the first {shown} of " if shown < kernels else ""
    return f"{some}{kernels} kernels of {height}×{width}×{channels}, each scaled to its own range"
