"""The four-layer network of AlexNet's figure 1 and footnote 3.

The paper says "a four-layer convolutional network" and no more. Here it is three convolutions,
5x5 with 32, 32 and 64 kernels, each with the non-linearity and 3x3 max pooling of stride 2, and a
fully connected layer: the shape of the CIFAR-10 networks published with cuda-convnet.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from kinsight.networks import Outputs
from kinsight.networks.response_norm import LocalResponseNorm

_KERNELS = (32, 32, 64)

Activation = Literal["relu", "tanh"]


class FourLayers(nn.Module):
    """(B, 3, 32, 32) to logits (B, K); the feature is what the last layer reads."""

    def __init__(self, classes: int, activation: Activation, *, response_norm: bool) -> None:
        super().__init__()
        self.convolutions = nn.Sequential()
        channels, side = 3, 32
        for number, kernels in enumerate(_KERNELS, start=1):
            convolution = nn.Conv2d(channels, kernels, 5, padding=2)
            self.convolutions.add_module(f"conv{number}", convolution)
            self.convolutions.add_module(
                f"{activation}{number}", nn.ReLU() if activation == "relu" else nn.Tanh()
            )
            self.convolutions.add_module(f"pool{number}", nn.MaxPool2d(3, 2))
            if response_norm and number < len(_KERNELS):
                self.convolutions.add_module(f"norm{number}", LocalResponseNorm())
            # Maxima over windows make up for what the non-linearity takes away: no gain.
            nn.init.normal_(convolution.weight, 0, (channels * 25) ** -0.5)
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)
            channels, side = kernels, (side - 3) // 2 + 1
        self.classifier = nn.Linear(channels * side * side, classes)
        # All classes are equally likely at first, whatever the scale of the feature.
        nn.init.normal_(self.classifier.weight, 0, 0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x_BCHW: Tensor) -> Outputs:
        feature = self.convolutions(x_BCHW).flatten(1)
        # The loop's outputs have a code; this network has none.
        return Outputs(self.classifier(feature), feature, feature.new_zeros(len(feature), 1))
