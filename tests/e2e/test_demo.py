"""`kinsight demo`: the whole loop, measured, with nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from e2e.system import KINSIGHT

pytestmark = pytest.mark.slow


def _demo(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*KINSIGHT, "demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"},
    )


def test_demo_passes_and_leaves_nothing(tmp_path: Path) -> None:
    process = _demo(tmp_path, "--json")
    output, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    outcome = json.loads(output)
    assert outcome["passed"] is True
    assert outcome["evaluation"]["queries"] == 300
    row = next(
        row
        for row in outcome["evaluation"]["results"]
        if (row["space"], row["routing"]) == ("auto", "adaptive")
    )
    assert row["p_at_1"] >= 0.97
    assert row["p_at_10"] >= 0.95
    assert len(outcome["search"]["hits"]) == 10
    assert list(tmp_path.glob("kinsight-demo-*")) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_stopped_in_the_middle_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    process = _demo(tmp_path)
    assert process.stderr is not None
    while "Sending the sample" not in process.stderr.readline():
        assert process.poll() is None
    children = psutil.Process(process.pid).children(recursive=True)
    began = time.monotonic()
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert output == ""
    assert time.monotonic() - began < 30
    assert not psutil.wait_procs(children, timeout=5)[1]
    assert list(tmp_path.glob("kinsight-demo-*")) == []
