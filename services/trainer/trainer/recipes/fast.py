"""Recipe `fast`: today's practice for training in little time.

SGD with Nesterov's step under one cycle of the rate, mixed precision (on processors too that
multiply in bfloat16), label smoothing, an average of the weights, and smaller pictures at first
where the network takes them. AdamW is there to be chosen; on CIFAR-10 AlexNet at its full width
never got over 54 % of the pictures right with it, where SGD passed 85 % in the same epochs.

From scratch, a network that has the options `norm` and `response_norm` is made with batch
normalisation instead of response normalisation, and without dropout, where the request leaves
both open.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from kinsight import networks
from kinsight.networks.precision import mixed_precision
from trainer.recipes.base import Recipe, RecipeOptions, Trained
from trainer.recipes.whole_network import CroppedOptions, on_device, trained, validation
from trainer.training.average import WeightAverage
from trainer.training.batches import Augmentation, PictureBatches
from trainer.training.first_layer import first_layer_in_full_precision
from trainer.training.loop import Task, train
from trainer.training.parameter_groups import parameter_groups
from trainer.training.progressive import growing_sizes
from trainer.training.run import Run
from trainer.training.schedule import one_cycle

# AlexNet's options that a request may leave to this recipe, and what goes with them.
_NORMALISED = {"norm": "batch", "response_norm": False}
_WITHOUT_NOISE = {"dropout": 0.0}
# Of squared gradients: as short a memory as runs of few steps need.
_BETAS = (0.9, 0.99)
_MOMENTUM = 0.9
_DEPENDING: dict[str, dict[str, float]] = {
    "sgd": {"learning_rate": 0.05, "weight_decay": 5e-4},
    "adamw": {"learning_rate": 1e-3, "weight_decay": 0.05},
}
# Steps between updates of the average: each reads all weights.
_AVERAGED_EVERY = 4


class FastOptions(CroppedOptions):
    epochs: int = Field(default=10, ge=1, le=10_000, description="Passes over the images.")
    optimiser: Literal["sgd", "adamw"] = Field(
        default="sgd", description="sgd: with Nesterov's momentum of 0.9; adamw: AdamW."
    )
    learning_rate: float | None = Field(
        default=None,
        gt=0,
        le=10,
        description="Highest rate of new layers; null: 0.05 by sgd, 0.001 by adamw.",
    )
    pretrained_rate: float = Field(
        default=0.1, ge=0, le=1, description="Factor on the rate for layers with given weights."
    )
    weight_decay: float | None = Field(
        default=None,
        ge=0,
        le=10,
        description="On weights, not biases; null: 0.0005 by sgd, 0.05 (decoupled) by adamw.",
    )
    warmup: float = Field(
        default=0.2, ge=0, lt=1, description="Part of the run over which the rate rises."
    )
    clip_norm: float | None = Field(
        default=5.0, gt=0, description="Largest norm of a step's gradient; null: no limit."
    )
    label_smoothing: float = Field(
        default=0.1, ge=0, lt=1, description="Part of each label that is spread over all classes."
    )
    cutout: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Side of a square that is blanked in each picture, as a part of the input's.",
    )
    average_decay: float = Field(
        default=0.99,
        ge=0,
        lt=1,
        description="Of the moving average of the weights, a step; 0: the last weights.",
    )
    smallest_input: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Side of the first inputs, as a part of the network's; they grow to all of it. "
        "1, or a network that takes one size only: no growth.",
    )
    precision: Literal["mixed", "full"] = Field(
        default="mixed",
        description="mixed: multiply in bfloat16 where the device is faster in it; full: float32.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in_what_depends(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Defaults that follow from the optimiser, so that the card says what was used."""
        depending = _DEPENDING.get(str(given.get("optimiser", "sgd")), {})
        unset = {name: value for name, value in depending.items() if given.get(name) is None}
        return {**given, **unset}


class FastRecipe(Recipe):
    options = FastOptions

    def network_options(
        self, network: str, given: Mapping[str, Any], *, from_scratch: bool
    ) -> Mapping[str, Any]:
        known = networks.option_descriptions(network).keys()
        if from_scratch and known >= _NORMALISED.keys() and not given.keys() & _NORMALISED.keys():
            return {**_WITHOUT_NOISE, **given, **_NORMALISED}
        return given

    def train(self, run: Run, options: RecipeOptions) -> Trained:
        assert isinstance(options, FastOptions)
        network = on_device(run)
        augmentation = Augmentation(
            padding=options.padding(run),
            mirror=options.mirror,
            cutout=round(options.cutout * run.pictures.side),
            sizes=growing_sizes(network, run.pictures.side, options.smallest_input),
        )
        training = run.data.split.training
        average = WeightAverage(network, decay=options.average_decay, every=_AVERAGED_EVERY)
        task = Task(
            module=network,
            inputs=PictureBatches(run.pictures, training, augmentation, seed=run.seed),
            labels=run.data.labels[training],
            loss=dataclasses.replace(options.loss(run), label_smoothing=options.label_smoothing),
            optimiser=_optimiser(network, run.pretrained, options),
            schedule=one_cycle(options.warmup),
            epochs=options.epochs,
            batch_size=options.batch_size,
            clip_norm=options.clip_norm,
            validate=validation(run),
            key=run.key(),
            seed=run.seed,
            compiled=options.compiled(network, run.device),
            average=average if options.average_decay else None,
            precision=_precision(run, options),
        )
        with _first_layer(run):
            return trained(run, train(task, run.device, run.checkpoints, run.reporter))


def _precision(run: Run, options: FastOptions) -> Callable[[], AbstractContextManager[None]]:
    if options.precision == "full":
        return nullcontext
    return lambda: mixed_precision(run.device.torch, on_processors=True)


def _first_layer(run: Run) -> AbstractContextManager[None]:
    if run.device.torch.type == "cpu":
        return first_layer_in_full_precision(run.network)
    return nullcontext()


def _optimiser(
    network: nn.Module, pretrained: frozenset[str], options: FastOptions
) -> torch.optim.Optimizer:
    assert options.learning_rate is not None
    assert options.weight_decay is not None
    groups = parameter_groups(
        network,
        pretrained,
        rate=options.learning_rate,
        pretrained_rate=options.pretrained_rate,
        weight_decay=options.weight_decay,
    )
    if options.optimiser == "adamw":
        return torch.optim.AdamW(groups, betas=_BETAS, fused=True)
    return torch.optim.SGD(groups, momentum=_MOMENTUM, nesterov=True, fused=True)
