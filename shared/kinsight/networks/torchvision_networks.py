"""Any classification network of torchvision as a backbone.

Its last layer is found, not listed: the last linear layer, or in SqueezeNet the last convolution.
What enters that layer is the feature.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from kinsight.contracts.models import Preprocessing
from kinsight.errors import BadOption
from kinsight.networks.headed import HeadedNetwork, RetrievalHead
from kinsight.networks.input_sizes import takes
from kinsight.networks.options import NetworkOptions, Options
from kinsight.networks.torchvision_operators import mend

mend()

from torchvision import models  # noqa: E402  # after mend()

# Classifiers that help training only, not part of the network that is searched with.
_AUXILIARY = re.compile(r"^(AuxLogits|aux1|aux2)\.")
# DenseNet's published files still carry names of an older release.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.")
_BUILD_OPTIONS: dict[str, dict[str, Any]] = {
    "inception_v3": {"aux_logits": False, "transform_input": True, "init_weights": True},
    "googlenet": {"aux_logits": False, "transform_input": True, "init_weights": True},
}


class TorchvisionOptions(NetworkOptions):
    dropout: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="On the feature while training; null keeps the network's own.",
    )
    input_size: int | None = Field(
        default=None,
        ge=32,
        le=512,
        description="Side of the input in pixels; null: what its published weights were made for, "
        "mostly 224. A smaller one costs less, and suits small pictures.",
    )
    framing: Literal["crop", "squash"] = Field(
        default="crop",
        description="crop: the centre square of the picture; squash: the whole picture pressed "
        "into the square.",
    )


class TorchvisionNetwork(HeadedNetwork):
    """`backbone` with its last layer taken off, and the head in its place."""

    def __init__(self, backbone: nn.Module, options: TorchvisionOptions, classes: int) -> None:
        super().__init__(options)
        self.backbone = backbone
        # Under what name the published file has the classifier; SqueezeNet's is a convolution
        # before the pooling, which no linear layer behind the pooling can stand for.
        self._classifier_name, last = _last_layer(backbone)
        self._classifier_fits = isinstance(last, nn.Linear)
        dimensions = last.in_features if isinstance(last, nn.Linear) else last.in_channels
        own_dropout = _detach(backbone, self._classifier_name)
        dropout = own_dropout if options.dropout is None else options.dropout
        self.head = RetrievalHead(dimensions, classes, options, dropout)

    def features(self, x_BCHW: Tensor) -> Tensor:
        feature: Tensor = self.backbone(x_BCHW)
        return feature

    def own_names(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if any(name.startswith("backbone.") for name in state):
            return dict(state)
        renamed = {}
        for name, tensor in state.items():
            name = _OLD_DENSENET.sub(r"\1\2.", name)
            module, _, parameter = name.rpartition(".")
            if module == self._classifier_name:
                if self._classifier_fits:
                    renamed[f"head.classifier.{parameter}"] = tensor
            elif not _AUXILIARY.match(name):
                renamed[f"backbone.{name}"] = tensor
        return renamed


class TorchvisionFamily:
    """`torchvision/<name>` for every name of `torchvision.models` that classifies pictures."""

    options = TorchvisionOptions

    def variants(self) -> list[str]:
        names: list[str] = models.list_models(module=models)
        return names

    def build(self, variant: str, options: Options, classes: int) -> TorchvisionNetwork:
        """Raises BadOption where the network cannot take the input size."""
        assert isinstance(options, TorchvisionOptions)
        extra = dict(_BUILD_OPTIONS.get(variant, {}))
        side = self.preprocessing(variant, options).input_size
        if variant.startswith("vit_"):
            patch = int(variant.rpartition("_")[2])
            if side % patch:
                raise _unfit(variant, side, f"it is no multiple of its patches of {patch} pixels")
            extra["image_size"] = side
        network = TorchvisionNetwork(models.get_model(variant, **extra), options, classes)
        if options.input_size is not None and not takes(network, side):
            raise _unfit(variant, side, "its layers leave nothing of such a picture")
        return network

    def preprocessing(self, variant: str, options: Options) -> Preprocessing:
        """What the network's first published weights were evaluated with, but for the options."""
        assert isinstance(options, TorchvisionOptions)
        first = next(iter(models.get_model_weights(variant))).transforms()
        mean, std = tuple(first.mean), tuple(first.std)
        size, resize = first.crop_size[0], first.resize_size[0]
        if options.input_size is not None:
            size = options.input_size
            resize = round(size * 256 / 224)
        elif size == 224:
            # Their authors' best resize varies from 224 to 256; training needs room to crop.
            resize = 256
        if options.framing == "squash":
            resize = size
        return Preprocessing(
            mode=options.framing, resize=resize, input_size=size, mean=mean, std=std
        )

    def published_state(self, variant: str) -> dict[str, Tensor] | None:
        """Downloads torchvision's best weights of this network, or takes them from its cache."""
        weights = models.get_model_weights(variant).DEFAULT
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
        return state


def _unfit(variant: str, side: int, reason: str) -> BadOption:
    return BadOption(
        f"torchvision/{variant} cannot take an input_size of {side}: {reason}. Choose another, or "
        "leave it out.",
        option="input_size",
    )


def _last_layer(backbone: nn.Module) -> tuple[str, nn.Linear | nn.Conv2d]:
    layers = [
        (name, module)
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    return layers[-1]


def _detach(backbone: nn.Module, name: str) -> float:
    """Takes the last layer and the dropout before it off; returns that dropout's probability.

    The feature is then what enters the layer, and the head drops out instead.
    """
    parent_name, _, child = name.rpartition(".")
    parent = backbone.get_submodule(parent_name)
    setattr(parent, child, nn.Identity())
    before = str(int(child) - 1) if child.isdigit() else "dropout"
    dropout = getattr(parent, before, None)
    if not isinstance(dropout, nn.Dropout):
        return 0.0
    setattr(parent, before, nn.Identity())
    return float(dropout.p)
