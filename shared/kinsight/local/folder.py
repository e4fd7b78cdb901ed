"""The data folder of an embedded instance: where it is, what is in it, which run it belongs to."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from kinsight.errors import StartFailed


def default_data_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """KINSIGHT_DATA_DIR, else the platform's place for a user's application data."""
    if chosen := environment.get("KINSIGHT_DATA_DIR"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "kinsight"
    # The XDG base directory specification has relative values ignored.
    base = Path(environment.get("XDG_DATA_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "share") / "kinsight"


def make_data_dir(folder: Path) -> None:
    """Makes the folder when it is missing; StartFailed when it cannot be written to."""
    # Started by root, PostgreSQL runs as another user, who must get through to its own folder.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, mode=mode)
    except OSError as error:
        raise StartFailed(
            f"{folder} cannot be made ({error.strerror}); choose another folder with --data-dir."
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StartFailed(
            f"{folder} cannot be written to; choose another folder with --data-dir, or start "
            "Kinsight as the user it belongs to."
        )


@dataclass(frozen=True)
class RunRecord:
    """`run.json`: what other commands need to know of a running instance."""

    instance: str
    supervisor_pid: int
    url: str
    ports: dict[str, int]
    pids: dict[str, int]
    postgres_pid: int | None
    database_url: str
    store_url: str
    started_at: str

    def write(self, folder: Path) -> None:
        """Replaces the file as a whole, so that no reader sees half of it."""
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".run-")
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(self), file, indent=2)
        Path(temporary).replace(run_file(folder))


def run_file(folder: Path) -> Path:
    return folder / "run.json"


def read_run(folder: Path) -> RunRecord | None:
    """The record of the run that is on, or of one that was killed; None after a clean stop."""
    try:
        return RunRecord(**json.loads(run_file(folder).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
