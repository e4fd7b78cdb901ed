"""Recipe `fine-tune`: the whole network by SGD with momentum (hash paper §3; AlexNet §5).

From given weights their layers move at a tenth of the new layers' rate; from scratch all layers
move at one rate that rises first and then falls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from kinsight.networks import EmbeddingArrays
from trainer.recipes.base import RecipeOptions, Trained
from trainer.training.augment import random_crops
from trainer.training.embedding import accuracy, embed
from trainer.training.loop import Task, train
from trainer.training.run import Run
from trainer.training.schedule import warmup_cosine

_RATE_PRETRAINED = 0.01
_RATE_FROM_SCRATCH = 0.02
# Validation inside the run is to show where it goes; the card's figure takes all images.
_VALIDATION_IMAGES = 2_000


class FineTuneOptions(RecipeOptions):
    epochs: int = Field(default=10, ge=1, le=10_000, description="Passes over the images.")
    learning_rate: float | None = Field(
        default=None,
        gt=0,
        le=10,
        description="Highest rate of new layers; null: 0.01 with given weights, 0.02 from scratch.",
    )
    pretrained_rate: float = Field(
        default=0.1, ge=0, le=1, description="Factor on the rate for layers with given weights."
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Of SGD.")
    weight_decay: float = Field(default=5e-4, ge=0, le=1, description="On weights, not biases.")
    warmup: float = Field(
        default=0.1, ge=0, lt=1, description="Part of the run over which the rate rises."
    )
    clip_norm: float | None = Field(
        default=5.0, gt=0, description="Largest norm of a step's gradient; null: no limit."
    )
    mirror: bool = Field(default=True, description="Mirror half of the images.")
    crop_padding: int | None = Field(
        default=None,
        ge=0,
        le=64,
        description="Pixels a random crop may reach over the canvas's edge; null: an eighth of "
        "the input where the canvas is no larger than it, else 0.",
    )


class FineTuneRecipe:
    options = FineTuneOptions

    def train(self, run: Run, options: RecipeOptions) -> Trained:
        assert isinstance(options, FineTuneOptions)
        network = run.network.to(run.device.torch, memory_format=torch.channels_last)  # type: ignore[call-overload]
        watched = run.data.split.validation[
            :: -(-len(run.data.split.validation) // _VALIDATION_IMAGES)
        ]
        task = Task(
            module=network,
            inputs=_RandomCrops(run, options),
            labels=run.data.labels[run.data.split.training],
            loss=options.loss(run),
            optimiser=_optimiser(network, run.pretrained, options),
            schedule=warmup_cosine(options.warmup),
            epochs=options.epochs,
            batch_size=options.batch_size,
            clip_norm=options.clip_norm,
            validate=lambda: accuracy(network, run.pictures.__getitem__, watched, run.data.labels),
            key=run.key(),
            seed=run.seed,
        )
        finished = train(task, run.device, run.checkpoints, run.reporter)
        network.eval()

        def embed_images(
            indices: NDArray[np.int64], advance: Callable[[int], None]
        ) -> EmbeddingArrays:
            return embed(network, run.pictures.__getitem__, indices, advance)

        return Trained(finished.iterations, options.epochs, finished.earlier_seconds, embed_images)


class _RandomCrops:
    def __init__(self, run: Run, options: FineTuneOptions) -> None:
        self._pictures = run.pictures
        self._training = run.data.split.training
        self._mirror = options.mirror
        side, canvas = run.preprocessing.input_size, run.data.pixels.shape[1]
        usual = side // 8 if canvas == side else 0
        self._padding = usual if options.crop_padding is None else options.crop_padding

    def prepare(self, positions: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.uint8]:
        return random_crops(
            self._pictures.pixels,
            self._training[positions],
            self._pictures.side,
            padding=self._padding,
            mirror=self._mirror,
            rng=rng,
        )

    def to_device(self, batch: NDArray[Any]) -> Tensor:
        return self._pictures.normalise(batch)


def _optimiser(
    network: nn.Module, pretrained: frozenset[str], options: FineTuneOptions
) -> torch.optim.Optimizer:
    rate = options.learning_rate or (_RATE_PRETRAINED if pretrained else _RATE_FROM_SCRATCH)
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        # Biases and the scales of normalisation layers are vectors; decay would only shift them.
        groups.setdefault((name in pretrained, parameter.ndim > 1), []).append(parameter)
    return torch.optim.SGD(_groups(groups.items(), rate, options), momentum=options.momentum)


def _groups(
    groups: Iterable[tuple[tuple[bool, bool], list[nn.Parameter]]],
    rate: float,
    options: FineTuneOptions,
) -> list[dict[str, Any]]:
    described = []
    for (is_pretrained, decays), parameters in groups:
        own = rate * (options.pretrained_rate if is_pretrained else 1.0)
        decay = options.weight_decay if decays else 0.0
        described.append(
            {"params": parameters, "lr": own, "initial_lr": own, "weight_decay": decay}
        )
    return described
