"""Checkpoints: what a training run needs to go on after it was killed.

A checkpoint is a torch file of tensors and plain values only, so that it loads with
`weights_only`. The store writes it to a temporary file, syncs it and renames it: a kill at any
moment leaves the one before or the one after. No generator's state is in it, see
`trainer.training.seeds`.
"""

from __future__ import annotations

import io
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from trainer.training.store_access import StoreAccess

# A checkpoint of a large network takes seconds; at least twenty times as long lies between two.
_REST_FACTOR = 20
_LEAST_SECONDS = 1.0


@dataclass(frozen=True)
class Checkpoint:
    """key: what the run is of (request, data); another run's checkpoint is not taken up.

    extra: what else changes from step to step, tensors and plain values.
    """

    key: str
    iteration: int
    seconds: float  # spent in training so far
    model: dict[str, Any]
    optimiser: dict[str, Any]
    extra: dict[str, Any] = field(default_factory=dict)


class Checkpoints:
    """The latest checkpoint of one job."""

    def __init__(self, store: StoreAccess, job_id: str, *, every_seconds: float) -> None:
        self._store = store
        self._name = f"checkpoints/{job_id}/training.pt"
        self._interval = every_seconds
        self._saved_at = time.monotonic()
        self._rest = 0.0

    def due(self, epoch_ends: bool) -> bool:
        """Every so many seconds and at the end of an epoch, where that is not all the time."""
        least = _LEAST_SECONDS if epoch_ends else self._interval
        return time.monotonic() - self._saved_at >= max(least, self._rest)

    def save(self, checkpoint: Checkpoint) -> None:
        begun = time.monotonic()
        buffer = io.BytesIO()
        torch.save(asdict(checkpoint), buffer)
        self._store.put(self._name, buffer.getvalue())
        self._saved_at = time.monotonic()
        self._rest = _REST_FACTOR * (self._saved_at - begun)

    def load(self, key: str) -> Checkpoint | None:
        """The latest checkpoint of this very run, tensors on the CPU; None to start anew."""
        data = self._store.get(self._name)
        if data is None:
            return None
        loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        checkpoint = Checkpoint(**loaded)
        return checkpoint if checkpoint.key == key else None
