"""Request bodies that are read from disk while they are sent, never held in memory.

A folder travels as one tar stream made on the way. Its length is known beforehand, so that the
server can refuse it at once and a progress bar has an end.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from kinsight.errors import BadRequest

ZIP, TAR, BYTES = "application/zip", "application/x-tar", "application/octet-stream"
_CHUNK = 1 << 18
_END = bytes(2 * tarfile.BLOCKSIZE)
_ARCHIVES = {".zip": ZIP, ".tar": TAR, ".tgz": TAR, ".gz": TAR, ".bz2": TAR, ".xz": TAR}

Sent = Callable[[int, int], None]
"""Called with the bytes sent so far and the bytes in all."""


@dataclass(frozen=True)
class Body:
    """What a request sends; `chunks` may be called again to send it once more."""

    media_type: str
    length: int
    source: Callable[[], Iterator[bytes]]
    on_sent: Sent | None = field(default=None, compare=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Type": self.media_type, "Content-Length": str(self.length)}

    def chunks(self) -> Iterator[bytes]:
        sent = 0
        for chunk in self.source():
            yield chunk
            sent += len(chunk)
            if self.on_sent:
                self.on_sent(sent, self.length)

    def watched(self, on_sent: Sent | None) -> Body:
        return replace(self, on_sent=on_sent)


@dataclass(frozen=True)
class Member:
    """One file of a tar stream."""

    name: str
    path: Path
    size: int


def bytes_body(data: bytes, media_type: str = BYTES) -> Body:
    return Body(media_type, len(data), lambda: iter((data,)))


def file_body(path: Path, media_type: str) -> Body:
    """Raises BadRequest where there is no such file."""
    size = _size(path)
    return Body(media_type, size, lambda: _read(path, size))


def pictures_body(paths: Sequence[Path]) -> Body:
    """An archive as it is; or folders and single pictures as one tar stream.

    Raises BadRequest for a path that is not there, an archive among other paths, or no file.
    """
    archives = [path for path in paths if archive_type(path)]
    if archives and len(paths) > 1:
        raise BadRequest(f"{archives[0].name} is an archive; send each archive by itself.")
    if archives:
        return file_body(archives[0], archive_type(archives[0]) or ZIP)
    return tar_body(members(paths))


def archive_type(path: Path) -> str | None:
    """The media type of a zip or tar archive by its name; None for anything else."""
    return None if path.is_dir() else _ARCHIVES.get(path.suffix.lower())


def members(paths: Sequence[Path]) -> list[Member]:
    """The files of folders and single files, sorted, names relative to the folder given.

    With several folders each keeps its own name in front, so that `hat/ shirt/` are two labels.
    Hidden files are left out, and so are links that lead out of their folder.
    """
    found: list[Member] = []
    for path in paths:
        if path.is_dir():
            prefix = f"{path.resolve().name}/" if len(paths) > 1 else ""
            found += [
                Member(prefix + file.relative_to(path).as_posix(), file, file.stat().st_size)
                for file in _files(path)
            ]
        else:
            found.append(Member(path.name, path, _size(path)))
    if not found:
        raise BadRequest(f"There is no file in {', '.join(map(str, paths)) or 'an empty list'}.")
    return found


def tar_body(files: Sequence[Member]) -> Body:
    heads = [_head(member) for member in files]
    length = sum(map(len, heads)) + sum(member.size + _padding(member) for member in files)

    def stream() -> Iterator[bytes]:
        for member, head in zip(files, heads, strict=True):
            yield head
            yield from _read(member.path, member.size)
            yield bytes(_padding(member))
        yield _END

    return Body(TAR, length + len(_END), stream)


def _files(folder: Path) -> Iterator[Path]:
    root = folder.resolve()
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(where, name)
            if name.startswith(".") or not file.is_file():
                continue
            if file.is_symlink() and not file.resolve().is_relative_to(root):
                continue
            yield file


def _head(member: Member) -> bytes:
    info = tarfile.TarInfo(member.name)
    info.size = member.size
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _padding(member: Member) -> int:
    return -member.size % tarfile.BLOCKSIZE


def _size(path: Path) -> int:
    if not path.is_file():
        raise BadRequest(f"There is no file {path}.")
    return path.stat().st_size


def _read(path: Path, size: int) -> Iterator[bytes]:
    """Exactly `size` bytes, which the head has promised; raises BadRequest for a shorter file."""
    with path.open("rb") as file:
        left = size
        while left:
            chunk = _take(file, left)
            if not chunk:
                raise BadRequest(f"{path} became shorter while it was sent; send it again.")
            left -= len(chunk)
            yield chunk


def _take(file: BinaryIO, left: int) -> bytes:
    return file.read(min(_CHUNK, left))
