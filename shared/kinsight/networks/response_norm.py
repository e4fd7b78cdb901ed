"""Local response normalisation of AlexNet (Krizhevsky et al. 2012, §3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kinsight.networks.precision import full_precision


class LocalResponseNorm(nn.Module):
    """b_i = a_i / (k + α Σ_j a_j²)^β, j over the n channels around i, at every position.

    α is not divided by n: that is the paper's formula, where `torch.nn.LocalResponseNorm`
    takes the mean over the window instead of the sum. Shape (B, C, H, W) in and out.
    """

    def __init__(self, n: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75) -> None:
        super().__init__()
        self.n, self.k, self.alpha, self.beta = n, k, alpha, beta

    def forward(self, a_BCHW: Tensor) -> Tensor:
        # In bfloat16 the sum next to k would keep two decimals.
        with full_precision(a_BCHW.device):
            a = a_BCHW.float()
            # The windowed sum over channels as a 1x1 convolution with a band matrix: four times
            # faster on a CPU than pooling over the channels.
            channels = a.shape[1]
            index = torch.arange(channels, device=a.device)
            band = (index[:, None] - index[None, :]).abs() <= self.n // 2
            weight = (band * self.alpha).to(a.dtype)[:, :, None, None]
            bias = torch.full((channels,), self.k, dtype=a.dtype, device=a.device)
            return a * nn.functional.conv2d(a * a, weight, bias).pow(-self.beta)

    def extra_repr(self) -> str:
        return f"n={self.n}, k={self.k}, alpha={self.alpha}, beta={self.beta}"
