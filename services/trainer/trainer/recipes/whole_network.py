"""What recipes have in common that train a whole network on pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from kinsight.networks import EmbeddingArrays, Outputs, RetrievalNetwork
from trainer.recipes.base import RecipeOptions, Trained
from trainer.training.batches import usual_padding
from trainer.training.devices import Device
from trainer.training.embedding import accuracy, embed
from trainer.training.loop import Finished
from trainer.training.run import Run

# Validation inside the run is to show where it goes; the card's figure takes all images.
_VALIDATION_IMAGES = 2_000


class WholeNetworkOptions(RecipeOptions):
    compile: bool = Field(
        default=False,
        description="Compile the network on a CUDA device before it is trained (torch.compile): "
        "about a minute, and shorter steps from then on. Elsewhere nothing.",
    )

    def compiled(
        self, network: RetrievalNetwork, device: Device
    ) -> Callable[[Tensor], Outputs] | None:
        """Shares its weights with the network; None where it is trained as it is."""
        if not self.compile or device.torch.type != "cuda":
            return None
        compiled: Callable[[Tensor], Outputs] = torch.compile(network)
        return compiled


class CroppedOptions(WholeNetworkOptions):
    """Of recipes that mirror, and crop where the canvas leaves room or reach over its edge."""

    mirror: bool = Field(default=True, description="Mirror half of the images.")
    crop_padding: int | None = Field(
        default=None,
        ge=0,
        le=64,
        description="Pixels a random crop may reach over the canvas's edge; null: an eighth of "
        "the input where the canvas is no larger than it, else 0.",
    )

    def padding(self, run: Run) -> int:
        """Pixels that a crop may reach over the canvas's edge."""
        if self.crop_padding is not None:
            return self.crop_padding
        return usual_padding(side=run.pictures.side, canvas=run.pictures.canvas)


def on_device(run: Run) -> RetrievalNetwork:
    """The run's network, channels last: so lie the pictures, and so convolutions are fastest."""
    network: RetrievalNetwork = run.network.to(  # type: ignore[call-overload]
        run.device.torch, memory_format=torch.channels_last
    )
    return network


def validation(run: Run) -> Callable[[], float]:
    """Measures the accuracy on up to 2,000 of the held-out images, always the same."""
    held = run.data.split.validation
    watched = held[:: -(-len(held) // _VALIDATION_IMAGES)]
    pictures, labels, group = run.pictures.__getitem__, run.data.labels, run.device.group
    return lambda: accuracy(run.network, pictures, watched, labels, group)


def trained(run: Run, finished: Finished) -> Trained:
    run.network.eval()

    def embed_images(indices: NDArray[np.int64], advance: Callable[[int], None]) -> EmbeddingArrays:
        return embed(run.network, run.pictures.__getitem__, indices, advance)

    return Trained(finished.iterations, finished.epochs, finished.earlier_seconds, embed_images)
