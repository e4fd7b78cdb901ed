"""AlexNet as its paper trains it, at each scale; what its tables and figures have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.reproduce.base import DataWanted, Scale
from trainer.reproduce.bench import Bench
from trainer.reproduce.prepared import Prepared
from trainer.reproduce.report import Measure
from trainer.reproduce.runs import Plan
from trainer.reproduce.scales import described, picture_network

IMAGENET = DataWanted("ImageNet, or any labelled pictures", ("imagenet", "ilsvrc"))
ERRORS = (Measure("top1", "top-1 error", "%"), Measure("top5", "top-5 error", "%"))

_EPOCHS: dict[Scale, int] = {"smoke": 2, "small": 20, "full": 90}
_BATCH: dict[Scale, int] = {"smoke": 16, "small": 64, "full": 128}


def plan(
    bench: Bench,
    data: Prepared,
    name: str,
    *,
    network: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    weights: str = "none",
    member: int = 0,
    epochs: float = 1.0,
) -> Plan:
    """network, recipe: options beside the scale's. member: of an ensemble, with a seed of its own.
    epochs: factor on the scale's.
    """
    options = {**picture_network(bench.scale, data.side), "hash_bits": 0, **(network or {})}
    return Plan(
        name,
        options,
        "fine-tune",
        {
            "epochs": max(1, round(_EPOCHS[bench.scale] * epochs)),
            "batch_size": _BATCH[bench.scale],
            **(recipe or {}),
        },
        weights=weights,
        seed=bench.seed + member,
    )


def differences(bench: Bench, data: Prepared) -> list[str]:
    """From the paper's ImageNet, network and training."""
    return [
        f"The data are {data.name}, {len(data.classes)} classes with {data.train:,} training and "
        f"{data.test:,} test pictures; the paper's ILSVRC sets have 1,000 classes with 1.2 million "
        "and 50,000 or 150,000.",
        *described(picture_network(bench.scale, data.side), data.side),
        f"{_EPOCHS[bench.scale]} epochs in batches of {_BATCH[bench.scale]}; the paper trains for "
        "about 90 in batches of 128.",
        "A tenth of the training pictures is held out for validation and not trained on; errors "
        "are of the test pictures.",
    ]
