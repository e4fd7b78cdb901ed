"""Recipe `head`: the backbone stays as it is; hash layer and classifier are trained on its feature.

Features are computed once and kept, so the training itself takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from kinsight.networks import EmbeddingArrays, HeadedNetwork
from trainer.recipes.base import Recipe, RecipeOptions, Trained
from trainer.training.draws import Draws
from trainer.training.embedding import accuracy, cached_features, embed
from trainer.training.inputs import Moment
from trainer.training.loop import Task, train
from trainer.training.run import Run
from trainer.training.schedule import warmup_cosine

_LEAST_DEVIATION = 1e-6


class HeadOptions(RecipeOptions):
    # Measured on photographs: more passes or less decay fit the training images alone.
    epochs: int = Field(default=20, ge=1, le=10_000, description="Passes over the features.")
    learning_rate: float = Field(default=3e-3, gt=0, le=10, description="Highest rate (AdamW).")
    weight_decay: float = Field(default=0.5, ge=0, le=10, description="Of AdamW, decoupled.")
    mirror: bool = Field(
        default=False,
        description="Also compute the features of the mirror images and train on either by "
        "chance: twice the time.",
    )


class HeadRecipe(Recipe):
    options = HeadOptions

    def train(self, run: Run, options: RecipeOptions) -> Trained:
        assert isinstance(options, HeadOptions)
        network = run.network.to(run.device.torch)
        assert isinstance(network, HeadedNetwork)
        plain = _features(run, mirrored=False)
        either = [plain, _features(run, mirrored=True)] if options.mirror else [plain]
        scaling = _Scaling(plain, run.data.split.training)
        scaled = _ScaledFeatures(
            either, run.data.split.training, scaling, run.device.torch, seed=run.seed
        )
        head = network.head
        task = Task(
            module=head,
            inputs=scaled,
            labels=run.data.labels[run.data.split.training],
            loss=options.loss(run),
            optimiser=_optimiser(head, options),
            schedule=warmup_cosine(0.1),
            epochs=options.epochs,
            batch_size=options.batch_size,
            clip_norm=None,
            validate=lambda: accuracy(
                head, scaled.of, run.data.split.validation, run.data.labels, run.device.group
            ),
            key=run.key(),
            seed=run.seed,
        )
        first = head.classifier if head.hash is None else head.hash.linear
        if any(name.startswith("head.") for name in run.pretrained):
            scaling.unfold_from(first)
        try:
            finished = train(task, run.device, run.checkpoints, run.reporter)
        finally:
            # Also what a diverged run goes back to is a network for plain features.
            scaling.fold_into(first)
        network.eval()

        def embed_images(
            indices: NDArray[np.int64], advance: Callable[[int], None]
        ) -> EmbeddingArrays:
            return embed(head, scaled.unscaled, indices, advance)

        return Trained(finished.iterations, finished.epochs, finished.earlier_seconds, embed_images)


def _features(run: Run, *, mirrored: bool) -> NDArray[np.float32]:
    """(N, d) at the indices of the split."""
    kind = "mirrored" if mirrored else "features"
    file = run.scratch / f"{kind}-{run.features_key()}"
    indices = np.sort(np.concatenate(run.data.split))
    return cached_features(
        run.network,
        run.pictures,
        indices,
        file,
        run.reporter,
        mirrored=mirrored,
        group=run.device.group,
    )


def _optimiser(head: nn.Module, options: HeadOptions) -> torch.optim.Optimizer:
    optimiser = torch.optim.AdamW(
        head.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
    )
    for group in optimiser.param_groups:
        group["initial_lr"] = options.learning_rate
    return optimiser


class _Scaling:
    """Each dimension of the feature to mean 0 and deviation 1 while training.

    Backbones differ in the scale of their features; one learning rate then fits all.
    """

    def __init__(self, features: NDArray[np.float32], training: NDArray[np.int64]) -> None:
        rows = torch.from_numpy(np.ascontiguousarray(features[training]))
        self.mean = rows.mean(dim=0)
        deviation = rows.std(dim=0)
        # A dimension that never moves in training tells nothing, and must not shout in a search.
        self.deviation = torch.where(deviation < _LEAST_DEVIATION, 1.0, deviation)

    @torch.no_grad()
    def unfold_from(self, linear: nn.Linear) -> None:
        """The other way round: a layer trained before reads scaled features."""
        linear.bias.add_(linear.weight @ self.mean.to(linear.weight.device))
        linear.weight.mul_(self.deviation.to(linear.weight.device))

    @torch.no_grad()
    def fold_into(self, linear: nn.Linear) -> None:
        """Makes the layer read unscaled features: W(f − μ)/σ + b = (W/σ) f + (b − (W/σ) μ)."""
        linear.weight.div_(self.deviation.to(linear.weight.device))
        linear.bias.sub_(linear.weight @ self.mean.to(linear.weight.device))


class _ScaledFeatures:
    """Batches of scaled features; of `either` one, by chance, where there are two."""

    def __init__(
        self,
        either: list[NDArray[np.float32]],
        training: NDArray[np.int64],
        scaling: _Scaling,
        device: torch.device,
        *,
        seed: int,
    ) -> None:
        self._either, self._training, self._device = either, training, device
        self._draws = Draws(seed, len(training))
        self._mean, self._deviation = scaling.mean.to(device), scaling.deviation.to(device)

    def prepare(self, positions: NDArray[np.int64], moment: Moment) -> NDArray[np.float32]:
        indices = self._training[positions]
        chosen = self._either[0][indices]
        if len(self._either) > 1:
            second = self._draws.of(moment.epoch, positions).mirrored
            chosen[second] = self._either[1][indices[second]]
        return chosen

    def to_device(self, prepared: NDArray[np.float32]) -> Tensor:
        return (torch.from_numpy(prepared).to(self._device) - self._mean) / self._deviation

    def of(self, indices: NDArray[np.int64]) -> Tensor:
        """(B, d), scaled."""
        return self.to_device(self._either[0][indices])

    def unscaled(self, indices: NDArray[np.int64]) -> Tensor:
        """(B, d), as the network yields them."""
        return torch.from_numpy(self._either[0][indices]).to(self._device)
