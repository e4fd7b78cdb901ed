"""Which kernels see the picture itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn


def first_kernels(network: nn.Module) -> NDArray[np.float32] | None:
    """(O, I, H, W): the kernels of the network's first convolution; None where it has none.

    The patch projection of a vision transformer is a convolution too.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            weights: NDArray[np.float32] = module.weight.detach().float().cpu().numpy()
            return weights
    return None
