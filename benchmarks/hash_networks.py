"""Hash networks trained by recipe `fast`: error, and what their codes and features find.

python benchmarks/hash_networks.py DATA.npz [--configurations FILE] [--epochs 60] [--at-once 2]

DATA holds x_train, y_train, x_test, y_test as Keras hands them out: grey pictures (N, H, W) or
colour ones (N, H, W, 3). A configuration is a line of JSON: {"name", "network": "alexnet",
"network_options": {}, "recipe_options": {}}; without a file they are the hash paper's final
network with and without batch normalisation.

Each is trained on nine tenths of the training pictures and judged on all test pictures; the whole
training set is the database. P@10 and mAP (over all its rows) by code are of every test picture,
those by feature of the first 1,000 in a drawn order. Several runs share a device with `--at-once`:
their seconds then say little, their other figures stay what they are.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from kinsight import networks
from kinsight.contracts.models import Preprocessing, RetrievalSettings, TrainRequest
from kinsight.images.preprocess import canvas
from trainer import recipes
from trainer.offline_evaluation import evaluate
from trainer.training import devices
from trainer.training.calibration import Labelled
from trainer.training.checkpoint import Checkpoint, Checkpoints
from trainer.training.data import TrainingData
from trainer.training.events import Reporter
from trainer.training.run import Run
from trainer.training.seeds import derive, generator
from trainer.training.split import VALIDATION_PART, Split
from trainer.training.store_access import StoreAccess

_FINAL = {"activation": "maxout", "pooling": "max-average", "hash_bits": 48, "input_size": 32}
_CONFIGURATIONS: list[dict[str, Any]] = [
    {
        "name": "final network",
        "network_options": {**_FINAL, "norm": "none"},
        "recipe_options": {"learning_rate": 0.02},
    },
    {
        "name": "final network, batch norm",
        "network_options": {**_FINAL, "norm": "batch", "dropout": 0.0},
        "recipe_options": {"cutout": 0.25},
    },
]
_FEATURE_QUERIES = 1_000


@dataclass(frozen=True)
class Pictures:
    """Training pictures first, then test pictures, with their class numbers."""

    x: NDArray[np.uint8]
    y: NDArray[np.int64]
    training: int

    @classmethod
    def read(cls, path: Path, *, most: int | None, seed: int) -> Pictures:
        """most: training pictures, drawn by the seed; None: all."""
        with np.load(path) as arrays:
            drawn = generator(seed, "drawn").permutation(len(arrays["x_train"]))
            kept = np.sort(drawn[:most])
            x = np.concatenate([arrays["x_train"][kept], arrays["x_test"]])
            y = np.concatenate([arrays["y_train"].ravel()[kept], arrays["y_test"].ravel()])
        if x.ndim == 3:
            x = np.repeat(x[..., None], 3, axis=3)
        return cls(x, y.astype(np.int64), len(kept))

    def data(self, card: Preprocessing, seed: int) -> TrainingData:
        """As the training takes them; a tenth of the training pictures is held out."""
        order = generator(seed, "held out").permutation(self.training)
        held = round(self.training * VALIDATION_PART)
        classes = range(1 + int(self.y.max()))
        return TrainingData(
            images=[],
            labels=self.y,
            pixels=np.stack([canvas(Image.fromarray(one), card) for one in self.x]),
            split=Split(np.sort(order[held:]), np.sort(order[:held])),
            counts={str(number): int((self.y == number).sum()) for number in classes},
            fingerprint="",
        )


class _Unkept(Checkpoints):
    """Nothing here is resumed, and writing would be timed with the steps."""

    def due(self, epoch_ends: bool) -> bool:
        return False

    def save(self, checkpoint: Checkpoint) -> None:
        return


class _Progress:
    """The stream of a Reporter; accuracies on the held-out pictures go to standard error."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.rates: list[float] = []

    def write(self, text: str) -> int:
        event = json.loads(text)
        if event["event"] == "curve":
            point = event["point"]
            if point.get("images_per_second"):
                self.rates.append(point["images_per_second"])
            if (accuracy := point.get("validation_accuracy")) is not None:
                note(f"{self._name}: iteration {point['iteration']}, accuracy {accuracy:.4f}")
        return len(text)

    def flush(self) -> None:
        return


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Job:
    """What forked processes have in common with the one that forked them."""

    pictures: Pictures
    seed: int
    defaults: dict[str, Any]  # of recipe options


_jobs: list[Job] = []


