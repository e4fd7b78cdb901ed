"""The built-in sample of handwritten digits."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from kinsight.local.sample import SIDE, SampleImage, sample_images, sample_zip


@pytest.fixture(scope="module")
def train() -> list[SampleImage]:
    return sample_images("train")


@pytest.fixture(scope="module")
def test() -> list[SampleImage]:
    return sample_images("test")


def test_the_parts_have_every_scan_once(train: list[SampleImage], test: list[SampleImage]) -> None:
    assert (len(train), len(test)) == (1497, 300)
    assert len({image.filename for image in train + test}) == 1797


def test_every_class_has_thirty_test_pictures(test: list[SampleImage]) -> None:
    assert Counter(image.label for image in test) == {str(digit): 30 for digit in range(10)}


def test_the_split_is_always_the_same(test: list[SampleImage]) -> None:
    names = "\n".join(f"{image.label}/{image.filename}" for image in test)
    assert hashlib.sha256(names.encode()).hexdigest() == EXPECTED_SPLIT


def test_pictures_are_grey_and_use_the_whole_range(train: list[SampleImage]) -> None:
    for image in train[::100]:
        with Image.open(io.BytesIO(image.data)) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (SIDE, SIDE))
            darkest, brightest = picture.getextrema()
            assert darkest <= 16 and brightest >= 200


def test_the_zip_has_a_folder_per_class(tmp_path: Path, test: list[SampleImage]) -> None:
    path = sample_zip(tmp_path / "sample.zip", part="test")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        held = {name: archive.read(name) for name in archive.namelist()}
    assert held == {f"{image.label}/{image.filename}": image.data for image in test}
    again = sample_zip(tmp_path / "again.zip", part="test")
    assert again.read_bytes() == path.read_bytes()


EXPECTED_SPLIT = "293f4bc8cd491095a82f63041cd7a98758d52c1fa6752d1e0b0e4be8211852de"
