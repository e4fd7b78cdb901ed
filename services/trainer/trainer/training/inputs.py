"""Where the batches of a training loop come from."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class Moment(NamedTuple):
    """When in a run a batch is used. done: part of the run that lies before it, in [0, 1)."""

    iteration: int
    epoch: int
    done: float


class Inputs(Protocol):
    def prepare(self, positions: NDArray[np.int64], moment: Moment) -> Any:
        """What `to_device` makes the batch of; runs in a thread, a batch ahead.

        positions: (B,), which of the training images. What is drawn by chance for an image may
        depend on the seed, the image and the epoch only: then neither a resumed run nor one that
        several processes share sees other pictures. See `trainer.training.draws`.
        """
        ...

    def to_device(self, prepared: Any) -> Tensor: ...
