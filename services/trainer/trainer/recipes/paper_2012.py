"""Recipe `paper-2012`: as AlexNet was trained (Krizhevsky et al. 2012, §2, §4.1 and §5).

Only what the paper did by hand or left open is decided here:

- "Stopped improving" is `patience` epochs without a lower validation error; see `Plateau`.
- The network sees pixels in 0…255 less their mean over the training set, per channel, as N(0, 0.01)
  weights are meant for that scale. Given weights decide the scale they were trained with, which no
  file tells; option `centring` names it.
- A network that has an option `initialisation` is made with `paper` where the request leaves that
  option open; another network keeps its own.
- Where the canvas leaves no room for crops (small scans), squares reach over its edge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from kinsight import networks
from kinsight.contracts.models import Preprocessing
from trainer.recipes.base import Recipe, RecipeOptions, Trained
from trainer.recipes.whole_network import WholeNetworkOptions, on_device, trained, validation
from trainer.training.batches import Augmentation, PictureBatches, usual_padding
from trainer.training.colours import colours_of
from trainer.training.data import TrainingData
from trainer.training.loop import Task, train
from trainer.training.plateau import Plateau
from trainer.training.run import Run
from trainer.training.sgd_2012 import SGD2012


class Paper2012Options(WholeNetworkOptions):
    """Defaults are the paper's."""

    batch_size: int = Field(default=128, ge=2, le=4096, description="Images per step.")
    epochs: int = Field(default=90, ge=1, le=10_000, description="Passes over the images at most.")
    learning_rate: float = Field(default=0.01, gt=0, le=10, description="The rate at the start.")
    patience: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="Epochs without a lower validation error after which the rate is divided by "
        "ten: three times, and then the run ends.",
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Of SGD.")
    weight_decay: float = Field(default=5e-4, ge=0, le=1, description="On all parameters.")
    crops: bool = Field(default=True, description="Train on random squares, not the centre.")
    mirror: bool = Field(default=True, description="Mirror half of the images.")
    colour_noise: bool = Field(
        default=True,
        description="Shift each image's colour along the principal components of the training "
        "set's, anew in every epoch.",
    )
    centring: Literal["auto", "training-mean", "network"] = Field(
        default="auto",
        description="training-mean: pixels in 0…255 less the training set's mean; network: the "
        "network's own mean and deviation; auto: the first from scratch, the second with given "
        "weights.",
    )


class Paper2012Recipe(Recipe):
    options = Paper2012Options

    def network_options(
        self, network: str, given: Mapping[str, Any], *, from_scratch: bool
    ) -> Mapping[str, Any]:
        if "initialisation" in networks.option_descriptions(network):
            return {"initialisation": "paper", **given}
        return given

    def preprocessing(
        self,
        card: Preprocessing,
        data: TrainingData,
        options: RecipeOptions,
        *,
        from_scratch: bool,
    ) -> Preprocessing:
        assert isinstance(options, Paper2012Options)
        if options.centring == "network" or (options.centring == "auto" and not from_scratch):
            return card
        red, green, blue = colours_of(data.pixels, data.split.training).mean
        mean = (float(red), float(green), float(blue))
        return card.model_copy(update={"mean": mean, "std": (1 / 255, 1 / 255, 1 / 255)})

    def train(self, run: Run, options: RecipeOptions) -> Trained:
        assert isinstance(options, Paper2012Options)
        network, training = on_device(run), run.data.split.training
        augmentation = Augmentation(
            crops=options.crops,
            padding=usual_padding(side=run.pictures.side, canvas=run.pictures.canvas),
            mirror=options.mirror,
            colours=colours_of(run.data.pixels, training) if options.colour_noise else None,
        )
        task = Task(
            module=network,
            inputs=PictureBatches(run.pictures, training, augmentation, seed=run.seed),
            labels=run.data.labels[training],
            loss=options.loss(run),
            optimiser=SGD2012(
                network.parameters(),
                lr=options.learning_rate,
                momentum=options.momentum,
                weight_decay=options.weight_decay,
            ),
            schedule=Plateau(patience=options.patience),
            epochs=options.epochs,
            batch_size=options.batch_size,
            clip_norm=None,
            validate=validation(run),
            key=run.key(),
            seed=run.seed,
            compiled=options.compiled(network, run.device),
        )
        return trained(run, train(task, run.device, run.checkpoints, run.reporter))
