"""Initial values of AlexNet: the paper's, and ones that train without its patience."""

from __future__ import annotations

from typing import Literal

from torch import nn

Nonlinearity = Literal["relu", "tanh", "linear"]

_PAPER_DEVIATION = 0.01
# §5: so that the ReLUs behind them begin with positive inputs.
_PAPER_BIAS_ONE = ("convolutions.conv2.", "convolutions.conv4.", "convolutions.conv5.", "hidden.")


def he(layers: nn.Module, nonlinearity: Nonlinearity) -> None:
    """Weights N(0, g²/inputs), biases 0 (He et al. 2015): the signal keeps its scale.

    g² = 2 before ReLU, (5/3)² before tanh and 1 before maxout: the greater one of two independent
    pieces has the mean square of either.
    """
    for module in layers.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity=nonlinearity)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def paper(network: nn.Module) -> None:
    """Krizhevsky et al. 2012, §5, for all layers, those of the head too.

    Where batch normalisation follows a convolution, its shift is the layer's bias.
    """
    for name, module in network.named_modules():
        bias = 1.0 if name.startswith(_PAPER_BIAS_ONE) else 0.0
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, 0, _PAPER_DEVIATION)
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d) and module.bias is not None:
            nn.init.constant_(module.bias, bias)
