"""A small real training set: scikit-learn's handwritten digits, as a store and a specification."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from kinsight.contracts.models import ModelCard
from kinsight.images.perceptual import difference_hash
from kinsight.networks import RetrievalNetwork
from kinsight.networks.model_folder import load, weights_key
from kinsight.store import blob_key
from trainer.training.events import Reporter
from trainer.training.pipeline import carry_out
from trainer.training.spec import Spec

NETWORK = {"input_size": 32, "width": 0.1, "fc_width": 64, "hash_bits": 32, "dropout": 0.2}
QUICK = {"epochs": 2, "batch_size": 16, "mirror": False, "crop_padding": 2}


@cache
def pictures(per_class: int, classes: int) -> list[tuple[bytes, str]]:
    """PNG bytes and label of scans of the digits, class by class."""
    digits = load_digits()
    chosen = []
    for label in range(classes):
        for scan in digits.images[digits.target == label][:per_class]:
            grey = Image.fromarray((scan * 255 / 16).round().astype(np.uint8))
            buffer = io.BytesIO()
            grey.resize((32, 32), Image.Resampling.BILINEAR).save(buffer, "PNG")
            chosen.append((buffer.getvalue(), str(label)))
    return chosen


def prepare(
    folder: Path,
    *,
    per_class: int = 30,
    classes: int = 3,
    spoiled: Sequence[int] = (),
    job: str = "job",
    **request: Any,
) -> Path:
    """Fills a store and writes the specification; returns its path.

    spoiled: positions of images whose bytes are no picture.
    """
    store = folder / "store"
    lines = []
    for number, (data, label) in enumerate(pictures(per_class, classes)):
        hashed = difference_hash(Image.open(io.BytesIO(data)))
        data = b"not a picture" + bytes([number]) if number in spoiled else data
        key = blob_key(hashlib.sha256(data).hexdigest())
        (store / key).parent.mkdir(parents=True, exist_ok=True)
        (store / key).write_bytes(data)
        line = {
            "image_id": number + 1,
            "key": key,
            "filename": f"{label}/scan-{number}.png",
            "label": label,
            "perceptual_hash": hashed,
        }
        lines.append(json.dumps(line))
    (folder / "set.ndjson").write_text("\n".join(lines) + "\n")
    asked = {
        "library": "digits",
        "network": "alexnet",
        "network_options": NETWORK,
        "recipe": "fine-tune",
        "recipe_options": QUICK,
        "min_images_per_class": 2,
        **request,
    }
    specification = {
        "job_id": job,
        "model_id": f"model-{job}",
        "request": asked,
        "store_url": f"file://{store}",
        "training_set": str(folder / "set.ndjson"),
        "scratch": str(folder / "scratch"),
    }
    path = folder / "spec.json"
    path.write_text(json.dumps(specification))
    return path


def train(specification: Path, reporter: Reporter | None = None) -> ModelCard:
    """Trains in this process."""
    spec = Spec.model_validate_json(specification.read_bytes())
    card = carry_out(spec, reporter or Reporter(io.StringIO()))
    assert card is not None
    return card


def stored_network(folder: Path, card: ModelCard) -> RetrievalNetwork:
    return load(folder / "store" / weights_key(card.id), card)