def measure(one: dict[str, Any]) -> dict[str, Any]:
    (job,) = _jobs
    recipe, network_name = recipes.find("fast"), one.get("network", "alexnet")
    options = recipes.options_for("fast", {**job.defaults, **one.get("recipe_options", {})})
    chosen = recipe.network_options(network_name, one["network_options"], from_scratch=True)
    network_options = networks.options_for(network_name, chosen).model_dump()
    card = networks.preprocessing_for(network_name, network_options)
    data, device = job.pictures.data(card, job.seed), devices.choose()
    torch.manual_seed(derive(job.seed, "initial values"))
    network = networks.build(network_name, network_options, classes=len(data.counts))
    progress = _Progress(one["name"])
    reporter = Reporter(progress)  # type: ignore[arg-type]  # all that it calls is there
    with tempfile.TemporaryDirectory() as folder, StoreAccess(Path(folder).as_uri()) as store:
        run = Run(
            request=TrainRequest(library="benchmark", recipe="fast", seed=job.seed),
            network=device.prepared(network),
            network_options=network_options,
            pretrained=frozenset(),
            preprocessing=card,
            data=data,
            device=device,
            checkpoints=_Unkept(store, "benchmark", reporter, every_seconds=3600),
            reporter=reporter,
            scratch=Path(folder),
        )
        begun = time.monotonic()
        trained = recipe.train(run, options)
        seconds = time.monotonic() - begun
    rows = np.arange(len(data.labels))
    database, queries = (
        Labelled(trained.embed(part, lambda _: None), data.labels[part])
        for part in np.split(rows, [job.pictures.training])
    )
    held = data.split.validation
    few = queries.sample(_FEATURE_QUERIES, job.seed)
    found = {
        space: evaluate(
            database,
            asked,
            RetrievalSettings(),
            classes=list(data.counts),
            spaces=[space],
            routings=["all"],
        )[0]
        for space, asked in (("hash", queries), ("feature", few))
    }
    return {
        "name": one["name"],
        "error": 100 * (1 - queries.accuracy()),
        "held_out_error": 100
        * (1 - Labelled(database.outputs.rows(held), data.labels[held]).accuracy()),
        "code_p_at_10": found["hash"].p_at_10,
        "code_map": found["hash"].map_all,
        "feature_p_at_10": found["feature"].p_at_10,
        "feature_map": found["feature"].map_all,
        "codes": len(np.unique(database.outputs.code, axis=0)),
        "epochs": trained.epochs,
        "seconds": seconds,
        "images_per_second": float(np.median(progress.rates)) if progress.rates else 0.0,
    }


def table(rows: list[dict[str, Any]]) -> None:
    print(
        f"{'network':<30} {'error':>7} {'held out':>8} {'code P@10':>9} {'mAP':>6} "
        f"{'feature P@10':>12} {'mAP':>6} {'codes':>6} {'epochs':>6} {'seconds':>7} {'images/s':>8}"
    )
    for row in rows:
        print(
            f"{row['name']:<30} {row['error']:>6.2f}% {row['held_out_error']:>7.2f}% "
            f"{row['code_p_at_10']:>9.4f} {row['code_map']:>6.4f} {row['feature_p_at_10']:>12.4f} "
            f"{row['feature_map']:>6.4f} {row['codes']:>6} {row['epochs']:>6} "
            f"{row['seconds']:>7.0f} {row['images_per_second']:>8.0f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--configurations", type=Path)
    parser.add_argument("--epochs", type=int, default=10, help="where a run does not say its own")
    parser.add_argument("--batch", type=int, default=128, help="likewise")
    parser.add_argument("--train", type=int, help="only so many training pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    configurations = _CONFIGURATIONS
    if arguments.configurations:
        lines = arguments.configurations.read_text().splitlines()
        configurations = [json.loads(line) for line in lines if line.strip()]
    job = Job(
        Pictures.read(arguments.data, most=arguments.train, seed=arguments.seed),
        arguments.seed,
        {"epochs": arguments.epochs, "batch_size": arguments.batch},
    )
    # Forked before any of them touches the device, the runs share pictures and what is loaded.
    context = multiprocessing.get_context("fork")
    rows = []
    with context.Pool(arguments.at_once, _jobs.append, (job,), maxtasksperchild=1) as pool:
        for row in pool.imap_unordered(measure, configurations):
            note(json.dumps(row))
            rows.append(row)
    order = [one["name"] for one in configurations]
    rows.sort(key=lambda row: order.index(row["name"]))
    if arguments.json:
        print(json.dumps(rows))
    else:
        table(rows)


if __name__ == "__main__":
    main()
