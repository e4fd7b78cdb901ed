"""The hash paper's networks: AlexNet with a hash layer, its variants, and how they are trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer.reproduce.base import Scale
from trainer.reproduce.bench import Bench
from trainer.reproduce.drawing import Most
from trainer.reproduce.prepared import Prepared
from trainer.reproduce.pretrained import Pretrained
from trainer.reproduce.runs import Plan
from trainer.reproduce.scales import described, handful, picture_network

_FINAL = "AlexNet + maxout + max-average pooling"
_BATCH_NORM: Mapping[str, Any] = {"norm": "batch", "response_norm": False}


@dataclass(frozen=True)
class Variant:
    """A row of the paper's tables, or one of ours beside them."""

    name: str
    options: Mapping[str, Any]
    network: str = "alexnet"

    @property
    def normalised(self) -> bool:
        return self.network != "alexnet" or self.options.get("norm") == "batch"


PAPERS = (
    Variant("AlexNet, fine-tuned", {"norm": "none"}),
    Variant("AlexNet + maxout", {"activation": "maxout", "norm": "none"}),
    Variant("AlexNet + maxout + batch normalisation", {"activation": "maxout", **_BATCH_NORM}),
    Variant(_FINAL, {"activation": "maxout", "pooling": "max-average", "norm": "none"}),
)
_FINAL_NORMALISED = Variant(
    f"{_FINAL} + batch normalisation",
    {"activation": "maxout", "pooling": "max-average", **_BATCH_NORM},
)
# 128: the network halves five times, which of 32 pixels would leave one.
_RESNET = Variant("ResNet-18", {"input_size": 128, "framing": "squash"}, "torchvision/resnet18")
_EPOCHS: dict[Scale, int] = {"smoke": 2, "small": 10, "full": 60}
_EPOCHS_PRETRAINED: dict[Scale, int] = {"smoke": 1, "small": 3, "full": 30}


@dataclass(frozen=True)
class HashNetworks:
    """Plans for the networks at one scale on one data set."""

    scale: Scale
    seed: int
    side: int
    pretrained: Pretrained | None
    mirror: bool

    @classmethod
    def on(cls, bench: Bench, data: Prepared, *, digits: bool) -> HashNetworks:
        """digits: mirrored ones are other digits or none."""
        pretrained = Pretrained.of(bench.order.weights, bench.runs.store)
        return cls(bench.scale, bench.seed, data.side, pretrained, not digits)

    @property
    def beyond(self) -> tuple[Variant, ...]:
        """What the paper does not have: its final network as it trains best from scratch, and at
        the scale for a GPU a network of today."""
        if self.pretrained is not None:
            return ()
        return (_FINAL_NORMALISED, _RESNET) if self.scale == "full" else (_FINAL_NORMALISED,)

    @property
    def final(self) -> Variant:
        """The paper's final network, as far as it trains well from where it starts."""
        return PAPERS[-1] if self.pretrained is not None else _FINAL_NORMALISED

    def plan(self, variant: Variant, bits: int) -> Plan | None:
        """None where the given weights do not go into this network."""
        title = f"{variant.name}, {bits} bits"
        if variant.network != "alexnet":
            options = {**variant.options, "hash_bits": bits}
            recipe = self._fast(variant)
            return Plan(title, options, "fast", recipe, variant.network, seed=self.seed)
        network = {**self._network(), **variant.options, "hash_bits": bits}
        if variant.options.get("activation") == "maxout":
            network["fc_width"] //= 2
        if self.pretrained is None:
            if variant.normalised:
                network["dropout"] = 0.0
            return Plan(title, network, "fast", self._fast(variant), seed=self.seed)
        recipe = {
            "epochs": _EPOCHS_PRETRAINED[self.scale],
            "batch_size": self._batch,
            "mirror": self.mirror,
            "learning_rate": 0.001,
            "pretrained_rate": 1.0,
        }
        fitted = self.pretrained.into(network, seed=self.seed)
        if fitted is None:
            return None
        return Plan(
            title,
            fitted.options,
            "fine-tune",
            recipe,
            weights=fitted.weights,
            seed=self.seed,
        )

    def differences(self) -> list[str]:
        told = described(self._network(), self.side)
        if self.pretrained is None:
            return [
                *told,
                "Trained from scratch, as no --weights were given; the paper starts from AlexNet "
                "trained on ImageNet, with SGD, batch 64, rate 0.001.",
                f"{_EPOCHS[self.scale]} epochs in batches of {self._batch} by recipe fast: one "
                "cycle of the rate, label smoothing, averaged weights, pictures that grow. "
                "Networks with batch normalisation have no dropout.",
                *self._blanked(),
            ]
        return [
            *told,
            f"Started from the given weights, SGD with batch {self._batch} (the paper 64) and rate "
            "0.001 as in the paper; the rate rises over the first tenth and then falls to 0. The "
            f"paper does not tell its epochs: here {_EPOCHS_PRETRAINED[self.scale]}.",
            *self.pretrained.told,
        ]

    def _blanked(self) -> list[str]:
        if not self._fast(_FINAL_NORMALISED).get("cutout"):
            return []
        return ["Networks with batch normalisation see pictures in which a square is blanked."]

    def _fast(self, variant: Variant) -> dict[str, Any]:
        """Options of recipe `fast`."""
        recipe: dict[str, Any] = {
            "epochs": _EPOCHS[self.scale],
            "batch_size": self._batch,
            "mirror": self.mirror,
        }
        if not variant.normalised:
            return {**recipe, "learning_rate": 0.02}
        if self.scale == "full":
            # In proportion to the batch (Goyal et al. 2017): 0.05 of 64 pictures. AlexNet's hidden
            # layers have no normalisation, and half of it.
            recipe["learning_rate"] = 0.1 if variant.network == "alexnet" else 0.2
            # Only in long runs does blanking a part of each picture pay, and of a digit never.
            recipe["cutout"] = 0.25 if self.mirror else 0.0
        return recipe

    @property
    def _batch(self) -> int:
        if self.scale == "smoke":
            return 16
        if self.pretrained is not None:
            return 64
        return 256 if self.scale == "full" else 128

    def _network(self) -> dict[str, Any]:
        if self.pretrained is not None:
            return {"input_size": 224, "width": 1.0, "fc_width": 4096}
        return picture_network(self.scale, self.side)


def pictures(scale: Scale, *, small: int, pretrained: bool) -> Most:
    """How many pictures the networks are trained on; small: at that scale, from scratch."""
    if pretrained and scale == "small":
        return Most(total=1_000, test=50)
    return handful(scale, small=small, train=6, test=3)
