"""Log files that child processes write themselves, kept to a bounded size."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

_BLOCK = 1 << 20


class LogFile:
    """One log file and its older parts `NAME.1`, `NAME.2`, …, newest first.

    The child writes straight to the file, so its last words are there even when the parent is
    dead or slow. The parent calls `rotate_if_large` now and then; since the child keeps its
    descriptor, the contents move and the file stays.
    """

    def __init__(self, path: Path, *, max_bytes: int = 10 << 20, parts: int = 3) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.parts = parts

    def open(self) -> int:
        """A descriptor to hand to a child; every write goes to the present end of the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def rotate_if_large(self) -> bool:
        """Moves the contents to `NAME.1` when they exceed `max_bytes`; says whether it did."""
        try:
            if self.path.stat().st_size <= self.max_bytes:
                return False
        except FileNotFoundError:
            return False
        for number in range(self.parts - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                self._part(number).replace(self._part(number + 1))
        # Writers append (O_APPEND), so what they write after the cut lands at the new beginning.
        # A line written between the last read and the cut is lost: a log may, data may not.
        self._part(1).touch(mode=0o600)
        with self.path.open("r+b") as source, self._part(1).open("wb") as target:
            shutil.copyfileobj(source, target, _BLOCK)
            source.truncate(0)
        return True

    def tail(self, lines: int = 10, *, since: int = 0) -> list[str]:
        """The last lines written, but none from before the byte offset `since`."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                # After a rotation the old offset says nothing.
                start = max(since if since <= size else 0, size - 64 * 1024)
                file.seek(start)
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return []
        return [line for line in text.splitlines() if line.strip()][-lines:]

    def size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def _part(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")
