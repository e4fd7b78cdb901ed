"""Fewer dimensions for a feature, with distances kept about as they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Folding(nn.Module):
    """y_j = Σ s_i f_i over the inputs i that fall on j, with random signs s (feature hashing,
    Weinberger et al. 2009; each output takes as many inputs as any other, give or take one).

    (B, d) to (B, m). Inner products stay the same in the mean, those of unit vectors with a
    deviation of about 1/√m. Order and signs are buffers, so they are saved with the network.
    """

    order: Tensor
    signs: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.layers = -(-inputs // outputs)
        generator = torch.Generator().manual_seed(inputs)
        self.register_buffer("order", torch.randperm(inputs, generator=generator))
        signs = torch.rand(inputs, generator=generator).sub(0.5).sign()
        self.register_buffer("signs", signs)

    def forward(self, feature_Bd: Tensor) -> Tensor:
        signed = feature_Bd[:, self.order] * self.signs
        padding = self.layers * self.outputs - signed.shape[1]
        padded = nn.functional.pad(signed, (0, padding))
        return padded.reshape(len(padded), self.layers, self.outputs).sum(dim=1)

    def extra_repr(self) -> str:
        return f"inputs={len(self.order)}, outputs={self.outputs}"
