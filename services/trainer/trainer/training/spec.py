"""What a training process is told: the file it is started with, and its training set."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path, PurePosixPath

from pydantic import Field, ValidationError

from kinsight.contracts.base import Wire
from kinsight.contracts.libraries import TrainingImage
from kinsight.contracts.models import TrainRequest
from kinsight.errors import BadRequest, TooFewClasses, TooFewImages
from kinsight.images.limits import Limits


class Spec(Wire):
    """`python -m trainer.training.process SPEC.json` reads this."""

    job_id: str
    model_id: str
    request: TrainRequest
    store_url: str
    training_set: Path = Field(description="NDJSON, one TrainingImage a line.")
    scratch: Path = Field(description="Folder for what a resumed run uses again.")
    max_image_bytes: int = Limits().max_bytes
    max_image_pixels: int = Limits().max_pixels


def read_spec(path: Path) -> Spec:
    """Raises BadRequest where the file is missing or not a spec."""
    try:
        return Spec.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BadRequest(f"{path} is not a training spec: {error}") from error


def read_training_set(path: Path) -> list[TrainingImage]:
    """The labelled images by ascending id, so that the order of the file does not matter."""
    try:
        with path.open("rb") as lines:
            images = [TrainingImage.model_validate_json(line) for line in lines if line.strip()]
    except (OSError, ValidationError) as error:
        raise BadRequest(f"{path} is not a training set: {error}") from error
    return sorted(images, key=lambda image: image.image_id)


def class_counts(labels: list[str], *, at_least: int, kind: str = "labelled") -> dict[str, int]:
    """Images per class, by class name; raises TooFewClasses, or TooFewImages naming a class.

    kind: what the images are, for the sentence.
    """
    counts = dict(sorted(Counter(labels).items()))
    if len(counts) < 2:
        raise TooFewClasses(
            f"Training needs at least two classes of {kind} images; there are {len(counts)}. Label "
            "more images, or ingest folders with `labels=folders`.",
            classes=counts,
        )
    few = {name: count for name, count in counts.items() if count < at_least}
    if few:
        name, count = next(iter(few.items()))
        raise TooFewImages(
            f"Class {name!r} has {count} {kind} images and training asks for {at_least}; add more, "
            "or lower `min_images_per_class`.",
            classes=few,
        )
    return counts


def sha256(image: TrainingImage) -> str:
    """Of the image's bytes: the last part of its key."""
    return PurePosixPath(image.key).name


def file_name(image: TrainingImage) -> str:
    """What a person knows the image by."""
    return image.filename or sha256(image)


def fingerprint(images: list[TrainingImage]) -> str:
    """SHA-256 over the sorted SHA-256 of the images."""
    names = sorted(sha256(image) for image in images)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()
