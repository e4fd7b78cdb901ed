"""Local response normalisation of AlexNet (Krizhevsky et al. 2012, §3.3)."""

from __future__ import annotations

from typing import Any

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
            a = a_BCHW if a_BCHW.dtype == torch.float64 else a_BCHW.float()
            if torch.is_grad_enabled() and a.requires_grad:
                settings = (self.n, self.k, self.alpha, self.beta)
                normalised: Tensor = _Normalise.apply(a, *settings)  # type: ignore[no-untyped-call]
            else:
                normalised = a * _power(_window_sums(a * a, self.n, self.alpha, self.k), -self.beta)
        # What reads the result moves half the bytes where the input had half of them.
        return normalised.to(a_BCHW.dtype)

    def extra_repr(self) -> str:
        return f"n={self.n}, k={self.k}, alpha={self.alpha}, beta={self.beta}"


class _Normalise(torch.autograd.Function):
    """The same with its gradient written out: half the time and memory of the recorded steps.

    With s = k + α Σ a² and b = a s^−β:  ∂L/∂a = g s^−β − 2αβ a Σ (g b / s).
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, n: int, k: float, alpha: float, beta: float) -> Tensor:
        sums = _window_sums(a * a, n, alpha, k)
        factor = _power(sums, -beta)
        ctx.save_for_backward(a, sums, factor)
        ctx.n, ctx.scale = n, -2 * alpha * beta
        return a * factor

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        (g,) = gradients
        a, sums, factor = ctx.saved_tensors
        own = g * factor
        others = _window_sums((own * a).div_(sums), ctx.n, ctx.scale, 0.0)
        return torch.addcmul(own, a, others), None, None, None, None


def _window_sums(x_BCHW: Tensor, n: int, scale: float, offset: float) -> Tensor:
    """offset + scale · Σ over the n channels around each.

    As a 1x1 convolution with a band matrix, which on a CPU is four times faster than pooling over
    the channels; in a network that is compiled as plain sums, which become part of one pass over
    memory with all that surrounds them.
    """
    channels = x_BCHW.shape[1]
    if torch.compiler.is_compiling():
        margin = n // 2
        padded = nn.functional.pad(x_BCHW, (0, 0, 0, 0, margin, margin))
        sums = padded[:, :channels]
        for start in range(1, n):
            sums = sums + padded[:, start : start + channels]
        return sums * scale + offset
    index = torch.arange(channels, device=x_BCHW.device)
    band = (index[:, None] - index[None, :]).abs() <= n // 2
    weight = (band * scale).to(x_BCHW.dtype)[:, :, None, None]
    bias = torch.full((channels,), offset, dtype=x_BCHW.dtype, device=x_BCHW.device)
    return nn.functional.conv2d(x_BCHW, weight, bias)


def _power(x: Tensor, exponent: float) -> Tensor:
    """x^exponent of positive x; roots are several times faster than powers."""
    if exponent == -0.75:
        root = x.rsqrt()
        return root * root.sqrt()
    return x.pow(exponent)
