"""One owner per data folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from kinsight.errors import AlreadyRunning


class FolderLock:
    """A lock the kernel releases when its owner dies, however it dies (flock(2))."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def acquire(self) -> None:
        """Takes the lock, or raises AlreadyRunning with the owner's process id."""
        if self.held:
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise AlreadyRunning(
                f"Another Kinsight (process {owner}) is running on {self.path.parent}; stop it "
                "first, or choose another folder with --data-dir and another --port.",
                owner=owner,
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Gives the lock back; the file stays, so that two owners never lock different files."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
