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

FINAL = "AlexNet + maxout + max-average pooling"
VARIANTS: dict[str, Mapping[str, Any]] = {
    "AlexNet, fine-tuned": {},
    "AlexNet + maxout": {"activation": "maxout"},
    "AlexNet + maxout + batch normalisation": {"activation": "maxout", "norm": "batch"},
    FINAL: {"activation": "maxout", "pooling": "max-average"},
}
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

    def plan(self, name: str, variant: Mapping[str, Any], bits: int) -> Plan | None:
        """None where the given weights do not go into this network."""
        network = {**self._network(), **variant, "hash_bits": bits}
        if variant.get("activation") == "maxout":
            network["fc_width"] //= 2
        title = f"{name}, {bits} bits"
        if self.pretrained is None:
            recipe: dict[str, Any] = {
                "epochs": _EPOCHS[self.scale],
                "batch_size": self._batch,
                "mirror": self.mirror,
            }
            return Plan(title, network, "fast", recipe, seed=self.seed)
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
                "cycle of the rate, label smoothing, averaged weights, pictures that grow.",
            ]
        return [
            *told,
            f"Started from the given weights, SGD with batch {self._batch} (the paper 64) and rate "
            "0.001 as in the paper; the rate rises over the first tenth and then falls to 0. The "
            f"paper does not tell its epochs: here {_EPOCHS_PRETRAINED[self.scale]}.",
            *self.pretrained.told,
        ]

    @property
    def _batch(self) -> int:
        return 16 if self.scale == "smoke" else 64 if self.pretrained else 128

    def _network(self) -> dict[str, Any]:
        if self.pretrained is not None:
            return {"input_size": 224, "width": 1.0, "fc_width": 4096}
        return picture_network(self.scale, self.side)


def pictures(scale: Scale, *, small: int, pretrained: bool) -> Most:
    """How many pictures the networks are trained on; small: at that scale, from scratch."""
    if pretrained and scale == "small":
        return Most(total=1_000, test=50)
    return handful(scale, small=small, train=6, test=3)
