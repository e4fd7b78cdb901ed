"""AlexNet as its paper trains it, at each scale; what its tables and figures have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.reproduce.base import DataWanted, Scale
from trainer.reproduce.bench import Bench
from trainer.reproduce.drawing import Most
from trainer.reproduce.prepared import Prepared
from trainer.reproduce.report import Measure
from trainer.reproduce.runs import Plan
from trainer.reproduce.scales import described, handful, picture_network

IMAGENET = DataWanted("ImageNet, or any labelled pictures", ("imagenet", "ilsvrc"))
ERRORS = (Measure("top1", "top-1 error", "%"), Measure("top5", "top-5 error", "%"))

# Small networks on few pictures stall from the paper's initial values; see `paper-2012`.
_TAMED = {"centring": "network"}
_RECIPES: dict[Scale, dict[str, Any]] = {
    "smoke": {"epochs": 2, "batch_size": 16, **_TAMED},
    "small": {"epochs": 16, "batch_size": 32, "patience": 4, **_TAMED},
    "full": {"epochs": 90, "batch_size": 128},
}


def pictures(scale: Scale) -> Most:
    """How many pictures of each class are trained and measured on."""
    return handful(scale, small=5_000)


def plan(
    bench: Bench,
    data: Prepared,
    name: str,
    *,
    network: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    weights: str = "none",
    member: int = 0,
) -> Plan:
    """network, recipe: options beside the scale's. member: of an ensemble, with its own seed."""
    return Plan(
        name,
        _network(bench, data, network or {}),
        "paper-2012",
        {**_RECIPES[bench.scale], **(recipe or {})},
        weights=weights,
        seed=bench.seed + member,
    )


def epochs(scale: Scale) -> int:
    return int(_RECIPES[scale]["epochs"])


def differences(
    bench: Bench, data: Prepared, network: Mapping[str, Any] | None = None
) -> list[str]:
    """From the paper's ImageNet, network and training; network: as for `plan`."""
    recipe = _RECIPES[bench.scale]
    told = [
        f"The data are {data.title}, {len(data.classes)} classes with {data.train:,} training and "
        f"{data.test:,} test pictures; the paper's ILSVRC sets have 1,000 classes with 1.2 million "
        "and 50,000 or 150,000.",
        *described(_network(bench, data, network or {}), data.side),
    ]
    if bench.scale != "full":
        told.append(
            f"{recipe['epochs']} epochs in batches of {recipe['batch_size']}, the paper about 90 "
            "in batches of 128; initial values by He et al. 2015 and ImageNet's mean and deviation "
            "in place of N(0, 0.01) and the training mean, as small networks stall on those."
        )
    return [
        *told,
        "The learning rate falls by the rule of recipe paper-2012, where the paper's authors did "
        "it by hand.",
        "A tenth of the training pictures is held out for validation and not trained on; errors "
        "are of the test pictures.",
    ]


def _network(bench: Bench, data: Prepared, own: Mapping[str, Any]) -> dict[str, Any]:
    initial = {} if bench.scale == "full" else {"initialisation": "he"}
    return {**picture_network(bench.scale, data.side), "hash_bits": 0, **initial, **own}
