"""`--weights`: what of a given AlexNet goes into the papers' networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from kinsight import networks
from kinsight.errors import UnfitWeights
from trainer.reproduce.pretrained import Pretrained

_SMALL: dict[str, Any] = {"input_size": 32, "width": 0.1, "fc_width": 64, "hash_bits": 16}


def _given(folder: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    torch.manual_seed(7)
    state = networks.build("alexnet", {**_SMALL, "hash_bits": 0}, classes=5).state_dict()
    save_file(state, folder / "given.safetensors")
    return folder / "given.safetensors", state


def test_every_layer_of_the_same_shape_is_taken(tmp_path: Path) -> None:
    file, given = _given(tmp_path)
    pretrained = Pretrained.of(file, tmp_path / "store")
    assert pretrained is not None
    fitted = pretrained.into(_SMALL, seed=0)
    assert fitted is not None and not pretrained.told
    name = fitted.weights.removeprefix("sha256:")
    state = load_file(tmp_path / "store" / "weights" / f"{name}.safetensors")
    # What training itself asks of weights: all but the head is there.
    fit = networks.check_fit("alexnet", fitted.options, state, classes=3)
    assert all(fresh.startswith("head.") for fresh in fit.fresh)
    for key, tensor in state.items():
        assert torch.equal(tensor, given[key]), key


def test_layers_of_another_shape_start_afresh_and_are_told(tmp_path: Path) -> None:
    file, given = _given(tmp_path)
    pretrained = Pretrained.of(file, tmp_path / "store")
    assert pretrained is not None
    variant = {"activation": "maxout", "pooling": "max-average"}
    # Two pieces of half the units: the first hidden layer has the given one's shape.
    options = {**_SMALL, **variant, "fc_width": 32}
    fitted = pretrained.into(options, seed=0)
    assert fitted is not None
    (told,) = pretrained.told
    assert "hidden.fc7." in told and "conv" not in told and "fc6" not in told
    name = fitted.weights.removeprefix("sha256:")
    state = load_file(tmp_path / "store" / "weights" / f"{name}.safetensors")
    networks.check_fit("alexnet", fitted.options, state, classes=3)
    assert torch.equal(state["hidden.fc6.weight"], given["hidden.fc6.weight"])
    again = pretrained.into(options, seed=0)
    assert again == fitted


def test_torchvisions_weights_make_torchvisions_network(tmp_path: Path) -> None:
    torch.manual_seed(3)
    first = torch.randn(64, 3, 11, 11)
    given = {"features.0.weight": first, "features.0.bias": torch.ones(64)}
    save_file(given, tmp_path / "torchvision.safetensors")
    pretrained = Pretrained.of(tmp_path / "torchvision.safetensors", tmp_path / "store")
    assert pretrained is not None and pretrained.is_torchvisions
    options = {"activation": "maxout", "fc_width": 8, "hash_bits": 16, "input_size": 224}
    fitted = pretrained.into(options, seed=0)
    assert fitted is not None
    assert (fitted.options["channels"], fitted.options["towers"]) == ("2014", 1)
    name = fitted.weights.removeprefix("sha256:")
    state = load_file(tmp_path / "store" / "weights" / f"{name}.safetensors")
    assert torch.equal(state["convolutions.conv1.conv.weight"], first)
    assert any("torchvision's AlexNet" in told for told in pretrained.told)
    assert any("conv2.conv" in told for told in pretrained.told)


def test_other_shapes_are_left_out(tmp_path: Path) -> None:
    file, _ = _given(tmp_path)
    pretrained = Pretrained.of(file, tmp_path / "store")
    assert pretrained is not None
    assert pretrained.into({**_SMALL, "width": 0.2}, seed=0) is None


def test_what_is_no_alexnet_is_refused(tmp_path: Path) -> None:
    save_file({"layer.weight": torch.zeros(2, 2)}, tmp_path / "other.safetensors")
    with pytest.raises(UnfitWeights, match="holds no AlexNet"):
        Pretrained.of(tmp_path / "other.safetensors", tmp_path)
    assert Pretrained.of(None, tmp_path) is None
