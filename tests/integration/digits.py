"""Three handwritten digits, and a training request small enough for a test."""

from __future__ import annotations

from typing import Any

from kinsight.contracts.models import TrainRequest
from kinsight.local.sample import Part, sample_images

SMALL = {"input_size": 32, "width": 0.125, "fc_width": 64, "hash_bits": 16, "towers": 1}
LABELS = ("0", "1", "7")
PER_CLASS = 40


def digits(part: Part = "train", per_class: int = PER_CLASS) -> dict[str, bytes]:
    """Files as an archive of class folders has them: `7/digit-0042.png`."""
    files: dict[str, bytes] = {}
    images = sample_images(part)
    for label in LABELS:
        chosen = [image for image in images if image.label == label][:per_class]
        files |= {f"{label}/{image.filename}": image.data for image in chosen}
    return files


def request(**changes: Any) -> TrainRequest:
    values: dict[str, Any] = {
        "library": "digits",
        "network": "alexnet",
        "network_options": SMALL,
        "recipe": "fine-tune",
        "recipe_options": {"epochs": 4, "mirror": False, "batch_size": 16},
        "min_images_per_class": 20,
        "trained_by": "a test",
    }
    return TrainRequest(**{**values, **changes})
