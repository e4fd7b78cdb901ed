"""Checkpoints: what a training run needs to go on after it was killed.

A checkpoint is a torch file of tensors and plain values only, so that it loads with
`weights_only`. The store writes it to a temporary file, syncs it and renames it: a kill at any
moment leaves the one before or the one after. No generator's state is in it, see
`trainer.training.seeds`.
"""

from __future__ import annotations

import io
import logging
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from kinsight.errors import KinsightError
from trainer.training.events import Reporter
from trainer.training.store_access import StoreAccess

# A checkpoint of a large network takes seconds; at least twenty times as long lies between two.
_REST_FACTOR = 20
_LEAST_SECONDS = 1.0
_log = logging.getLogger(__name__)


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

    def __init__(
        self, store: StoreAccess, job_id: str, reporter: Reporter, *, every_seconds: float
    ) -> None:
        self._store, self._reporter = store, reporter
        self._name = f"checkpoints/{job_id}/training.pt"
        self._interval = every_seconds
        self._tried_at = time.monotonic()
        self._rest = 0.0
        self._saved = 0

    def due(self, epoch_ends: bool) -> bool:
        """Every so many seconds and at the end of an epoch, where that is not all the time."""
        least = _LEAST_SECONDS if epoch_ends else self._interval
        return time.monotonic() - self._tried_at >= max(least, self._rest)

    def save(self, checkpoint: Checkpoint) -> None:
        """Where it cannot be written the one before stays; the run goes on and warns."""
        begun = time.monotonic()
        buffer = io.BytesIO()
        torch.save(asdict(checkpoint), buffer)
        try:
            self._store.put(self._name, buffer.getvalue())
        except (OSError, KinsightError) as error:
            _log.warning("The checkpoint of iteration %d: %s", checkpoint.iteration, error)
            self._reporter.note(
                warning="A checkpoint could not be written "
                f"({self._store.reason(error)}). Training goes on and tries again; were it "
                f"stopped now, it would go on from {self._last()}."
            )
        else:
            self._saved = checkpoint.iteration
            self._reporter.note(warning=None)
        self._tried_at = time.monotonic()
        self._rest = _REST_FACTOR * (self._tried_at - begun)

    def load(self, key: str) -> Checkpoint | None:
        """The latest checkpoint of this very run, tensors on the CPU; None to start anew."""
        data = self._store.get(self._name)
        if data is None:
            return None
        loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        checkpoint = Checkpoint(**loaded)
        if checkpoint.key != key:
            return None
        self._saved = checkpoint.iteration
        return checkpoint

    def _last(self) -> str:
        return f"iteration {self._saved}" if self._saved else "the beginning"
