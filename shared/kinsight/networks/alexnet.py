"""AlexNet (Krizhevsky et al. 2012), with a stem for small pictures beside the paper's."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import Field
from torch import Tensor, nn

from kinsight.contracts.models import Preprocessing
from kinsight.networks.base import RetrievalHead, RetrievalNetwork
from kinsight.networks.options import NetworkOptions
from kinsight.networks.response_norm import LocalResponseNorm

# Up to this side the paper's first layer (11x11, stride 4) would leave nothing to look at.
SMALL_INPUT = 64


class AlexNetOptions(NetworkOptions):
    """Defaults are the paper's network, with a hash layer of 64 bits."""

    towers: int = Field(
        default=2,
        ge=1,
        le=2,
        description="2: conv2, conv4 and conv5 see half of the channels each, as on the paper's "
        "two GPUs (§3.2); 1: they see all.",
    )
    response_norm: bool = Field(
        default=True, description="Response normalisation after conv1 and conv2 (§3.3)."
    )
    pooling: Literal["overlapping", "plain"] = Field(
        default="overlapping", description="3x3 windows, stride 2 (§3.4), or 2x2, stride 2."
    )
    activation: Literal["relu"] = Field(default="relu", description="Non-linearity of all layers.")
    dropout: float = Field(
        default=0.5, ge=0, lt=1, description="On the two hidden fully connected layers (§4.2)."
    )
    fc_width: int = Field(
        default=4096, ge=8, le=8192, description="Units of each hidden fully connected layer."
    )
    width: float = Field(
        default=1.0, ge=0.05, le=4, description="Factor on the channels of all convolutions."
    )
    input_size: int = Field(
        default=224,
        ge=32,
        le=512,
        description="Side of the input in pixels. Up to 64 the first layer is 5x5 with stride 1 "
        "instead of 11x11 with stride 4.",
    )
    framing: Literal["auto", "crop", "squash"] = Field(
        default="auto",
        description="crop: the centre square of the picture; squash: the whole picture pressed "
        "into the square; auto: squash up to an input size of 64, else crop.",
    )


class _Convolution(NamedTuple):
    channels: int
    kernel: int
    grouped: bool  # by tower
    pooled: bool
    normed: bool


# §3.5; the first layer's stride depends on the input size.
_LAYERS = (
    _Convolution(96, 11, grouped=False, pooled=True, normed=True),
    _Convolution(256, 5, grouped=True, pooled=True, normed=True),
    _Convolution(384, 3, grouped=False, pooled=False, normed=False),
    _Convolution(384, 3, grouped=True, pooled=False, normed=False),
    _Convolution(256, 3, grouped=True, pooled=True, normed=False),
)


class AlexNet(RetrievalNetwork):
    """Five convolutions and two hidden fully connected layers; the feature is the second's.

    With towers=2, hash_bits=0 and 1000 classes: 60,965,224 parameters, the paper's 60 million.
    The small stem (input_size <= 64): conv1 5x5, stride 1; the maps then are S, S/2, S/4 wide
    as the paper's are S/4, S/8, S/16.
    """

    def __init__(self, options: AlexNetOptions, classes: int) -> None:
        super().__init__(options)
        self.convolutions = nn.Sequential()
        channels, side = 3, options.input_size
        for number, layer in enumerate(_LAYERS, start=1):
            block = _block(layer, channels, options, first=number == 1)
            self.convolutions.add_module(f"conv{number}", block)
            channels = _channels(layer.channels, options)
            side = _side(layer, side, options, first=number == 1)
        self.hidden = nn.Sequential()
        self.hidden.add_module("flatten", nn.Flatten())
        self.hidden.add_module("fc6", nn.Linear(channels * side * side, options.fc_width))
        self.hidden.add_module("relu6", nn.ReLU(inplace=True))
        self.hidden.add_module("drop6", nn.Dropout(options.dropout))
        self.hidden.add_module("fc7", nn.Linear(options.fc_width, options.fc_width))
        self.hidden.add_module("relu7", nn.ReLU(inplace=True))
        self.head = RetrievalHead(options.fc_width, classes, options, options.dropout)
        for module in [*self.convolutions.modules(), *self.hidden.modules()]:
            _initialise(module)

    def features(self, x_BCHW: Tensor) -> Tensor:
        feature: Tensor = self.hidden(self.convolutions(x_BCHW))
        return feature


class AlexNetFamily:
    """The one network `alexnet`."""

    options = AlexNetOptions

    def variants(self) -> list[str]:
        return [""]

    def build(self, variant: str, options: NetworkOptions, classes: int) -> AlexNet:
        assert isinstance(options, AlexNetOptions)
        return AlexNet(options, classes)

    def preprocessing(self, variant: str, options: NetworkOptions) -> Preprocessing:
        """ImageNet's mean and deviation; resize to crop as 256 to 224."""
        assert isinstance(options, AlexNetOptions)
        size = options.input_size
        squash = options.framing == "squash" or (options.framing == "auto" and size <= SMALL_INPUT)
        if squash:
            return Preprocessing(mode="squash", resize=size, input_size=size)
        return Preprocessing(mode="crop", resize=round(size * 256 / 224), input_size=size)

    def published_state(self, variant: str) -> dict[str, Tensor] | None:
        return None


def _block(
    layer: _Convolution, inputs: int, options: AlexNetOptions, *, first: bool
) -> nn.Sequential:
    kernel, stride, padding = _geometry(layer, options, first=first)
    block = nn.Sequential()
    convolution = nn.Conv2d(
        inputs,
        _channels(layer.channels, options),
        kernel,
        stride,
        padding,
        groups=options.towers if layer.grouped else 1,
    )
    block.add_module("conv", convolution)
    block.add_module("relu", nn.ReLU(inplace=True))
    if layer.normed and options.response_norm:
        block.add_module("norm", LocalResponseNorm())
    if layer.pooled:
        block.add_module("pool", nn.MaxPool2d(_window(options), stride=2))
    return block


def _geometry(layer: _Convolution, options: AlexNetOptions, *, first: bool) -> tuple[int, int, int]:
    """Kernel, stride and padding; the paper's 224 gives 55 with padding 2 (§3.5 says 224)."""
    if not first:
        return layer.kernel, 1, layer.kernel // 2
    if options.input_size <= SMALL_INPUT:
        return 5, 1, 2
    return layer.kernel, 4, 2


def _side(layer: _Convolution, side: int, options: AlexNetOptions, *, first: bool) -> int:
    kernel, stride, padding = _geometry(layer, options, first=first)
    side = (side + 2 * padding - kernel) // stride + 1
    return (side - _window(options)) // 2 + 1 if layer.pooled else side


def _window(options: AlexNetOptions) -> int:
    return 3 if options.pooling == "overlapping" else 2


def _channels(channels: int, options: AlexNetOptions) -> int:
    """An even number, so that two towers can share it."""
    return max(2, 2 * round(channels * options.width / 2))


def _initialise(module: nn.Module) -> None:
    """He et al. 2015: without normalisation the paper's N(0, 0.01) lets small nets stall."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        assert module.bias is not None
        nn.init.zeros_(module.bias)
