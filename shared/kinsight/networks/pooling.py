"""Pooling of AlexNet's maps: the paper's, its ablation, and the hash paper's."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

Pooling = Literal["overlapping", "plain", "max-average"]
STRIDE = 2


class MaxAveragePool2d(nn.Module):
    """p = max_m v_m + (1/T) Σ_m v_m over the T positions of a window, eq. 13 of the hash paper.

    Shape (B, C, H, W) to (B, C, H', W') as max pooling alone.
    """

    def __init__(self, window: int, stride: int) -> None:
        super().__init__()
        self.maximum = nn.MaxPool2d(window, stride)
        self.average = nn.AvgPool2d(window, stride)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        pooled: Tensor = self.maximum(x_BCHW) + self.average(x_BCHW)
        return pooled


def pooling_layer(kind: Pooling) -> nn.Module:
    """The layer; halves the sides of a map, rounded down."""
    if kind == "max-average":
        return MaxAveragePool2d(window(kind), STRIDE)
    return nn.MaxPool2d(window(kind), STRIDE)


def window(kind: Pooling) -> int:
    """Side of the window: 3 overlaps its neighbours (AlexNet §3.4), 2 does not."""
    return 2 if kind == "plain" else 3


def pooled_side(kind: Pooling, side: int) -> int:
    """Side of the pooled map of a map of this side."""
    return (side - window(kind)) // STRIDE + 1
