"""What `--data` may name: found, told apart into parts, refused with a reason."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training_set import pictures

from kinsight.errors import BadArchive, BadRequest
from trainer.reproduce.base import DataWanted
from trainer.reproduce.data import find_sources, is_named, listing, title
from trainer.reproduce.drawing import Most
from trainer.reproduce.prepared import Prepared, prepare
from trainer.reproduce.sources import open_source

_MNIST = DataWanted("MNIST", ("mnist",))
_ANY = DataWanted("any pictures")


def _folder(root: Path, *parts: str, per_class: int = 6, classes: int = 3) -> Path:
    for part in parts or ("",):
        for number, (data, label) in enumerate(pictures(per_class, classes)):
            path = root / part / label / f"{part or 'all'}-{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data + (b"" if part != "test" else b"\0"))
    return root


def _prepare(path: Path, work: Path, most: Most | None = None, seed: int = 0) -> Prepared:
    (source,) = find_sources(path, _ANY)
    return prepare(source, most or Most(), seed=seed, work=work, say=lambda _: None)


def _labels(prepared: Prepared, part: str) -> list[str]:
    lines = (prepared.folder / f"{part}.ndjson").read_text().splitlines()
    return [json.loads(line)["label"] for line in lines]


def test_a_folder_with_train_and_test(tmp_path: Path) -> None:
    prepared = _prepare(_folder(tmp_path / "digits", "train", "test"), tmp_path / "work")
    assert (prepared.train, prepared.test, prepared.classes) == (18, 18, ("0", "1", "2"))
    assert not prepared.split_off
    for image in prepared.training_images():
        assert (tmp_path / "work" / "store" / image.key).read_bytes()


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_gives_what_its_folder_gives(tmp_path: Path, kind: str) -> None:
    folder = _folder(tmp_path / "digits", "train", "validation")
    archive = tmp_path / f"digits.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            for path in sorted(folder.rglob("*.png")):
                file.write(path, f"digits/{path.relative_to(folder)}")
    else:
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(folder, "digits")
    one, other = _prepare(folder, tmp_path / "a"), _prepare(archive, tmp_path / "b")
    for part in ("train", "test"):
        assert sorted(_labels(one, part)) == sorted(_labels(other, part))
    assert {i.key for i in one.training_images()} == {i.key for i in other.training_images()}


def test_arrays(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (24, 8, 8), np.uint8)
    y = np.arange(24) % 12
    np.savez(tmp_path / "set.npz", x_train=x, y_train=y, x_test=x[:12], y_test=y[:12])
    prepared = _prepare(tmp_path / "set.npz", tmp_path / "work")
    assert (prepared.train, prepared.test) == (24, 12)
    assert prepared.classes == tuple(f"{n:02}" for n in range(12))  # in the order of the numbers


def test_arrays_as_keras_hands_out_cifar(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (20, 8, 8, 3), np.uint8), (np.arange(20) % 2)[:, None]
    first = {"x_train": x.transpose(0, 3, 1, 2), "y_train": y}  # channels first, as some do
    np.savez(tmp_path / "cifar100.npz", **first, x_test=x[:4], y_test=y[:4])
    source = open_source(tmp_path / "cifar100.npz")
    read = dict(source.read([3, 21]))
    for number, expected in ((3, x[3]), (21, x[1])):
        content = read[number]
        assert isinstance(content, bytes)
        with Image.open(io.BytesIO(content)) as picture:
            assert np.array_equal(np.asarray(picture), expected)


def test_arrays_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    x, y = np.zeros((4, 8, 8), np.uint8), np.array([0, 1, 0, 1])
    np.savez(tmp_path / "lacking.npz", x_train=x, y_train=y, x_test=x)
    with pytest.raises(BadRequest, match=r"no array y_test.*x_train, y_train, x_test"):
        open_source(tmp_path / "lacking.npz")
    np.savez(tmp_path / "real.npz", x_train=x / 255, y_train=y, x_test=x, y_test=y)
    with pytest.raises(BadRequest, match=r"x_train .* float64; needed are"):
        open_source(tmp_path / "real.npz")
    np.savez(tmp_path / "short.npz", x_train=x, y_train=y[:3], x_test=x, y_test=y)
    with pytest.raises(BadRequest, match="4 class numbers"):
        open_source(tmp_path / "short.npz")
    (tmp_path / "no.npz").write_bytes(b"PK no")
    with pytest.raises(BadRequest, match=r"no\.npz cannot be read"):
        open_source(tmp_path / "no.npz")


def test_without_a_test_part_a_sixth_is_split_off_by_seed(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "all", per_class=24)
    prepared = _prepare(folder, tmp_path / "work")
    assert prepared.split_off
    assert prepared.train + prepared.test == 72
    assert all(1 <= _labels(prepared, "test").count(label) <= 4 for label in prepared.classes)
    again = _prepare(folder, tmp_path / "again")
    assert [i.key for i in again.test_images()] == [i.key for i in prepared.test_images()]
    other = _prepare(folder, tmp_path / "work", seed=1)
    assert {i.key for i in other.test_images()} != {i.key for i in prepared.test_images()}


def test_copies_stay_on_one_side(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "all", per_class=20)
    for path in sorted(folder.rglob("*.png")):
        path.with_stem(f"{path.stem}-copy").write_bytes(path.read_bytes())
    prepared = _prepare(folder, tmp_path / "work")
    train, test = prepared.training_images(), prepared.test_images()
    assert test
    assert not {i.key for i in train} & {i.key for i in test}


def test_a_smaller_part_lies_within_a_larger_one(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "digits", "train", "test", per_class=12)
    few, more = (_prepare(folder, tmp_path / "work", Most(n, n)) for n in (3, 7))
    assert (few.train, few.test, more.train) == (9, 9, 21)
    assert {i.key for i in few.training_images()} <= {i.key for i in more.training_images()}
    assert _prepare(folder, tmp_path / "work", Most(total=15)).train == 15
    assert "drawn by the seed" in " ".join(few.sentences())


def test_unreadable_files_are_counted_and_named(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "digits", "train", "test")
    (folder / "train" / "1" / "bad.png").write_bytes(b"no picture")
    (folder / "README.txt").write_text("in no class")
    prepared = _prepare(folder, tmp_path / "work")
    assert prepared.unreadable == ("train/1/bad.png",)
    assert prepared.unused == {"in no class folder": 1}
    assert "bad.png" in " ".join(prepared.sentences())


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for part in ("train", "test"):
        for label in ("train", "plane"):
            (root / part / label).mkdir(parents=True)
            (root / part / label / f"{part}.png").write_bytes(pictures(1, 1)[0][0])
    found = listing(open_source(root))
    assert {(name, label) for _, name, label in found.train} == {
        ("train/train/train.png", "train"),
        ("train/plane/train.png", "plane"),
    }
    assert {label for _, _, label in found.test} == {"train", "plane"}


def test_one_of_several_sets_is_found_by_its_usual_name(tmp_path: Path) -> None:
    for name in ("mnist.npz", "cifar10.zip", "cifar-100-images.zip", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "weights").mkdir()
    arrays = {"x_train": np.zeros((4, 8, 8), np.uint8), "y_train": np.array([0, 1, 0, 1])}
    np.savez(tmp_path / "mnist.npz", **arrays, x_test=arrays["x_train"], y_test=arrays["y_train"])
    (source,) = find_sources(tmp_path, _MNIST)
    assert source.name == "mnist"
    with pytest.raises(BadRequest, match=r"holds .*mnist\.npz.*looked for was .*stl10\*"):
        find_sources(tmp_path, DataWanted("STL-10", ("stl10",)))
    with pytest.raises(BadRequest, match="a single data set"):
        find_sources(tmp_path, _ANY)
    assert is_named("CIFAR-10.zip", "cifar10") and not is_named("cifar100.zip", "cifar10")
    assert (title("cifar-100-images"), title("shop")) == ("CIFAR-100", "shop")


def test_a_lone_set_is_taken_whatever_its_name(tmp_path: Path) -> None:
    _folder(tmp_path / "sets" / "shop", "train", "test")
    (source,) = find_sources(tmp_path / "sets", _MNIST)
    assert source.name == "shop"


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="There is no file or folder"):
        find_sources(tmp_path / "nowhere", _ANY)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadRequest, match="nothing that looks like a data set"):
        find_sources(tmp_path / "empty", _ANY)
    (tmp_path / "page.html").write_text("<html>")
    with pytest.raises(BadArchive, match=r"neither a zip nor a tar archive nor an \.npz"):
        find_sources(tmp_path / "page.html", _ANY)
    one = _folder(tmp_path / "one", "train", "test", classes=1)
    with pytest.raises(BadRequest, match="in 1 classes; needed are at least two"):
        listing(open_source(one))
