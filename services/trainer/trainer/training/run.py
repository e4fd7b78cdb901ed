"""A training run: all that a recipe works with."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kinsight.contracts.models import Preprocessing, TrainRequest
from kinsight.networks import RetrievalNetwork
from trainer.training.augment import Normaliser
from trainer.training.checkpoint import Checkpoints
from trainer.training.data import TrainingData
from trainer.training.devices import Device
from trainer.training.embedding import Pictures
from trainer.training.events import Reporter


@dataclass(frozen=True)
class Run:
    """network_options: all of them, defaults too. pretrained: the network's tensors that came from
    a weights file.
    """

    request: TrainRequest
    network: RetrievalNetwork
    network_options: dict[str, Any]
    pretrained: frozenset[str]
    preprocessing: Preprocessing
    data: TrainingData
    device: Device
    checkpoints: Checkpoints
    reporter: Reporter
    scratch: Path

    @property
    def seed(self) -> int:
        return self.request.seed

    @cached_property
    def pictures(self) -> Pictures:
        normalise = Normaliser(self.preprocessing, self.device.torch)
        return Pictures(self.data.pixels, self.preprocessing.input_size, normalise)

    def key(self) -> str:
        """What a checkpoint is of: the request and the data."""
        return self._digest(
            self.request.model_dump(exclude={"trained_by", "then", "crops", "min_images_per_class"})
        )

    def features_key(self) -> str:
        """What cached features are of: the backbone, its weights and seed, the data."""
        fields = {"network", "network_options", "weights", "seed"}
        return self._digest(self.request.model_dump(include=fields))

    def _digest(self, described: dict[str, object]) -> str:
        text = json.dumps([described, self.data.fingerprint], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
