"""Which pictures a network can take."""

from __future__ import annotations

import torch
from torch import nn


def takes(network: nn.Module, side: int) -> bool:
    """Whether the network gives an output for pictures of this side."""
    parameter = next(network.parameters())
    picture = torch.zeros(1, 3, side, side, device=parameter.device, dtype=parameter.dtype)
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            network(picture)
    # What a network says to a size it cannot take differs: shapes, assertions, its own checks.
    except (RuntimeError, AssertionError, ValueError):
        return False
    finally:
        network.train(training)
    return True
