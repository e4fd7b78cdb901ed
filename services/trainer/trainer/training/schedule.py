"""How the learning rate moves over a run: a factor on each parameter group's own rate."""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[float], float]


def warmup_cosine(warmup: float) -> Schedule:
    """Rises linearly over the first part `warmup` of the run, then falls to 0 as half a cosine.

    One cycle of Smith & Topin 2018, with the decay of Loshchilov & Hutter 2017.
    """

    def factor(done: float) -> float:
        if done < warmup:
            return done / warmup
        return (1 + math.cos(math.pi * (done - warmup) / (1 - warmup))) / 2

    return factor
