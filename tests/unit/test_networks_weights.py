"""Weights from files: read, checked, loaded."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from kinsight.errors import UnfitWeights
from kinsight.networks import build, check_fit, load_into, load_state

NAME = "torchvision/shufflenet_v2_x0_5"


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    network = models.shufflenet_v2_x0_5()
    state: dict[str, torch.Tensor] = network.state_dict()
    return state


def test_a_published_state_gives_the_published_networks_answers(
    published: dict[str, torch.Tensor],
) -> None:
    original = models.shufflenet_v2_x0_5()
    original.load_state_dict(published)
    network = build(NAME, {"hash_bits": 0}, classes=1000)
    found = load_into(network, published)
    assert set(found.fresh) == {"head.projection.mean", "head.projection.weight"}
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(x).logits, original.eval()(x))


def test_another_class_count_starts_the_classifier_afresh(
    published: dict[str, torch.Tensor],
) -> None:
    found = check_fit(NAME, {"hash_bits": 0}, published, classes=5)
    assert "head.classifier.weight" in found.fresh
    assert all(name.startswith("backbone.") for name in found.tensors)
    with_hash = check_fit(NAME, {"hash_bits": 16}, published, classes=1000)
    assert "head.classifier.weight" in with_hash.fresh


def test_squeezenets_convolutional_classifier_is_always_fresh() -> None:
    state = models.squeezenet1_1().state_dict()
    found = check_fit("torchvision/squeezenet1_1", {"hash_bits": 0}, state, classes=1000)
    assert "head.classifier.weight" in found.fresh


def test_auxiliary_classifiers_of_the_file_are_left_out() -> None:
    state = models.googlenet(aux_logits=True, init_weights=False).state_dict()
    assert check_fit("torchvision/googlenet", {}, state).tensors


def test_a_kinsight_model_can_be_trained_further() -> None:
    first = build(NAME, {"hash_bits": 16}, classes=4)
    found = check_fit(NAME, {"hash_bits": 16}, first.state_dict(), classes=6)
    assert "head.hash.linear.weight" in found.tensors
    assert set(found.fresh) == {"head.classifier.weight", "head.classifier.bias"}


def test_misfits_are_named(published: dict[str, torch.Tensor]) -> None:
    broken = dict(published)
    broken["conv1.0.weight"] = torch.zeros(3, 3)
    del broken["conv5.0.weight"]
    broken["extra.weight"] = torch.zeros(1)
    with pytest.raises(UnfitWeights) as refusal:
        check_fit(NAME, {}, broken)
    assert refusal.value.extensions["misfits"] == 3
    for part in ("conv1.0.weight is 3x3", "conv5.0.weight is missing", "extra.weight is not"):
        assert part in refusal.value.detail
    with pytest.raises(UnfitWeights):
        check_fit("alexnet", {}, published)


def test_files_of_either_kind_load_as_float32(
    published: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    half = {name: t.half() if t.is_floating_point() else t for name, t in published.items()}
    save_file(half, tmp_path / "weights.safetensors")
    torch.save(half, tmp_path / "weights.pt")
    torch.save({"state_dict": {f"module.{k}": v for k, v in half.items()}}, tmp_path / "run.pt")
    for file in ("weights.safetensors", "weights.pt", "run.pt"):
        state = load_state(tmp_path / file)
        assert set(state) == set(published)
        assert state["conv1.0.weight"].dtype == torch.float32
        torch.testing.assert_close(state["conv1.0.weight"], half["conv1.0.weight"].float())
        assert state["conv1.1.num_batches_tracked"].dtype == torch.int64


class _Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("this must not run",))


def test_files_that_are_no_weights_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file({"a": torch.zeros(100)}, tmp_path / "whole")
    contents = {
        "empty": b"",
        "text": b"these are not weights\n" * 10,
        "pickle": pickle.dumps(_Harmful()),
        "cut": (tmp_path / "whole").read_bytes()[:-50],
        "png": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "zip": b"PK\x03\x04" + bytes(60),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnfitWeights):
            load_state(tmp_path / name)
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    for name in ("module.pt", "list.pt"):
        with pytest.raises(UnfitWeights, match="state dict"):
            load_state(tmp_path / name)
    assert "this must not run" not in capsys.readouterr().out


def test_the_real_mobilenet_weights_fit(test_data: Path) -> None:
    state = load_state(test_data / "weights" / "mobilenet_v2.safetensors")
    found = check_fit("torchvision/mobilenet_v2", {}, state)
    assert all(name.startswith("head.") for name in found.fresh)
    assert sum(t.numel() for n, t in found.tensors.items() if n.startswith("backbone")) > 2_000_000
    network = build("torchvision/mobilenet_v2", {"hash_bits": 0}, classes=1000)
    original = models.mobilenet_v2()
    original.load_state_dict(state)
    load_into(network, state)
    x = torch.randn(1, 3, 96, 96)
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(x).logits, original.eval()(x))
