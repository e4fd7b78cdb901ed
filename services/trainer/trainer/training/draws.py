"""What augmentation draws by chance: for every training image anew in every epoch.

A draw depends on the seed, the epoch and the image, and on nothing else: not on the batch it
falls into, the device, the number of processes, or where a run was resumed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.training.seeds import generator


class Drawn(NamedTuple):
    """For B images."""

    places: NDArray[np.float64]  # (B, 2), in [0, 1): how far down and to the right a crop lies
    mirrored: NDArray[np.bool_]  # (B,), half of them
    colours: NDArray[np.float32]  # (B, 3), standard normal
    holes: NDArray[np.float64]  # (B, 2), in [0, 1): where down and to the right a hole's centre is


class Draws:
    """For a training set of so many images. Not thread-safe: it keeps one epoch's draws."""

    def __init__(self, seed: int, images: int) -> None:
        self._seed, self._images = seed, images
        self._epoch: int | None = None
        self._drawn = self._of_epoch(0, images=0)

    def of(self, epoch: int, positions: NDArray[np.int64]) -> Drawn:
        """For these of the training images."""
        if epoch != self._epoch:
            self._drawn, self._epoch = self._of_epoch(epoch, self._images), epoch
        places, mirrored, colours, holes = self._drawn
        return Drawn(places[positions], mirrored[positions], colours[positions], holes[positions])

    def _of_epoch(self, epoch: int, images: int) -> Drawn:
        # One generator each: leaving one kind of augmentation out does not change the others.
        return Drawn(
            generator(self._seed, "places", epoch).random((images, 2)),
            generator(self._seed, "mirrored", epoch).random(images) < 0.5,
            generator(self._seed, "colours", epoch).standard_normal((images, 3), np.float32),
            generator(self._seed, "holes", epoch).random((images, 2)),
        )
