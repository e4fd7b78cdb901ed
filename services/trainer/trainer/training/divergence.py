"""What becomes of a run whose loss is no number any more: its last good weights, and advice."""

from __future__ import annotations

import logging

import torch
from torch import nn

from kinsight.errors import KinsightError, TrainingDiverged
from kinsight.networks import RetrievalNetwork
from kinsight.networks.model_folder import weights_bytes
from trainer.training.checkpoint import Checkpoint
from trainer.training.store_access import StoreAccess

_SLOWER = 5
_log = logging.getLogger(__name__)


def is_finite(module: nn.Module) -> bool:
    """Whether every parameter and buffer of the module is a number; waits for the device once."""
    tensors = [t for t in module.state_dict().values() if t.is_floating_point()]
    if not tensors:
        return True
    return bool(torch.stack([torch.isfinite(tensor).all() for tensor in tensors]).all())


def diverged(
    what: str,
    iteration: int,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    checkpoint: Checkpoint | None,
) -> TrainingDiverged:
    """The error to raise; takes the module back to the checkpoint, where there is one.

    `iteration` among the error's extensions is then the checkpoint's, else 0.
    """
    rate = max(group["initial_lr"] for group in optimiser.param_groups)
    if checkpoint is not None:
        module.load_state_dict(checkpoint.model)
    return TrainingDiverged(
        f"{what} at iteration {iteration}; try learning_rate {rate / _SLOWER:.2g} "
        f"(a fifth of {rate:.2g})",
        iteration=checkpoint.iteration if checkpoint is not None else 0,
    )


def with_kept_weights(
    error: TrainingDiverged, network: RetrievalNetwork, store: StoreAccess
) -> TrainingDiverged:
    """The same error, naming the weights to go on from, which are in the store from now on.

    network: taken back to its last checkpoint. Its weights can then be trained on by any request
    for the same network, as uploaded ones can.
    """
    iteration = error.extensions["iteration"]
    if not iteration:
        return TrainingDiverged(f"{error.detail}. It had no checkpoint yet to go back to.")
    try:
        name = store.add_weights(weights_bytes(network))
    except (OSError, KinsightError) as failure:
        _log.warning("The weights of iteration %d could not be kept: %s", iteration, failure)
        return TrainingDiverged(f"{error.detail}. Its last weights could not be kept: {failure}")
    return TrainingDiverged(
        f"{error.detail}; the weights of iteration {iteration} are kept: train with weights "
        f"{name} to go on from them.",
        weights=name,
        iteration=iteration,
    )
