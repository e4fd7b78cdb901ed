"""Initial values of AlexNet: the paper's, and ones that train without its patience."""

from __future__ import annotations

from typing import Literal

from torch import nn

Nonlinearity = Literal["relu", "tanh", "linear"]

_PAPER_DEVIATION = 0.01
# §5: so that the ReLUs behind them begin with positive inputs.
_PAPER_BIAS_ONE = ("convolutions.conv2.", "convolutions.conv4.", "convolutions.conv5.", "hidden.")


def he(layer: nn.Conv2d | nn.Linear, nonlinearity: Nonlinearity, scale: float) -> None:
    """Weights N(0, (g · scale)²/inputs), biases 0 (He et al. 2015): the signal keeps its size.

    g² = 2 before ReLU, (5/3)² before tanh and 1 before maxout (`linear`): the greater one of two
    independent pieces has the mean square of either.
    """
    gain = scale * nn.init.calculate_gain(nonlinearity)
    nn.init.normal_(layer.weight, 0, gain / layer.weight[0].numel() ** 0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def scale_behind(*, max_average: bool, norm_left_out: bool) -> float:
    """`scale` of the layer that reads a map, so that every variant starts from like signals.

    Otherwise they grow, and a hash layer starts so far in saturation that nothing is learned.
    max_average: on smooth maps the maximum and the mean of a window are near each other, so their
    sum is about twice what max pooling yields. norm_left_out: for small signals response
    normalisation is a factor of k^−β = 2^−0.75, which evens out what max pooling adds.
    """
    return (0.5 if max_average else 1.0) * (2**-0.75 if norm_left_out else 1.0)


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
