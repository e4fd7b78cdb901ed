"""Zip and tar archives as sources, read member by member."""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TypeVar

from kinsight.archives.members import (
    Archive,
    Labels,
    Member,
    archive_inside,
    clean,
    label_of,
    too_large,
    unsafe_name,
)
from kinsight.errors import BadArchive

_Made = TypeVar("_Made")
_ENCRYPTED = 0x1
# Pictures hardly get smaller when packed; what does so by more than this is made to do harm.
_UNPACKED_TIMES = 100
_UNPACKED_BYTES = 1 << 30
# What damaged members raise: each costs that member only.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    NotImplementedError,  # zipfile: a compression method Python does not know
    RuntimeError,  # zipfile: a password is needed
)


def open_archive(path: Path, labels: Labels, max_bytes: int) -> Archive:
    """Raises BadArchive where the file is neither a zip nor a tar archive, or holds no file."""
    source = _open(path, labels, max_bytes)
    if source.total == 0:
        raise BadArchive("The archive holds no files.")
    return source


def _open(path: Path, labels: Labels, max_bytes: int) -> Archive:
    if zipfile.is_zipfile(path):
        return ZipSource(path, labels, max_bytes)
    try:
        with tarfile.open(path) as archive:
            archive.next()
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise BadArchive(
            "The upload is neither a zip nor a tar archive, or it is cut short; send the pictures"
            " as one zip or tar, or as multipart `files`."
        ) from error
    return TarSource(path, labels, max_bytes)


class ZipSource:
    def __init__(self, path: Path, labels: Labels, max_bytes: int) -> None:
        self._path = path
        self._labels = labels
        self._max_bytes = max_bytes
        try:
            with zipfile.ZipFile(path) as archive:
                self.total: int | None = sum(not info.is_dir() for info in archive.infolist())
        except (zipfile.BadZipFile, OSError) as error:
            raise BadArchive(f"The zip archive cannot be read: {error}.") from error

    def members(self, start: int) -> Iterator[Member]:
        return self._members(lambda number: number >= start)

    def names(self) -> Iterator[tuple[int, str]]:
        with zipfile.ZipFile(self._path) as archive:
            files = (info for info in archive.infolist() if not info.is_dir())
            yield from ((number, clean(info.filename)) for number, info in enumerate(files))

    def chosen(self, numbers: Collection[int]) -> Iterator[Member]:
        return self._members(numbers.__contains__)

    def _members(self, wanted: Callable[[int], bool]) -> Iterator[Member]:
        with zipfile.ZipFile(self._path) as archive:
            files = (info for info in archive.infolist() if not info.is_dir())
            for number, info in enumerate(files):
                if wanted(number):
                    yield self._member(archive, info, number)

    def _member(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, number: int) -> Member:
        name = clean(info.filename)
        reason = unsafe_name(info.filename)
        data = b""
        if reason is None and info.flag_bits & _ENCRYPTED:
            reason = "Encrypted; send the archive without a password."
        if reason is None and info.file_size > self._max_bytes:
            reason = too_large(self._max_bytes)
        if reason is None:
            try:
                # The size in the header is the sender's word only: never read further.
                with archive.open(info) as file:
                    data = file.read(self._max_bytes + 1)
            except _DAMAGE as error:
                reason = f"Damaged inside the archive: {error}."
            else:
                reason = _unusable(data, self._max_bytes)
        return Member(number, name, label_of(name, self._labels), b"" if reason else data, reason)


class TarSource:
    """Plain or compressed; read forward only, so that any size works."""

    def __init__(self, path: Path, labels: Labels, max_bytes: int) -> None:
        self._path = path
        self._labels = labels
        self._max_bytes = max_bytes
        self.total = self._count()

    def members(self, start: int) -> Iterator[Member]:
        return self._each(self._member, lambda number: number >= start)

    def names(self) -> Iterator[tuple[int, str]]:
        return self._each(lambda _, info, number: (number, clean(info.name)), lambda _: True)

    def chosen(self, numbers: Collection[int]) -> Iterator[Member]:
        return self._each(self._member, numbers.__contains__)

    def _each(
        self,
        made: Callable[[tarfile.TarFile, tarfile.TarInfo, int], _Made],
        wanted: Callable[[int], bool],
    ) -> Iterator[_Made]:
        number = 0
        try:
            with tarfile.open(self._path, "r|*") as archive:
                for info in archive:
                    archive.members = []  # type: ignore[attr-defined]  # else every header is kept
                    self._check_unpacked(info.offset_data + info.size)
                    if info.isdir():
                        continue
                    if wanted(number):
                        yield made(archive, info, number)
                    number += 1
        except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise BadArchive(
                f"The tar archive breaks off after {number} files ({error}); those before it are"
                " in the library. Send it again: what is there already is not stored twice."
            ) from error

    def _check_unpacked(self, size: int) -> None:
        """Raises BadArchive before a bomb is read through: even what is left out is unpacked."""
        if size > _UNPACKED_BYTES + _UNPACKED_TIMES * self._path.stat().st_size:
            raise BadArchive(
                f"The archive unpacks to more than {_UNPACKED_TIMES} times its size; send pictures"
                " as a plain tar or a zip."
            )

    def _count(self) -> int | None:
        """Known beforehand for a plain tar; a compressed one would have to be unpacked for it."""
        count = 0
        try:
            with tarfile.open(self._path, "r:") as archive:
                for info in archive:
                    archive.members = []  # type: ignore[attr-defined]
                    count += not info.isdir()
        except tarfile.TarError:
            return None
        return count

    def _member(self, archive: tarfile.TarFile, info: tarfile.TarInfo, number: int) -> Member:
        name = clean(info.name)
        reason = unsafe_name(info.name)
        data = b""
        if reason is None and not info.isreg():
            reason = "A link or a device, not a file."
        if reason is None and info.size > self._max_bytes:
            reason = too_large(self._max_bytes)
        if reason is None:
            file = archive.extractfile(info)
            data = file.read() if file else b""
            reason = _unusable(data, self._max_bytes)
        return Member(number, name, label_of(name, self._labels), b"" if reason else data, reason)


def _unusable(data: bytes, max_bytes: int) -> str | None:
    if len(data) > max_bytes:
        return too_large(max_bytes)
    return archive_inside(data) if data else "The file is empty."
