"""Features with mean 0 and deviation 1 in front of the head, while it is trained.

Fresh features of rectified units point nearly all the same way. That common part would drive
every unit of a hash layer into saturation, all images to one code; and one learning rate would not
fit backbones whose features differ in scale. The scaling is linear, so when training ends it
becomes part of the layer behind it, and the network is what it says it is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kinsight.networks import Outputs, RetrievalNetwork


@torch.no_grad()
def fold(linear: nn.Linear, mean_d: Tensor, deviation_d: Tensor) -> None:
    """Makes the layer read plain features: W(f − μ)/σ + b = (W/σ) f + (b − (W/σ) μ)."""
    linear.weight.div_(deviation_d)
    linear.bias.sub_(linear.weight @ mean_d)


@torch.no_grad()
def unfold(linear: nn.Linear, mean_d: Tensor, deviation_d: Tensor) -> None:
    """The inverse: makes a layer that reads plain features read scaled ones."""
    linear.bias.add_(linear.weight @ mean_d)
    linear.weight.mul_(deviation_d)


class Standardised(nn.Module):
    """A network with a hash layer, its feature standardised by batch on the way to the head.

    Batch normalisation without scale and shift of its own (Ioffe & Szegedy 2015).
    """

    def __init__(self, network: RetrievalNetwork) -> None:
        super().__init__()
        self.network = network
        # A unit that hardly ever fires must not shout when it does: deviations are 0.1 at least.
        self.norm = nn.BatchNorm1d(network.feature_dimensions, affine=False, eps=0.01)

    def forward(self, x_BCHW: Tensor) -> Outputs:
        feature = self.network.features(x_BCHW)
        outputs: Outputs = self.network.head(self.norm(feature.float()))
        return outputs._replace(feature=feature)

    def fold(self) -> None:
        """Leaves the network to answer by itself as this module does in evaluation mode."""
        assert self.network.head.hash is not None
        assert self.norm.running_mean is not None
        assert self.norm.running_var is not None
        deviation = (self.norm.running_var + self.norm.eps).sqrt()
        fold(self.network.head.hash.linear, self.norm.running_mean, deviation)
