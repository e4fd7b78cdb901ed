"""One file of an archive, a folder or a list of addresses, as its source hands it over."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Literal, Protocol

Labels = Literal["folders", "none"]
_NAME_LENGTH = 1000
_LABEL_LENGTH = 200


@dataclass(frozen=True)
class Member:
    """A file with its bytes, or with the reason why it has none."""

    number: int
    name: str
    label: str | None
    data: bytes = b""
    reason: str | None = None

    @cached_property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.data).digest()


class Source(Protocol):
    """Files in a fixed order, so that an interrupted ingest goes on where it stopped."""

    total: int | None

    def members(self, start: int) -> Iterator[Member]:
        """The files from number `start` on."""
        ...


class Archive(Source, Protocol):
    """A source whose files can be listed, and some of them read, without reading all."""

    def names(self) -> Iterator[tuple[int, str]]:
        """Number and name of every file."""
        ...

    def chosen(self, numbers: Collection[int]) -> Iterator[Member]:
        """The files of these numbers, in ascending order."""
        ...


def label_of(name: str, labels: Labels) -> str | None:
    """The last folder of a file's name."""
    folder = PurePosixPath(name).parent.name
    return clean(folder, _LABEL_LENGTH) if labels == "folders" and folder else None


def clean(text: str, length: int = _NAME_LENGTH) -> str:
    """Text that Postgres takes: no NUL, no half surrogates, not endless."""
    return (
        text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")[:length]
    )


def unsafe_name(name: str) -> str | None:
    """Why a name in an archive is refused, or None."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        return "The name leads out of the archive."
    if "__MACOSX" in path.parts or path.name.startswith("._"):
        return "A resource file of macOS, not a picture."
    return None


def too_large(limit: int) -> str:
    return f"Larger than {limit >> 20} MB, the most this server takes per image."


ARCHIVE_MAGIC = (b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")


def archive_inside(data: bytes) -> str | None:
    """Archives inside archives are not opened: that is how zip bombs are built."""
    inside = data.startswith(ARCHIVE_MAGIC) or data[257:262] == b"ustar"
    return "An archive inside the archive; send it by itself." if inside else None
