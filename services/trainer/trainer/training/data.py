"""The training set of a run: images, labels, pixels and the split."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinsight.contracts.libraries import TrainingImage
from kinsight.contracts.models import Preprocessing
from kinsight.images.limits import Limits
from trainer.training.dataset import read_canvases
from trainer.training.events import Reporter
from trainer.training.spec import (
    Spec,
    class_counts,
    file_name,
    fingerprint,
    read_training_set,
    sha256,
)
from trainer.training.split import Split, split
from trainer.training.store_access import StoreAccess

# One for each side of the split.
_LEAST_READABLE = 2
MOST_NAMED = 100  # unreadable files
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingData:
    """images: N, by ascending id; labels: (N,) class numbers; pixels: (N, S, S, 3) canvases.

    split: indices into all of these; an unreadable image is on neither side. counts: readable
    images by class name; class i is the i-th name.
    """

    images: list[TrainingImage]
    labels: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    split: Split
    counts: dict[str, int]
    fingerprint: str

    @property
    def unreadable(self) -> list[TrainingImage]:
        """The images left out."""
        used = np.concatenate(self.split)
        return [self.images[i] for i in np.setdiff1d(np.arange(len(self.images)), used)]


def listed_images(spec: Spec) -> list[TrainingImage]:
    """The images to train on; raises TooFewClasses, TooFewImages."""
    images = read_training_set(spec.training_set)
    class_counts([image.label for image in images], at_least=spec.request.min_images_per_class)
    return images


def load(
    spec: Spec,
    images: list[TrainingImage],
    card: Preprocessing,
    store: StoreAccess,
    reporter: Reporter,
) -> TrainingData:
    """Reads the pixels and splits; raises TooFewImages where too few can be read."""
    limits = Limits(max_bytes=spec.max_image_bytes, max_pixels=spec.max_image_pixels)
    canvases = store.run(read_canvases(images, card, store.store, spec.scratch, reporter, limits))
    readable = np.flatnonzero(canvases.readable)
    _tell_unreadable([images[index] for index in np.flatnonzero(~canvases.readable)], reporter)
    names = [images[index].label for index in readable]
    counts = class_counts(names, at_least=_LEAST_READABLE, kind="readable")
    number = {name: i for i, name in enumerate(counts)}
    # A class none of whose images can be read is not among them.
    labels = np.array([number.get(image.label, -1) for image in images], dtype=np.int64)
    hashes = np.array([image.perceptual_hash for image in images], dtype=np.int64)
    parts = split(
        labels[readable],
        hashes[readable],
        [sha256(images[index]) for index in readable],
        seed=spec.request.split_seed,
    )
    return TrainingData(
        images,
        labels,
        canvases.pixels,
        Split(readable[parts.training], readable[parts.validation]),
        counts,
        fingerprint(images),
    )


def _tell_unreadable(unreadable: list[TrainingImage], reporter: Reporter) -> None:
    reporter.note(unreadable=len(unreadable))
    if unreadable:
        named = ", ".join(file_name(image) for image in unreadable[:MOST_NAMED])
        more = len(unreadable) - MOST_NAMED
        rest = f" and {more} more" if more > 0 else ""
        _log.warning("%d images cannot be read: %s%s", len(unreadable), named, rest)
