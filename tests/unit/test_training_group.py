"""Several processes that train one model, as torchrun starts them."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from training_set import NETWORK, QUICK, prepare, stored_network

from kinsight.contracts.models import ModelCard
from trainer.training.group import ALONE, Group
from trainer.training.shared_batch_norm import share_batch_norms

_ALONE = ["trainer.training.process"]
_TWO = ["trainer.training.torchrun", "2"]
# Dropout draws other numbers in each process.
_SURE = {**NETWORK, "dropout": 0, "norm": "batch"}
_RECIPES: dict[str, dict[str, Any]] = {
    # A batch that two do not share evenly.
    # Few small steps: over many, rounding decides which of a pool is largest here and there.
    "fine-tune": {**QUICK, "epochs": 1, "batch_size": 15, "learning_rate": 0.005},
    "head": {"epochs": 10, "batch_size": 15},
}
_DEADLINE = 60.0


def _start(program: list[str], spec: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *program, str(spec)], stdout=subprocess.PIPE, text=True
    )


def _trained(program: list[str], folder: Path, **request: Any) -> tuple[ModelCard, list[float]]:
    """The card and the accuracies that were seen on the way."""
    folder.mkdir()
    with _start(program, prepare(folder, network_options=_SURE, **request)) as process:
        output, _ = process.communicate(timeout=_DEADLINE)
    events = [json.loads(line) for line in output.splitlines()]
    assert events[-1]["event"] == "done", events[-1]
    points = [event["point"] for event in events if event["event"] == "curve"]
    return ModelCard(**events[-1]["card"]), [
        point["validation_accuracy"] for point in points if point["validation_accuracy"] is not None
    ]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", _RECIPES)
def test_two_processes_come_to_the_same_weights_as_one(tmp_path: Path, recipe: str) -> None:
    request = {"recipe": recipe, "recipe_options": _RECIPES[recipe]}
    one, seen_by_one = _trained(_ALONE, tmp_path / "one", **request)
    two, seen_by_two = _trained(_TWO, tmp_path / "two", **request)
    assert seen_by_two == seen_by_one
    assert two.accuracy == one.accuracy
    assert two.validation_image_ids == one.validation_image_ids
    assert "2 processes" in two.machine
    expected = stored_network(tmp_path / "one", one).state_dict()
    for name, tensor in stored_network(tmp_path / "two", two).state_dict().items():
        difference = (tensor - expected[name]).double().norm()
        assert float(difference) <= 1e-4 * float(expected[name].double().norm()), name


@pytest.mark.slow
def test_when_one_of_them_is_killed_all_end_and_the_next_go_on(tmp_path: Path) -> None:
    options = {**QUICK, "epochs": 2000, "checkpoint_seconds": 0.1}
    spec = prepare(tmp_path, recipe_options=options)
    checkpoint = tmp_path / "store/checkpoints/job/training.pt"
    with _start(_TWO, spec) as process:
        _until(checkpoint.exists)
        first, second = _children(process.pid)
        os.kill(second, signal.SIGKILL)
        assert process.wait(_DEADLINE) == 128 + signal.SIGKILL
        _until(lambda: not _alive(first))
    with _start(_TWO, spec) as process:
        assert process.stdout is not None
        progress = (json.loads(line).get("progress", {}) for line in process.stdout)
        begun = next(p for p in progress if p.get("phase") == "training")
        assert begun["done"] > 0
        ranks = _children(process.pid)
        assert len(ranks) == 2
        process.kill()  # it has no time to end them
        _until(lambda: not any(_alive(pid) for pid in ranks))


@pytest.mark.slow
def test_an_error_is_told_once_and_as_by_one_process(tmp_path: Path) -> None:
    with _start(_TWO, prepare(tmp_path, spoiled=range(30, 59))) as process:
        output, _ = process.communicate(timeout=_DEADLINE)
    assert process.returncode == 1
    failed = [event for line in output.splitlines() if "problem" in (event := json.loads(line))]
    assert [event["problem"]["code"] for event in failed] == ["too-few-images"]


def _until(holds: Any) -> None:
    deadline = time.monotonic() + _DEADLINE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("images", [2, 3, 7, 64])
def test_the_parts_of_a_batch_make_the_whole(images: int) -> None:
    positions = np.arange(100, 100 + images)
    parts = [Group(rank, 3).part(positions) for rank in range(3)]
    assert sum(weight for _, weight in parts) == pytest.approx(1)
    seen = np.concatenate([np.repeat(part, 1) for part, _ in parts])
    # One image counts as much as another, whoever has it.
    counted = [sum(w / len(p) for p, w in parts if at in p) for at in positions]
    np.testing.assert_allclose(counted, 1 / images)
    assert set(seen) == set(positions)


def test_alone_a_group_is_the_plain_computation() -> None:
    x: Tensor = torch.randn(5, 3, requires_grad=True)
    torch.testing.assert_close(ALONE.mean(x), x.mean(dim=0))
    layer = nn.Linear(3, 2)
    layer(x).sum().backward()
    assert layer.weight.grad is not None
    before = layer.weight.grad.clone()
    ALONE.sum_gradients(layer.parameters())
    torch.testing.assert_close(layer.weight.grad, before)
    part, weight = ALONE.part(np.arange(4))
    assert (part.tolist(), weight) == ([0, 1, 2, 3], 1)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_shared_batch_normalisation_of_one_process_is_torchs_own(momentum: float | None) -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 4, 5, 5) * 3 + 1
    plain = nn.Sequential(nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3, momentum=momentum))
    nn.init.normal_(plain[1].weight)
    shared = copy.deepcopy(plain)
    share_batch_norms(shared, ALONE)
    for _ in range(2):
        expected, got = plain(x), shared(x)
        torch.testing.assert_close(got, expected)
        for network, y in ((plain, expected), (shared, got)):
            network.zero_grad()
            y.square().sum().backward()
    for name, parameter in plain.named_parameters():
        found = dict(shared.named_parameters())[name].grad
        torch.testing.assert_close(found, parameter.grad, rtol=1e-3, atol=1e-3)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(shared.state_dict()[name], tensor)
    torch.testing.assert_close(shared.eval()(x), plain.eval()(x))
