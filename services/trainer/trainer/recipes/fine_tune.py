"""Recipe `fine-tune`: the whole network by SGD with momentum (hash paper §3; AlexNet §5).

From given weights their layers move at a tenth of the new layers' rate; from scratch all layers
move at one rate that rises first and then falls.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from trainer.recipes.base import Recipe, RecipeOptions, Trained
from trainer.recipes.whole_network import CroppedOptions, on_device, trained, validation
from trainer.training.batches import Augmentation, PictureBatches
from trainer.training.loop import Task, train
from trainer.training.parameter_groups import parameter_groups
from trainer.training.run import Run
from trainer.training.schedule import warmup_cosine

_RATE_PRETRAINED = 0.01
_RATE_FROM_SCRATCH = 0.02


class FineTuneOptions(CroppedOptions):
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


class FineTuneRecipe(Recipe):
    options = FineTuneOptions

    def train(self, run: Run, options: RecipeOptions) -> Trained:
        assert isinstance(options, FineTuneOptions)
        network = on_device(run)
        augmentation = Augmentation(padding=options.padding(run), mirror=options.mirror)
        training = run.data.split.training
        task = Task(
            module=network,
            inputs=PictureBatches(run.pictures, training, augmentation, seed=run.seed),
            labels=run.data.labels[training],
            loss=options.loss(run),
            optimiser=_optimiser(network, run.pretrained, options),
            schedule=warmup_cosine(options.warmup),
            epochs=options.epochs,
            batch_size=options.batch_size,
            clip_norm=options.clip_norm,
            validate=validation(run),
            key=run.key(),
            compiled=options.compiled(network, run.device),
            seed=run.seed,
        )
        return trained(run, train(task, run.device, run.checkpoints, run.reporter))


def _optimiser(
    network: nn.Module, pretrained: frozenset[str], options: FineTuneOptions
) -> torch.optim.Optimizer:
    groups = parameter_groups(
        network,
        pretrained,
        rate=options.learning_rate or (_RATE_PRETRAINED if pretrained else _RATE_FROM_SCRATCH),
        pretrained_rate=options.pretrained_rate,
        weight_decay=options.weight_decay,
    )
    return torch.optim.SGD(groups, momentum=options.momentum, fused=True)
