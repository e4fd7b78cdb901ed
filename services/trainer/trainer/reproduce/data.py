"""The data set that `--data` names: found, and told apart into training and test pictures."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from kinsight.errors import BadRequest
from trainer.reproduce.base import DataWanted
from trainer.reproduce.sources import (
    FILE_SUFFIXES,
    PICTURE_SUFFIXES,
    DataSource,
    FolderSource,
    open_source,
)

Part = Literal["train", "test", "validation"]
_PARTS: dict[str, Part] = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}
_LAYOUTS = (
    "a folder with train/ and test/ that hold a folder of pictures per class, a folder of such "
    "class folders, a zip or tar of either, or an .npz file with x_train, y_train, x_test, y_test"
)


@dataclass(frozen=True)
class Listing:
    """Which files of a source are what: (number, name, class) of each.

    test is empty where the source has no such part. unused: files left out, by reason.
    """

    train: list[tuple[int, str, str]]
    test: list[tuple[int, str, str]]
    unused: dict[str, int]


def find_sources(path: Path, wanted: DataWanted) -> list[DataSource]:
    """The data sets to use, one of each usual name; raises BadRequest saying what is there."""
    if not path.exists():
        raise BadRequest(f"There is no file or folder {path}; --data takes {_LAYOUTS}.")
    if not path.is_dir():
        return [open_source(path)]
    if _is_data_set(path):
        return [FolderSource(path)]
    entries = sorted(
        (entry for entry in path.iterdir() if _is_entry(entry)),
        key=lambda entry: (len(entry.name), entry.name),
    )
    named = [
        next((entry for entry in entries if _has_name(entry, name)), None) for name in wanted.sets
    ]
    chosen = [entry for entry in named if entry is not None]
    if not chosen and len(entries) == 1:
        chosen = entries
    if chosen:
        return [open_source(entry) for entry in dict.fromkeys(chosen)]
    if not entries and _class_folders(path):
        return [FolderSource(path)]
    found = ", ".join(entry.name for entry in entries) or "nothing that looks like a data set"
    usual = " or ".join(f"{name}*" for name in wanted.sets)
    looked_for = f"a file or folder named {usual}" if usual else "a single data set"
    raise BadRequest(
        f"{path} holds {found}; looked for was {looked_for} ({wanted.description}). Name the data "
        f"set itself: {_LAYOUTS}."
    )


def listing(source: DataSource) -> Listing:
    """Raises BadRequest where there are no training pictures or fewer than two classes.

    The class is the last folder, the part (train, test, validation) a folder above it. Where a
    set has both test and validation, the test part is what is measured on.
    """
    by_part: dict[Part | None, list[tuple[int, str, str]]] = {}
    unused: Counter[str] = Counter()
    for number, name in source.files():
        place = _place(name)
        if place is None:
            unused["in no class folder"] += 1
            continue
        part, label = place
        by_part.setdefault(part, []).append((number, name, label))
    if by_part.keys() - {None}:
        unused["beside the folders train and test"] += len(by_part.pop(None, []))
        train, test = by_part.get("train", []), by_part.get("test", [])
        if test:
            unused["in the part validation, as there is a part test"] += len(
                by_part.get("validation", [])
            )
        else:
            test = by_part.get("validation", [])
    else:
        train, test = by_part.get(None, []), []
    classes = {label for _, _, label in train}
    if len(classes) < 2:
        raise BadRequest(
            f"{source.path} has {len(train)} training pictures in {len(classes)} classes; needed "
            f"are at least two classes in {_LAYOUTS}."
        )
    foreign = [entry for entry in test if entry[2] not in classes]
    unused["of test classes without training pictures"] += len(foreign)
    test = [entry for entry in test if entry[2] in classes]
    return Listing(train, test, {reason: n for reason, n in unused.items() if n})


def usual_name(text: str) -> str:
    """`CIFAR-10_full.zip` as `cifar10full.zip`: how names of data sets are compared."""
    return re.sub(r"[-_ ]", "", text.lower())


def is_named(text: str, name: str) -> bool:
    """Whether a file or set of this name is the usual `name`: cifar10 is not cifar100."""
    return re.match(rf"{re.escape(name)}(?!\d)", usual_name(text)) is not None


def title(name: str) -> str:
    """How a data set is called: `MNIST` for a file mnist.npz."""
    known = (written for usual, written in _TITLES.items() if is_named(name, usual))
    return next(known, name)


_TITLES = {"mnist": "MNIST", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}


def _has_name(entry: Path, name: str) -> bool:
    return is_named(entry.name, name)


def _place(name: str) -> tuple[Part | None, str] | None:
    """Part and class by the folders of a file's name; None without a class folder.

    A class may itself be called `train`: only folders above the class folder name a part.
    """
    folders = PurePosixPath(name).parts[:-1]
    if not folders:
        return None
    parts = (_PARTS.get(folder.lower()) for folder in folders[:-1])
    return next((part for part in parts if part), None), folders[-1]


def _is_entry(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return _is_data_set(path)
    return path.name.lower().endswith(FILE_SUFFIXES)


def _is_data_set(path: Path) -> bool:
    """Whether a folder is divided into parts that hold class folders."""
    return any(
        folder.is_dir()
        and _PARTS.get(folder.name.lower()) == "train"
        and any(child.is_dir() for child in folder.iterdir())
        for folder in path.iterdir()
    )


def _class_folders(path: Path) -> bool:
    return any(
        child.suffix.lower() in PICTURE_SUFFIXES
        for folder in path.iterdir()
        if folder.is_dir()
        for child in folder.iterdir()
    )
