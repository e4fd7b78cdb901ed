"""Where the pictures of a data set lie: a folder, an archive, arrays."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kinsight.archives import open_archive
from kinsight.errors import BadArchive, BadRequest
from kinsight.images.limits import Limits

FILE_SUFFIXES = (".npz", ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


class DataSource(Protocol):
    """name: of the data set. path: what the user named."""

    name: str
    path: Path

    def files(self) -> Iterator[tuple[int, str]]:
        """Number and name (`train/cat/1.png`) of every file, always in the same order."""
        ...

    def read(self, numbers: Collection[int]) -> Iterator[tuple[int, bytes | Path]]:
        """The files of these numbers: their bytes, or where they lie."""
        ...

    def stamp(self) -> str:
        """Changes when the data do."""
        ...


def open_source(path: Path) -> DataSource:
    """A source for the file or folder; raises BadRequest, BadArchive."""
    if path.is_dir():
        return FolderSource(path)
    if path.suffix.lower() == ".npz":
        return ArraySource(path)
    return ArchiveSource(path)


class FolderSource:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.resolve().name

    def files(self) -> Iterator[tuple[int, str]]:
        for number, path in enumerate(self._paths):
            yield number, path.relative_to(self.path).as_posix()

    def read(self, numbers: Collection[int]) -> Iterator[tuple[int, bytes | Path]]:
        for number in sorted(numbers):
            yield number, self._paths[number].resolve()

    def stamp(self) -> str:
        digest = hashlib.sha256(str(self.path.resolve()).encode())
        for path in self._paths:
            digest.update(f"{path}/{path.stat().st_size}".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    @cached_property
    def _paths(self) -> list[Path]:
        return sorted(
            path
            for path in self.path.rglob("*")
            if path.is_file()
            and not any(p.startswith(".") for p in path.relative_to(self.path).parts)
        )


class ArchiveSource:
    def __init__(self, path: Path) -> None:
        """Raises BadArchive."""
        try:
            self._archive = open_archive(path, "folders", Limits().max_bytes)
        except BadArchive as error:
            raise BadArchive(
                f"{path} is neither a zip nor a tar archive nor an .npz file, or it is damaged."
            ) from error
        self.path = path
        self.name = path.name.split(".")[0]

    def files(self) -> Iterator[tuple[int, str]]:
        return self._archive.names()

    def read(self, numbers: Collection[int]) -> Iterator[tuple[int, bytes | Path]]:
        for member in self._archive.chosen(frozenset(numbers)):
            yield member.number, member.data

    def stamp(self) -> str:
        return _file_stamp(self.path)


class ArraySource:
    """An .npz file as Keras hands out MNIST: x_train (N, H, W) or (N, H, W, 3) uint8, y_train (N,),
    and the same for test.
    """

    def __init__(self, path: Path) -> None:
        """Raises BadRequest naming the array that is missing or has another shape."""
        self.path = path
        self.name = path.stem
        try:
            with np.load(path, allow_pickle=False) as arrays:
                missing = [name for name in _ARRAYS if name not in arrays]
                if missing:
                    raise BadRequest(
                        f"{path} has no array {missing[0]}; needed are {', '.join(_ARRAYS)}, and "
                        f"it holds {', '.join(arrays.files) or 'none'}."
                    )
                held = {name: arrays[name] for name in _ARRAYS}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise BadRequest(f"{path} cannot be read as an .npz file: {error}.") from error
        self._parts = [
            (part, _pixels(path, held, part), _labels(path, held, part))
            for part in ("train", "test")
        ]

    def files(self) -> Iterator[tuple[int, str]]:
        number = 0
        width = len(str(max(int(labels.max(initial=0)) for _, _, labels in self._parts)))
        for part, _, labels in self._parts:
            for label in labels:
                yield number, f"{part}/{label:0{width}}/{number:07}.png"
                number += 1

    def read(self, numbers: Collection[int]) -> Iterator[tuple[int, bytes | Path]]:
        first = len(self._parts[0][1])
        for number in sorted(numbers):
            part = self._parts[number >= first]
            yield number, _png(part[1][number - first * (number >= first)])

    def stamp(self) -> str:
        return _file_stamp(self.path)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _pixels(path: Path, held: dict[str, Any], part: str) -> NDArray[np.uint8]:
    x = held[f"x_{part}"]
    if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[3] not in (1, 3):
        x = x.transpose(0, 2, 3, 1)
    if x.ndim == 4 and x.shape[3] == 1:
        x = x[..., 0]
    if x.dtype != np.uint8 or not (x.ndim == 3 or (x.ndim == 4 and x.shape[3] == 3)):
        raise BadRequest(
            f"x_{part} of {path} has shape {x.shape} of {x.dtype}; needed are grey pictures "
            "(N, height, width) or colour ones (N, height, width, 3) of uint8."
        )
    pixels: NDArray[np.uint8] = x
    return pixels


def _labels(path: Path, held: dict[str, Any], part: str) -> NDArray[np.int64]:
    y, count = held[f"y_{part}"], len(held[f"x_{part}"])
    if y.size != count or not np.issubdtype(y.dtype, np.integer) or y.min(initial=0) < 0:
        raise BadRequest(
            f"y_{part} of {path} has shape {y.shape} of {y.dtype}; needed are {count} class "
            "numbers from 0."
        )
    labels: NDArray[np.int64] = y.reshape(-1).astype(np.int64)
    return labels


def _png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _file_stamp(path: Path) -> str:
    stat = path.stat()
    return f"{path.resolve()}/{stat.st_size}/{stat.st_mtime_ns}"
