"""How the four-layer network of AlexNet's figure 1 and footnote 3 is trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from kinsight.contracts.libraries import TrainingImage
from kinsight.contracts.models import Preprocessing
from kinsight.images.limits import Limits
from trainer.reproduce.four_layer_network import Activation, FourLayers
from trainer.reproduce.listening import Listener
from trainer.reproduce.prepared import Prepared
from trainer.training import devices
from trainer.training.augment import Normaliser
from trainer.training.batches import Augmentation, PictureBatches
from trainer.training.checkpoint import Checkpoints
from trainer.training.dataset import read_canvases
from trainer.training.embedding import Pictures, accuracy
from trainer.training.events import Reporter
from trainer.training.loop import Task, train
from trainer.training.losses import Loss
from trainer.training.schedule import Schedule, warmup_cosine
from trainer.training.store_access import StoreAccess

_CARD = Preprocessing(mode="squash", resize=32, input_size=32)
_EVERY = 10  # iterations between two points of the curve
_WATCHED = 2_000
_CHECKPOINT_SECONDS = 30.0


@dataclass(frozen=True)
class Settings:
    """How one network is trained. rate: at the start. until: training error in [0, 1] at which it
    ends. falling: the rate falls to 0 over the run, and pictures are shifted and mirrored; else
    the rate stays and nothing regularises, as in figure 1.
    """

    activation: Activation
    rate: float
    epochs: int
    batch_size: int
    seed: int
    until: float | None = None
    response_norm: bool = False
    falling: bool = False
    most_iterations: int | None = None


@dataclass(frozen=True)
class Trained:
    """curve: (iteration, training error in [0, 1]), the error over the last 50 iterations.

    reached: the first iteration with at most the error asked for; None where it was not.
    """

    curve: list[tuple[int, float]]
    iterations: int
    seconds: float
    reached: int | None
    test_error: float | None


class FourLayerTraining:
    """Trainings on one data set; pictures are read once."""

    def __init__(self, data: Prepared, store: Path, work: Path, say: Callable[[str], None]) -> None:
        self._data, self._store, self._work, self._say = data, store, work, say
        self._device = devices.choose()
        self._read: dict[str, tuple[Pictures, NDArray[np.int64], NDArray[np.int64]]] = {}

    @property
    def classes(self) -> int:
        return len(self._data.classes)

    def per_epoch(self, batch_size: int) -> int:
        return max(1, self._data.train // batch_size)

    def run(self, name: str, settings: Settings) -> Trained:
        """Goes on from a checkpoint where an earlier attempt left one."""
        described = json.dumps([asdict(settings), self._data.key], sort_keys=True)
        key = f"four-layers-{hashlib.sha256(described.encode()).hexdigest()[:12]}"
        watch = _Watch(
            Listener(name, self._say, self._work / "curves" / f"{key}.ndjson"),
            self._work / "curves" / f"{key}-error.ndjson",
            settings,
        )
        pictures, labels, rows = self._pictures("train")
        torch.manual_seed(settings.seed)
        network = FourLayers(
            self.classes, settings.activation, response_norm=settings.response_norm
        ).to(self._device.torch)
        optimiser = torch.optim.SGD(
            [{"params": list(network.parameters()), "initial_lr": settings.rate}],
            lr=settings.rate,
            momentum=0.9,
            weight_decay=5e-4 if settings.falling else 0.0,
        )
        augmentation = Augmentation(
            crops=settings.falling, padding=4 if settings.falling else 0, mirror=settings.falling
        )
        watch.start()
        with StoreAccess(self._store.resolve().as_uri()) as store:
            task = Task(
                module=network,
                inputs=PictureBatches(pictures, rows, augmentation, seed=settings.seed),
                labels=labels[rows],
                loss=Loss(0.0, 0.0, hash_layer=False),
                optimiser=optimiser,
                schedule=watch.schedule,
                epochs=settings.epochs,
                batch_size=settings.batch_size,
                clip_norm=None,
                validate=lambda: accuracy(network, pictures.__getitem__, rows[:_WATCHED], labels),
                key=key,
                seed=settings.seed,
            )
            checkpoints = Checkpoints(store, key, watch, every_seconds=_CHECKPOINT_SECONDS)
            finished = train(task, self._device, checkpoints, watch)
        watch.close()
        test_error = self._test_error(network) if settings.falling else None
        return Trained(
            watch.errors(), finished.iterations, watch.seconds, watch.reached(), test_error
        )

    def _test_error(self, network: nn.Module) -> float:
        pictures, labels, rows = self._pictures("test")
        return 1 - accuracy(network, pictures.__getitem__, rows, labels)

    def _pictures(self, part: str) -> tuple[Pictures, NDArray[np.int64], NDArray[np.int64]]:
        """Pictures, class numbers, and the rows that can be read."""
        if part not in self._read:
            images: list[TrainingImage] = (
                self._data.training_images() if part == "train" else self._data.test_images()
            )
            scratch = self._work / "scratch" / f"{self._data.key}-{part}"
            listener = Listener(f"{part} pictures", self._say, scratch / "curve")
            with StoreAccess(self._store.resolve().as_uri()) as store:
                canvases = store.run(
                    read_canvases(images, _CARD, store.store, scratch, Reporter(listener), Limits())
                )
            number = {name: i for i, name in enumerate(self._data.classes)}
            labels = np.array([number[image.label] for image in images], dtype=np.int64)
            normalise = Normaliser(_CARD, self._device.torch)
            rows = np.flatnonzero(canvases.readable)
            self._read[part] = (Pictures(canvases.pixels, 32, normalise), labels, rows)
        return self._read[part]


class _Watch(Reporter):
    """Keeps the training error of every tenth iteration, and ends the run once it is low enough."""

    def __init__(self, listener: Listener, file: Path, settings: Settings) -> None:
        super().__init__(listener)
        self._file, self._settings = file, settings
        self.schedule = _Stoppable(settings)
        self.seconds = 0.0
        file.parent.mkdir(parents=True, exist_ok=True)

    def advance(self, done: int, **facts: Any) -> None:
        super().advance(done, **facts)
        if "training_accuracy" not in facts:
            return
        error, settings = 1 - float(facts["training_accuracy"]), self._settings
        full = done >= 50 or done * settings.batch_size >= 50 * 128
        low = settings.until is not None and error <= settings.until and full
        if low or done == settings.most_iterations:
            self.schedule.stop()
        if low or done % _EVERY == 0 or done == settings.most_iterations:
            with self._file.open("a") as file:
                file.write(json.dumps([done, error]) + "\n")

    def errors(self) -> list[tuple[int, float]]:
        """Without what was trained after a checkpoint and then again from it."""
        points: list[tuple[int, float]] = []
        if not self._file.exists():
            return points
        for line in self._file.read_text().splitlines():
            iteration, error = json.loads(line)
            while points and points[-1][0] >= iteration:
                points.pop()
            points.append((iteration, error))
        return points

    def reached(self) -> int | None:
        until = self._settings.until
        low = (i for i, error in self.errors() if until is not None and error <= until)
        return next(low, None)

    def close(self) -> None:
        self._stop.set()


class _Stoppable(Schedule):
    """A rate that stays or falls, in a run that may end at any iteration."""

    def __init__(self, settings: Settings) -> None:
        self._falls = warmup_cosine(0.1) if settings.falling else None
        self._ended = False

    def __call__(self, done: float) -> float:
        return self._falls(done) if self._falls else 1.0

    @property
    def ended(self) -> bool:
        return self._ended

    def stop(self) -> None:
        self._ended = True

    def state(self) -> dict[str, Any]:
        return {"ended": self._ended}

    def restore(self, state: dict[str, Any]) -> None:
        self._ended = bool(state["ended"])
