"""Progressive resizing: small pictures at first, which cost less, and the network's own at last.

Howard 2018 (fast.ai's DAWNBench entries); Touvron et al. 2019 on why the last epochs need the
size of the test.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from kinsight.networks.input_sizes import takes

# Sides are multiples of this: most networks halve five times.
_MULTIPLE = 32
# Part of the run after which inputs have their full size.
_GROWN = 0.7


def growing_sizes(network: nn.Module, side: int, smallest: float) -> Callable[[float], int] | None:
    """The side in pixels at a part of the run done: from `smallest` times the network's own,
    growing evenly, its own from 70 % on.

    None where the network takes its own size only, which is tried.
    """
    first = max(_MULTIPLE, round(side * smallest / _MULTIPLE) * _MULTIPLE)
    if first >= side or not takes(network, first):
        return None

    def size(done: float) -> int:
        if done >= _GROWN:
            return side
        grown = first + (side - first) * done / _GROWN
        return min(side, round(grown / _MULTIPLE) * _MULTIPLE)

    return size
