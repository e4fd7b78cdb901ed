"""Training batches of pictures: augmented where the canvases lie, a batch ahead of the network.

Canvases are decoded once and kept as uint8. Where all of them fit into a part of the device's
memory they lie there and a batch is gathered there; else it is gathered by the processor, in the
thread that is a batch ahead. Both see the same pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainer.training.augment import Windows, cut, cut_on_device, cut_out, windows
from trainer.training.colours import Colours
from trainer.training.draws import Draws
from trainer.training.embedding import Pictures
from trainer.training.inputs import Moment

# The place of the centre crop: just below a half, where a half itself rounds odd rests up.
_CENTRE = np.nextafter(0.5, 0)


@dataclass(frozen=True)
class Augmentation:
    """crops: random squares, else the centre. padding: how far a square may reach over the
    canvas's edge, in pixels. colours: adds noise along their components. cutout: side of the
    square that is blanked, in pixels. sizes: the side in pixels that the network is given at a
    part of the run done; None: always its own.
    """

    crops: bool = True
    padding: int = 0
    mirror: bool = True
    colours: Colours | None = None
    cutout: int = 0
    sizes: Callable[[float], int] | None = None


def usual_padding(*, side: int, canvas: int) -> int:
    """An eighth of the input where the canvas leaves no room for crops, else none."""
    return side // 8 if canvas == side else 0


class Prepared(NamedTuple):
    """pixels: (B, S, S, 3) uint8 where the processor gathers them, else None."""

    pixels: Tensor | None
    indices: NDArray[np.int64]
    where: Windows
    noise: NDArray[np.float32] | None
    holes: NDArray[np.float64] | None
    size: int


class PictureBatches:
    """Of the training images, by position among them."""

    def __init__(
        self,
        pictures: Pictures,
        training: NDArray[np.int64],
        augmentation: Augmentation,
        *,
        seed: int,
    ) -> None:
        self._pictures, self._training, self._augmentation = pictures, training, augmentation
        self._draws = Draws(seed, len(training))

    def prepare(self, positions: NDArray[np.int64], moment: Moment) -> Prepared:
        wanted, side = self._augmentation, self._pictures.side
        drawn = self._draws.of(moment.epoch, positions)
        indices = self._training[positions]
        where = windows(
            drawn.places if wanted.crops else np.full_like(drawn.places, _CENTRE),
            drawn.mirrored & wanted.mirror,
            canvas=self._pictures.canvas,
            side=side,
            padding=wanted.padding if wanted.crops else 0,
        )
        noise = None if wanted.colours is None else wanted.colours.noise(drawn.colours)
        holes = drawn.holes if wanted.cutout else None
        size = side if wanted.sizes is None else wanted.sizes(moment.done)
        pixels = None
        if self._pictures.resident is None:
            pixels = torch.from_numpy(cut(self._pictures.pixels, indices, where))
            if self._pictures.device.type == "cuda":
                # Only from such memory does a copy run beside the network.
                pixels = pixels.pin_memory()
        return Prepared(pixels, indices, where, noise, holes, size)

    def to_device(self, prepared: Prepared) -> Tensor:
        """(B, 3, size, size) float32, channels last."""
        pixels, normalise = prepared.pixels, self._pictures.normalise
        if pixels is None:
            assert self._pictures.resident is not None
            pixels = cut_on_device(self._pictures.resident, prepared.indices, prepared.where)
        x = normalise(pixels)
        if prepared.noise is not None:
            x += normalise.shift(prepared.noise)
        if prepared.holes is not None:
            x = cut_out(x, prepared.holes, self._augmentation.cutout)
        if prepared.size != x.shape[-1]:
            x = nn.functional.interpolate(
                x, size=(prepared.size, prepared.size), mode="bilinear", antialias=True
            )
        return x
