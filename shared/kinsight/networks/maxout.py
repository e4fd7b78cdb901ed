"""Maxout units (Goodfellow et al. 2013), as the hash paper §2.2 puts them into fc6 and fc7."""

from __future__ import annotations

from torch import Tensor, nn


class Maxout(nn.Module):
    """h_i = max_j z_ij over k linear pieces z, eq. 10 of the hash paper.

    (B, k·d) to (B, d): the linear layer before it has the pieces' outputs one after another, the
    first pieces of all units first.
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, z_Bkd: Tensor) -> Tensor:
        return z_Bkd.reshape(len(z_Bkd), self.pieces, -1).amax(dim=1)

    def extra_repr(self) -> str:
        return f"pieces={self.pieces}"
