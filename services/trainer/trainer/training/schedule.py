"""How the learning rate moves over a run: a factor on each parameter group's own rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol


class Schedule(Protocol):
    """One may heed how the run goes, and end it early; what it then remembers is in `state`."""

    def __call__(self, done: float) -> float:
        """The factor when this part of the run, in [0, 1], is done."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the run is over before all its epochs are."""
        return False

    def validated(self, accuracy: float) -> None:
        """Told at the end of each epoch."""
        return

    def state(self) -> dict[str, Any]:
        """Plain values that `restore` takes."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on where the schedule with this state was."""
        return


class _Timed(Schedule):
    def __init__(self, factor: Callable[[float], float]) -> None:
        self._factor = factor

    def __call__(self, done: float) -> float:
        return self._factor(done)


def warmup_cosine(warmup: float) -> Schedule:
    """Rises linearly over the first part `warmup` of the run, then falls to 0 as half a cosine.

    One cycle of Smith & Topin 2018, with the decay of Loshchilov & Hutter 2017.
    """

    def factor(done: float) -> float:
        if done < warmup:
            return done / warmup
        return (1 + math.cos(math.pi * (done - warmup) / (1 - warmup))) / 2

    return _Timed(factor)


def one_cycle(warmup: float) -> Schedule:
    """Rises linearly over the first part `warmup` of the run, then falls linearly to 0.

    Smith & Topin 2018 (super-convergence), the triangle without the momentum's own cycle.
    """

    def factor(done: float) -> float:
        return done / warmup if done < warmup else (1 - done) / (1 - warmup)

    return _Timed(factor)
