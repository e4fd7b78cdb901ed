"""What a recipe is: a way to train a network on a run's images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kinsight.contracts.models import Preprocessing
from kinsight.networks import EmbeddingArrays
from kinsight.networks.options import Options
from trainer.training.data import TrainingData
from trainer.training.losses import Loss
from trainer.training.run import Run


class RecipeOptions(Options):
    """What every recipe can be asked for."""

    batch_size: int = Field(default=64, ge=2, le=4096, description="Images per step.")
    quantisation: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="Weight of a term that pushes a hash layer's activations to 0 and 1.",
    )
    balance: float = Field(
        default=0.3,
        ge=0,
        le=10,
        description="Weight of a term that has each bit set for half of the images; without it a "
        "small network from scratch may never begin to learn.",
    )
    checkpoint_seconds: float = Field(
        default=20, ge=0.1, le=3600, description="Time between checkpoints."
    )

    def loss(self, run: Run) -> Loss:
        hash_layer = run.network.code_kind == "hash-layer"
        return Loss(self.quantisation, self.balance, hash_layer, batch_mean=run.device.group.mean)


@dataclass(frozen=True)
class Trained:
    """earlier_seconds: training time of attempts before this one. embed: outputs of the trained
    network for images of the run, by index; the second argument is told how many more are done.
    """

    iterations: int
    epochs: int
    earlier_seconds: float
    embed: Callable[[NDArray[np.int64], Callable[[int], None]], EmbeddingArrays]


class Recipe(Protocol):
    @property
    def options(self) -> type[RecipeOptions]: ...

    def network_options(
        self, network: str, given: Mapping[str, Any], *, from_scratch: bool
    ) -> Mapping[str, Any]:
        """The network's options: those given, and those the recipe chooses where they are open."""
        return given

    def preprocessing(
        self,
        card: Preprocessing,
        data: TrainingData,
        options: RecipeOptions,
        *,
        from_scratch: bool,
    ) -> Preprocessing:
        """The network's preprocessing, with another mean and deviation where the recipe takes
        them from the training set. Canvases are read already and stay as they are.
        """
        return card

    def train(self, run: Run, options: RecipeOptions) -> Trained:
        """Trains the run's network in place, and leaves it in evaluation mode."""
        ...
