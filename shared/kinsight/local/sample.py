"""The built-in sample: 1,797 scans of handwritten digits, in ten classes.

The UCI "Optical Recognition of Handwritten Digits" test set as scikit-learn ships it: 8x8 grey
values from 0 to 16, enlarged here to 32x32 PNG files. Always the same 30 pictures of each class are
held out for testing (300 in all), the other 1,497 are for training.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kinsight.errors import StartFailed

Part = Literal["train", "test"]
SIDE = 32
TEST_PER_CLASS = 30
_SEED = 2012
_BRIGHTEST = 16


class SampleImage(NamedTuple):
    label: str  # "0" to "9"
    filename: str
    data: bytes  # PNG, 32x32, grey


def sample_images(part: Part) -> list[SampleImage]:
    """The pictures of one part, ordered by their number in the data set."""
    pictures, labels = _digits()
    return [
        SampleImage(str(labels[number]), f"digit-{number:04d}.png", _png(pictures[number]))
        for number in _numbers(labels, part)
    ]


def sample_zip(path: Path, *, part: Part = "train") -> Path:
    """Writes one part as a zip with one folder per class (`7/digit-0042.png`)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for image in sample_images(part):
            # A fixed date, so that the same pictures make the same archive.
            entry = zipfile.ZipInfo(f"{image.label}/{image.filename}", (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, image.data)
    return path


def _digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(1797, 8, 8) grey values from 0 to 16, and (1797,) labels."""
    try:
        from sklearn.datasets import load_digits  # takes a second, and only the sample needs it
    except ImportError:
        raise StartFailed(
            "The sample needs scikit-learn: install it with `pip install 'kinsight[local]'`."
        ) from None
    bunch = load_digits()
    return bunch.images, bunch.target


def _numbers(labels: NDArray[np.int64], part: Part) -> list[int]:
    """The rows of one part; drawn by a hash, which no version of any library changes."""
    by_class: dict[int, list[int]] = defaultdict(list)
    for number, label in enumerate(labels):
        by_class[int(label)].append(number)
    held_out = {
        number
        for members in by_class.values()
        for number in sorted(members, key=_draw)[:TEST_PER_CLASS]
    }
    return [n for n in range(len(labels)) if (n in held_out) == (part == "test")]


def _draw(number: int) -> bytes:
    return hashlib.sha256(f"{_SEED}/{number}".encode()).digest()


def _png(picture: NDArray[np.float64]) -> bytes:
    grey = np.rint(picture * (255 / _BRIGHTEST)).astype(np.uint8)
    image = Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
