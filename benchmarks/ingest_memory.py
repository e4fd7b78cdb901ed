"""How fast a bulk ingest is, and how much memory the services take for it.

python benchmarks/ingest_memory.py --data-dir DIR --archive cifar10.zip --library cifar10 [--again]

Sends one archive to a running `kinsight up`, whose processes it finds by run.json in the data
folder, and prints files per second and the growth of each service's resident memory from before
the upload to its highest point. --again sends it once more: every file must be a duplicate then.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from kinsight.clients import Kinsight
from kinsight.errors import KinsightError

_EVERY_SECONDS = 0.1
_OUTCOMES = ("indexed", "stored", "duplicate", "rejected")


@dataclass
class MemoryWatch:
    """Resident memory of processes and their children, in MB, while the block runs."""

    pids: dict[str, int]
    before: dict[str, float] = field(default_factory=dict)
    highest: dict[str, float] = field(default_factory=dict)
    _done: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self.before = {name: resident_mb(pid) for name, pid in self.pids.items()}
        self.highest = dict(self.before)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def growth(self) -> dict[str, float]:
        return {name: round(self.highest[name] - self.before[name], 1) for name in self.pids}

    def _watch(self) -> None:
        while not self._done.wait(_EVERY_SECONDS):
            for name, pid in self.pids.items():
                self.highest[name] = max(self.highest[name], resident_mb(pid))


def resident_mb(pid: int) -> float:
    total = 0
    try:
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            total += one.memory_info().rss
    except psutil.NoSuchProcess:  # it ended meanwhile: what was counted so far is what there was
        pass
    return total / 1e6


def ingest(client: Kinsight, arguments: argparse.Namespace, pids: dict[str, int]) -> dict[str, Any]:
    with MemoryWatch(pids) as memory:
        began = time.monotonic()
        job = client.index_batch(arguments.library, [arguments.archive])
        uploaded = time.monotonic()
        job = client.wait(job.id)
        ended = time.monotonic()
    totals = {name: int((job.result or {}).get(name, 0)) for name in _OUTCOMES}
    files = sum(totals.values())
    return {
        "state": str(job.state),
        "error": job.error,
        "totals": totals,
        "files": files,
        "upload_seconds": round(uploaded - began, 2),
        "seconds": round(ended - began, 2),
        "files_per_second": round(files / (ended - began), 1),
        "resident_before_mb": {name: round(value, 1) for name, value in memory.before.items()},
        "resident_growth_mb": memory.growth(),
    }


def print_run(run: dict[str, Any]) -> None:
    totals = ", ".join(f"{count:,} {name}" for name, count in run["totals"].items())
    print(f"{run['files']:,} files ({totals}) in {run['seconds']:,.1f} s, of which the upload took")
    print(f"{run['upload_seconds']:,.1f} s: {run['files_per_second']:,.1f} files/s")
    print(f"\n{'resident memory, MB':24}{'before':>10}{'growth':>10}")
    for name, before in run["resident_before_mb"].items():
        print(f"  {name:22}{before:>10.1f}{run['resident_growth_mb'][name]:>10.1f}")
    print()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="of the running kinsight up")
    parser.add_argument("--archive", type=Path, required=True, help="zip or tar of class folders")
    parser.add_argument("--library", required=True)
    parser.add_argument("--again", action="store_true", help="send it a second time")
    parser.add_argument("--limit-mb", type=float, help="growth of gateway or indexer; else exit 1")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    arguments = parser.parse_args()
    try:
        record = json.loads((arguments.data_dir / "run.json").read_text())
    except FileNotFoundError:
        print(f"No kinsight up runs on {arguments.data_dir}.", file=sys.stderr)
        return 1
    runs = []
    try:
        with Kinsight(record["url"], os.environ.get("KINSIGHT_API_KEY")) as client:
            for _ in range(2 if arguments.again else 1):
                runs.append(ingest(client, arguments, record["pids"]))
                if not arguments.json:
                    print_run(runs[-1])
    except KinsightError as error:
        print(f"{error.title}: {error.detail}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps({"runs": runs}, indent=2))
    return 0 if all(passed(run, arguments.limit_mb) for run in runs) else 1


def passed(run: dict[str, Any], limit_mb: float | None) -> bool:
    growth = max(run["resident_growth_mb"][name] for name in ("gateway", "indexer"))
    return run["state"] == "succeeded" and (limit_mb is None or growth <= limit_mb)


if __name__ == "__main__":
    sys.exit(main())
