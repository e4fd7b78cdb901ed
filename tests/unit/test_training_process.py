"""The training process from outside: events, signals, kills."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from training_set import QUICK, prepare, stored_network

from kinsight.contracts.jobs import Progress
from kinsight.contracts.models import CurvePoint, ModelCard

Event = dict[str, Any]
LONG = {**QUICK, "epochs": 2000, "checkpoint_seconds": 0.1}
_DEADLINE = 60.0


@contextmanager
def _process(spec: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer.training.process", str(spec)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _events(process: subprocess.Popen[str]) -> Iterator[Event]:
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


def _until_training(process: subprocess.Popen[str], iteration: int = 1) -> None:
    for event in _events(process):
        if event["event"] == "failed":
            pytest.fail(str(event))
        if (event.get("progress", {}).get("iteration") or 0) >= iteration:
            return
    pytest.fail("the process ended before it trained")


def _wait_gone(pid: int) -> None:
    deadline = time.monotonic() + _DEADLINE
    while Path(f"/proc/{pid}").exists() and "Z" not in _state(pid):
        assert time.monotonic() < deadline, "the process is still there"
        time.sleep(0.02)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return "Z"


def test_a_run_tells_its_phases_and_ends_with_the_card(tmp_path: Path) -> None:
    with _process(prepare(tmp_path)) as process:
        events = list(_events(process))
        assert process.wait(_DEADLINE) == 0
    kinds = {event["event"] for event in events}
    assert kinds == {"progress", "curve", "done"}
    card = ModelCard(**events[-1]["card"])
    assert stored_network(tmp_path, card)
    phases = []
    for event in events:
        if event["event"] == "curve":
            CurvePoint(**event["point"])
        if event["event"] == "progress":
            progress = Progress(**event["progress"]).model_dump()
            phases.append(progress["phase"])
            assert progress["total"] is None or progress["done"] <= progress["total"]
    assert list(dict.fromkeys(phases)) == ["reading", "training", "calibrating", "saving"]
    last = [event["point"] for event in events if event["event"] == "curve"][-1]
    assert last["iteration"] == card.iterations
    assert last["validation_accuracy"] is not None


def test_a_request_that_fails_is_told_as_a_problem(tmp_path: Path) -> None:
    with _process(prepare(tmp_path, recipe_options={"epochs": -1})) as process:
        events = list(_events(process))
        assert process.wait(_DEADLINE) == 1
    problem = events[-1]["problem"]
    assert (problem["status"], problem["code"]) == (422, "bad-option")
    assert "epochs" in problem["detail"]


def test_a_missing_specification_is_told_as_a_problem(tmp_path: Path) -> None:
    with _process(tmp_path / "none.json") as process:
        events = list(_events(process))
        assert process.wait(_DEADLINE) == 1
    assert events[-1]["problem"]["code"] == "bad-request"


def test_sigterm_ends_the_process_at_once_and_leaves_the_checkpoint(tmp_path: Path) -> None:
    with _process(prepare(tmp_path, recipe_options=LONG)) as process:
        _until_training(process, iteration=20)
        deadline = time.monotonic() + _DEADLINE
        while not (tmp_path / "store/checkpoints/job/training.pt").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(_DEADLINE) == 143
        assert time.monotonic() - begun < 2
    assert (tmp_path / "store/checkpoints/job/training.pt").exists()


def test_the_process_ends_when_its_parent_dies(tmp_path: Path) -> None:
    """A parent that is killed cannot tell its child; the child finds out."""
    spec = prepare(tmp_path, recipe_options=LONG)
    program = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-m', 'trainer.training.process', {str(spec)!r}])\n"
        "print(p.pid, file=sys.stderr, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert parent.stderr is not None
        child = int(parent.stderr.readline())
        _until_training(parent)
    finally:
        parent.kill()
    begun = time.monotonic()
    _wait_gone(child)
    assert time.monotonic() - begun < 3
    parent.communicate()


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    options = {**QUICK, "epochs": 40, "checkpoint_seconds": 0.1}
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    with _process(prepare(tmp_path / "whole", recipe_options=options)) as process:
        whole = list(_events(process))[-1]["card"]
    spec = prepare(tmp_path / "killed", recipe_options=options)
    for iteration in (30, 80, 140):
        with _process(spec) as process:
            _until_training(process, iteration)
            os.kill(process.pid, signal.SIGKILL)
            process.wait(_DEADLINE)
    with _process(spec) as process:
        killed = list(_events(process))[-1]["card"]
    expected = stored_network(tmp_path / "whole", ModelCard(**whole)).state_dict()
    got = stored_network(tmp_path / "killed", ModelCard(**killed)).state_dict()
    for name, tensor in expected.items():
        torch.testing.assert_close(got[name], tensor, rtol=0, atol=0)


@pytest.mark.slow
def test_on_a_full_disk_training_goes_on_and_the_model_waits_for_room(tmp_path: Path) -> None:
    """A limit on the size of files makes the system refuse what does not fit, as a full disk."""
    options = {**QUICK, "epochs": 100, "checkpoint_seconds": 0.1}
    checkpoint = tmp_path / "store/checkpoints/job/training.pt"
    with _process(prepare(tmp_path, recipe_options=options)) as process:
        events = _events(process)
        iteration = 0
        while not checkpoint.exists():
            iteration = next(events).get("progress", {}).get("iteration") or 0
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        kept = checkpoint.read_bytes()
        warning = _warning(events)
        assert "File too large" in warning
        assert str(tmp_path / "store") in warning
        assert "Training goes on" in warning
        warning = next(text for text in iter(lambda: _warning(events), "") if "model" in text)
        assert "Make room" in warning
        assert checkpoint.read_bytes() == kept
        assert not list((tmp_path / "store/.incoming").iterdir())
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        card = ModelCard(**list(events)[-1]["card"])
        assert process.wait(_DEADLINE) == 0
    assert card.iterations > iteration
    assert stored_network(tmp_path, card)


def _warning(events: Iterator[Event]) -> str:
    """The next one among the progress."""
    return next(
        text
        for event in events
        if (text := event.get("progress", {}).get("warning")) or event["event"] == "failed"
    )
