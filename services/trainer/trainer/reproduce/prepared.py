"""A data set in the store of a reproduction: pictures as blobs, their labels as training sets.

Written once for every choice of pictures; a resumed or repeated run uses it again. What is lost
in a power cut is read from the source again, so nothing here waits for the disk.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from kinsight.contracts.libraries import TrainingImage
from kinsight.errors import BadRequest, KinsightError
from kinsight.images.decode import decode
from kinsight.images.limits import Limits
from kinsight.images.perceptual import difference_hash
from kinsight.images.preprocess import decode_target
from kinsight.store import blob_key
from trainer.reproduce.data import listing, title
from trainer.reproduce.drawing import Most, both, draw, sixth
from trainer.reproduce.sources import DataSource
from trainer.training.seeds import generator
from trainer.training.spec import read_training_set

_BATCH = 512
_NAMED = 20


@dataclass(frozen=True)
class Prepared:
    """A data set as the training code takes it.

    folder holds train.ndjson and test.ndjson, one TrainingImage a line. side: median of the
    pictures' shorter sides, in pixels.
    """

    folder: Path
    name: str
    source: str
    classes: tuple[str, ...]
    train: int
    test: int
    side: int
    available: tuple[int, int]  # training and test pictures of the whole source
    split_off: bool  # the source has no test part: a sixth was taken for it
    unreadable: tuple[str, ...]  # names
    unused: dict[str, int]

    @property
    def title(self) -> str:
        return title(self.name)

    @property
    def training_set(self) -> Path:
        return self.folder / "train.ndjson"

    @property
    def key(self) -> str:
        return self.folder.name

    def test_images(self) -> list[TrainingImage]:
        return read_training_set(self.folder / "test.ndjson")

    def training_images(self) -> list[TrainingImage]:
        return read_training_set(self.training_set)

    def sentences(self) -> list[str]:
        """What was used, and what was not."""
        told = [
            f"{self.title} ({self.source}): {self.train:,} training and {self.test:,} test "
            f"pictures in {len(self.classes)} classes, typically {self.side} pixels on the "
            "shorter side."
        ]
        if (self.train, self.test) != self.available and not self.split_off:
            told.append(
                f"The set has {self.available[0]:,} training and {self.available[1]:,} test "
                "pictures; the scale takes a part of them, drawn by the seed."
            )
        if self.split_off:
            told.append(
                f"The set has {sum(self.available):,} pictures and no test part: a sixth of "
                "those taken was split off by the seed, near-duplicates kept on one side."
            )
        told += [f"{count:,} files {reason}: left out." for reason, count in self.unused.items()]
        if self.unreadable:
            names = ", ".join(self.unreadable[:_NAMED])
            told.append(f"{len(self.unreadable)} files could not be read and are left out: {names}")
        return told


def prepare(
    source: DataSource, most: Most, *, seed: int, work: Path, say: Callable[[str], None]
) -> Prepared:
    """Raises BadRequest, BadArchive where the source holds no usable pictures."""
    described = json.dumps([source.stamp(), asdict(most), seed])
    key = f"{source.name[:40]}-{hashlib.sha256(described.encode()).hexdigest()[:12]}"
    folder = work / "data" / key
    if not (folder / "about.json").exists():
        _write(source, most, seed, work / "store", folder, say)
    about: dict[str, Any] = json.loads((folder / "about.json").read_text())
    about["classes"], about["unreadable"] = tuple(about["classes"]), tuple(about["unreadable"])
    about["available"] = (about["available"][0], about["available"][1])
    return Prepared(folder=folder, **about)


def _write(
    source: DataSource, most: Most, seed: int, store: Path, folder: Path, say: Callable[[str], None]
) -> None:
    found = listing(source)
    split_off = not found.test
    classes = sorted({label for _, _, label in found.train})
    if most.classes is not None and len(classes) > most.classes:
        drawn = generator(seed, "classes").permutation(len(classes))[: most.classes]
        classes = [classes[i] for i in sorted(drawn)]
    share = most.of_class(len(classes))
    train = draw(found.train, classes, both(share, most.test) if split_off else share, seed)
    test = draw(found.test, classes, most.test, seed)
    say(f"reading {len(train) + len(test):,} pictures of {source.name}")
    by_number = {number: (name, label) for number, name, label in [*train, *test]}
    images: list[TrainingImage] = []
    unreadable: list[str] = []
    sides: list[int] = []
    with ThreadPoolExecutor(thread_name_prefix="prepare") as threads:
        for batch in _batches(source.read(by_number.keys())):
            for number, read in threads.map(lambda item: (item[0], _stored(item[1], store)), batch):
                name, label = by_number[number]
                if read is None:
                    unreadable.append(name)
                    continue
                sides.append(read[2])
                images.append(
                    TrainingImage(
                        image_id=number + 1,
                        key=read[0],
                        filename=name,
                        label=label,
                        perceptual_hash=read[1],
                    )
                )
            say(f"read {len(images):,} of {len(by_number):,} pictures of {source.name}")
    tested = {number + 1 for number, _, _ in test}
    if split_off:
        tested = sixth(images, seed)
    parts = [
        [image for image in images if (image.image_id in tested) == is_test]
        for is_test in (False, True)
    ]
    if not parts[0] or not parts[1]:
        raise BadRequest(
            f"{source.path} leaves {len(parts[0])} training and {len(parts[1])} test pictures "
            f"that can be read; {len(unreadable)} could not be read."
        )
    staged = folder.with_name(f".{folder.name}")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    for name, part in zip(("train", "test"), parts, strict=True):
        lines = "".join(f"{image.model_dump_json()}\n" for image in part)
        (staged / f"{name}.ndjson").write_text(lines, encoding="utf-8")
    about = {
        "name": source.name,
        "source": source.path.name,
        "classes": sorted({image.label for image in parts[0]}),
        "train": len(parts[0]),
        "test": len(parts[1]),
        "side": int(np.median(sides)),
        "available": (len(found.train), len(found.test)),
        "split_off": split_off,
        "unreadable": unreadable,
        "unused": found.unused,
    }
    (staged / "about.json").write_text(json.dumps(about, indent=1))
    shutil.rmtree(folder, ignore_errors=True)
    staged.rename(folder)


def _batches(
    items: Iterator[tuple[int, bytes | Path]],
) -> Iterator[list[tuple[int, bytes | Path]]]:
    while batch := list(islice(items, _BATCH)):
        yield batch


def _stored(content: bytes | Path, store: Path) -> tuple[str, int, int] | None:
    """Key, difference hash and shorter side of a picture put into the store; None if unreadable."""
    try:
        data = content.read_bytes() if isinstance(content, Path) else content
        decoded = decode(data, limits=Limits(), target=decode_target())
    except (KinsightError, OSError):
        return None
    key = blob_key(hashlib.sha256(data).hexdigest())
    path = store / key
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            _link(path, content)
        else:
            # Never half a blob under its name, whoever else writes the same or is stopped.
            whole = path.with_name(f".{path.name}-{threading.get_ident()}")
            whole.write_bytes(data)
            whole.replace(path)
    return key, difference_hash(decoded.image), min(decoded.width, decoded.height)


def _link(path: Path, target: Path) -> None:
    """A large data set is not copied."""
    try:
        path.symlink_to(target)
    except FileExistsError:
        pass
    except OSError:
        shutil.copyfile(target, path)
