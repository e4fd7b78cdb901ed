"""AlexNet (Krizhevsky et al. 2012), with a stem for small pictures beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from kinsight.contracts.models import Preprocessing
from kinsight.networks import alexnet_initialisation as initial
from kinsight.networks.alexnet_options import AlexNetOptions
from kinsight.networks.headed import HeadedNetwork, RetrievalHead
from kinsight.networks.maxout import Maxout
from kinsight.networks.options import Options
from kinsight.networks.pooling import pooled_side, pooling_layer
from kinsight.networks.response_norm import LocalResponseNorm


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
_SIXTH = _Convolution(256, 3, grouped=True, pooled=False, normed=False)
_CHANNELS_2014 = (64, 192, 384, 256, 256)
# Layers of torchvision's AlexNet by their names here.
_TORCHVISION = {
    "features.0": "convolutions.conv1.conv",
    "features.3": "convolutions.conv2.conv",
    "features.6": "convolutions.conv3.conv",
    "features.8": "convolutions.conv4.conv",
    "features.10": "convolutions.conv5.conv",
    "classifier.1": "hidden.fc6",
    "classifier.4": "hidden.fc7",
    "classifier.6": "head.classifier",
}


class AlexNet(HeadedNetwork):
    """Five or six convolutions and two hidden fully connected layers; the feature is fc7's.

    With towers=2, hash_bits=0 and 1000 classes: 60,965,224 parameters, the paper's 60 million.
    The small stem (input_size <= 64): conv1 5x5, stride 1; the maps then are S, S/2, S/4 wide
    as the paper's are S/4, S/8, S/16.
    """

    def __init__(self, options: AlexNetOptions, classes: int) -> None:
        super().__init__(options)
        self.convolutions = nn.Sequential()
        channels, side, scale = 3, options.input_size, 1.0
        for number, layer in enumerate(_layers(options), start=1):
            convolution = _convolution(layer, channels, options, first=number == 1)
            initial.he(convolution, "tanh" if options.activation == "tanh" else "relu", scale)
            self.convolutions.add_module(f"conv{number}", _block(layer, convolution, options))
            channels = convolution.out_channels
            side = _side(layer, side, options, first=number == 1)
            scale = initial.scale_behind(
                max_average=layer.pooled and options.pooling == "max-average",
                norm_left_out=layer.normed and not options.response_norm,
            )
        fc6 = _hidden_layer(channels * side * side, options, scale)
        fc7 = _hidden_layer(options.fc_width, options, 1.0)
        self.hidden = nn.Sequential()
        self.hidden.add_module("flatten", nn.Flatten())
        self.hidden.add_module("fc6", fc6)
        self.hidden.add_module(f"{options.activation}6", _hidden_activation(options))
        self.hidden.add_module("drop6", nn.Dropout(options.dropout))
        self.hidden.add_module("fc7", fc7)
        self.hidden.add_module(f"{options.activation}7", _hidden_activation(options))
        self.head = RetrievalHead(options.fc_width, classes, options, options.dropout)
        if options.initialisation == "paper":
            initial.paper(self)

    def features(self, x_BCHW: Tensor) -> Tensor:
        feature: Tensor = self.hidden(self.convolutions(x_BCHW))
        return feature

    def own_names(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """torchvision's names become this network's."""
        renamed = {}
        for name, tensor in state.items():
            layer, _, kind = name.rpartition(".")
            renamed[f"{_TORCHVISION.get(layer, layer)}.{kind}"] = tensor
        return renamed


def _layers(options: AlexNetOptions) -> tuple[_Convolution, ...]:
    layers: tuple[_Convolution, ...] = _LAYERS
    if options.channels == "2014":
        pairs = zip(layers, _CHANNELS_2014, strict=True)
        layers = tuple(layer._replace(channels=channels) for layer, channels in pairs)
    return (*layers, _SIXTH) if options.sixth_convolution else layers


class AlexNetFamily:
    """The one network `alexnet`."""

    options = AlexNetOptions

    def variants(self) -> list[str]:
        return [""]

    def build(self, variant: str, options: Options, classes: int) -> AlexNet:
        assert isinstance(options, AlexNetOptions)
        return AlexNet(options, classes)

    def preprocessing(self, variant: str, options: Options) -> Preprocessing:
        """ImageNet's mean and deviation; resize to crop as 256 to 224."""
        assert isinstance(options, AlexNetOptions)
        size = options.input_size
        squash = options.framing == "squash" or (options.framing == "auto" and options.small_stem)
        if squash:
            return Preprocessing(mode="squash", resize=size, input_size=size)
        return Preprocessing(mode="crop", resize=round(size * 256 / 224), input_size=size)

    def published_state(self, variant: str) -> dict[str, Tensor] | None:
        return None


def _convolution(
    layer: _Convolution, inputs: int, options: AlexNetOptions, *, first: bool
) -> nn.Conv2d:
    kernel, stride, padding = _geometry(layer, options, first=first)
    return nn.Conv2d(
        inputs,
        _channels(layer.channels, options),
        kernel,
        stride,
        padding,
        groups=options.towers if layer.grouped else 1,
        # Batch normalisation would take a bias away again; its own shift stands for it.
        bias=options.norm != "batch",
    )


def _block(layer: _Convolution, convolution: nn.Conv2d, options: AlexNetOptions) -> nn.Sequential:
    block = nn.Sequential()
    block.add_module("conv", convolution)
    if options.norm == "batch":
        block.add_module("batch_norm", nn.BatchNorm2d(convolution.out_channels))
    if options.activation == "tanh":
        block.add_module("tanh", nn.Tanh())
    else:
        block.add_module("relu", nn.ReLU(inplace=True))
    if layer.normed and options.response_norm:
        block.add_module("norm", LocalResponseNorm())
    if layer.pooled:
        block.add_module("pool", pooling_layer(options.pooling))
    return block


def _geometry(layer: _Convolution, options: AlexNetOptions, *, first: bool) -> tuple[int, int, int]:
    """Kernel, stride and padding; the paper's 224 gives 55 with padding 2 (§3.5 says 224)."""
    if not first:
        return layer.kernel, 1, layer.kernel // 2
    if options.small_stem:
        return 5, 1, 2
    return layer.kernel, 4, 2


def _side(layer: _Convolution, side: int, options: AlexNetOptions, *, first: bool) -> int:
    kernel, stride, padding = _geometry(layer, options, first=first)
    side = (side + 2 * padding - kernel) // stride + 1
    return pooled_side(options.pooling, side) if layer.pooled else side


def _channels(channels: int, options: AlexNetOptions) -> int:
    """An even number, so that two towers can share it."""
    return max(2, 2 * round(channels * options.width / 2))


def _hidden_layer(inputs: int, options: AlexNetOptions, scale: float) -> nn.Linear:
    layer = nn.Linear(inputs, options.fc_width * (options.maxout_pieces or 1))
    initial.he(layer, "linear" if options.activation == "maxout" else options.activation, scale)
    return layer


def _hidden_activation(options: AlexNetOptions) -> nn.Module:
    if options.maxout_pieces is not None:
        return Maxout(options.maxout_pieces)
    return nn.Tanh() if options.activation == "tanh" else nn.ReLU(inplace=True)
