"""A folder of the server as a source, where KINSIGHT_INGEST_ROOTS allows it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from kinsight.archives.members import Labels, Member, clean, label_of, too_large
from kinsight.errors import FolderNotAllowed, InvalidRequest


def allowed_folder(folder: str, roots: Sequence[str]) -> Path:
    """The folder with all links followed; raises FolderNotAllowed, InvalidRequest."""
    if not roots:
        raise FolderNotAllowed(
            "This server reads no folders of its own; send the pictures as an archive, or name the"
            " allowed folders in KINSIGHT_INGEST_ROOTS."
        )
    path = Path(folder).resolve()
    if not any(path.is_relative_to(Path(root).resolve()) for root in roots):
        raise FolderNotAllowed(
            f"{folder} is outside the folders that KINSIGHT_INGEST_ROOTS allows."
        )
    if not path.is_dir():
        raise InvalidRequest(f"{folder} is not a folder of this server.")
    return path


class FolderSource:
    def __init__(self, folder: Path, labels: Labels, max_bytes: int) -> None:
        self._folder = folder
        self._labels = labels
        self._max_bytes = max_bytes
        self._paths = sorted(
            Path(parent, name)
            for parent, _, names in os.walk(folder, followlinks=False)
            for name in names
        )
        self.total: int | None = len(self._paths)

    def members(self, start: int) -> Iterator[Member]:
        for number, path in enumerate(self._paths[start:], start):
            yield self._member(path, number)

    def _member(self, path: Path, number: int) -> Member:
        # From the folder's own name on, so that its files are labelled by it.
        name = clean(path.relative_to(self._folder.parent).as_posix())
        reason = None
        data = b""
        if path.is_symlink() or not path.is_file():
            reason = "A link or a device, not a file."
        elif path.stat().st_size > self._max_bytes:
            reason = too_large(self._max_bytes)
        else:
            try:
                data = path.read_bytes()
            except OSError as error:
                reason = f"Cannot be read: {error.strerror}."
            else:
                reason = None if data else "The file is empty."
        return Member(number, name, label_of(name, self._labels), data, reason)
