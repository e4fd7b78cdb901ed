"""A Kinsight started by its own command, and what a test can see of it from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from kinsight.clients import Kinsight

KINSIGHT = (sys.executable, "-m", "kinsight.cli.app")
_START_SECONDS = 120.0
_STOP_SECONDS = 40.0


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.stdout)


@dataclass
class System:
    process: subprocess.Popen[bytes]
    data_dir: Path
    url: str
    output: Path

    def run(self, *arguments: str, seconds: float = 300.0) -> Finished:
        """One command of the command line against this system."""
        done = subprocess.run(
            [*KINSIGHT, *arguments],
            capture_output=True,
            text=True,
            timeout=seconds,
            env={**os.environ, "KINSIGHT_URL": self.url},
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def unchanged(self, *parts: str) -> Iterator[None]:
        """What happens inside leaves these parts as they were; without any named, all.

        Uploads may be swept meanwhile, but none may be left.
        """
        before = self._state()
        yield
        after = self._state()
        for part in parts or before:
            if part == "uploads":
                assert set(after[part]) <= set(before[part])
            else:
                assert after[part] == before[part], part

    def _state(self) -> dict[str, list[Any]]:
        with Kinsight(self.url) as client:
            return {
                "libraries": [library.model_dump() for library in client.libraries()],
                "models": [(model.id, model.live) for model in client.models()],
                "jobs": [(job.id, job.state) for job in client.jobs()],
                "uploads": self.files("uploads"),
                "weights": self.files("weights"),
            }

    def files(self, part: str) -> list[str]:
        """The files below one part of the store."""
        folder = self.data_dir / "store" / part
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends it as a user or an init system would; no process of it may be left."""
        children = self.children()
        self.process.send_signal(number)
        code = self.process.wait(_STOP_SECONDS)
        gone, alive = psutil.wait_procs(children, timeout=5)
        assert not alive, f"left behind: {alive}"
        assert len(gone) == len(children)
        return code


@contextmanager
def up(
    data_dir: Path, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[System]:
    """`kinsight up` on free ports; returns once it is ready, and stops it at the end."""
    output = data_dir.with_name(f"{data_dir.name}.out")
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [*KINSIGHT, "up", "--port", "0", "--data-dir", str(data_dir), *options],
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        )
    try:
        system = System(process, data_dir, _wait_ready(process, data_dir, output), output)
        yield system
        if process.poll() is None:
            assert system.stop() == 0
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(_STOP_SECONDS)


def _wait_ready(process: subprocess.Popen[bytes], data_dir: Path, output: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, output.read_text()
        if "Kinsight runs at " in output.read_text():
            return str(json.loads((data_dir / "run.json").read_text())["url"])
        time.sleep(0.05)
    raise AssertionError(f"not ready in time: {output.read_text()}")
