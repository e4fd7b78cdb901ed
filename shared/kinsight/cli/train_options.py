"""`--option key=value`: to the recipe where a recipe has such an option, else to the network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import typer

# The command line may not load the recipes (they need torch); a test holds this to theirs.
RECIPE_OPTIONS = frozenset(
    {
        "average_decay",
        "balance",
        "batch_size",
        "centring",
        "checkpoint_seconds",
        "clip_norm",
        "colour_noise",
        "compile",
        "crop_padding",
        "crops",
        "cutout",
        "epochs",
        "label_smoothing",
        "learning_rate",
        "mirror",
        "momentum",
        "optimiser",
        "patience",
        "precision",
        "pretrained_rate",
        "quantisation",
        "smallest_input",
        "warmup",
        "weight_decay",
    }
)


@dataclass(frozen=True)
class TrainOptions:
    network: dict[str, Any]
    recipe: dict[str, Any]


def read_options(
    either: Sequence[str], network: Sequence[str], recipe: Sequence[str]
) -> TrainOptions:
    """Raises typer.BadParameter for a text without `=`."""
    pairs = [_pair(text) for text in either]
    return TrainOptions(
        network={key: value for key, value in pairs if key not in RECIPE_OPTIONS}
        | dict(map(_pair, network)),
        recipe={key: value for key, value in pairs if key in RECIPE_OPTIONS}
        | dict(map(_pair, recipe)),
    )


def _pair(text: str) -> tuple[str, Any]:
    """A value that is JSON is taken as such (32, 0.1, true, null, [1, 2]), else as text."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise typer.BadParameter(f"{text!r} is not KEY=VALUE.")
    try:
        return key.strip(), json.loads(value)
    except ValueError:
        return key.strip(), value
