"""What recipe `fast` decides beside its optimiser."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kinsight import networks
from kinsight.errors import BadOption
from trainer.recipes import find, options_for
from trainer.recipes.fast import FastOptions
from trainer.training.devices import Device
from trainer.training.first_layer import first_layer_in_full_precision

BATCH_NORM = {"norm": "batch", "response_norm": False, "dropout": 0.0}


def fast(given: dict[str, Any]) -> FastOptions:
    options = options_for("fast", given)
    assert isinstance(options, FastOptions)
    return options


@pytest.mark.parametrize(
    ("network", "given", "from_scratch", "expected"),
    [
        ("alexnet", {"width": 0.5}, True, {"width": 0.5, **BATCH_NORM}),
        ("alexnet", {}, False, {}),
        ("alexnet", {"dropout": 0.2}, True, {**BATCH_NORM, "dropout": 0.2}),
        ("alexnet", {"norm": "none"}, True, {"norm": "none"}),
        ("alexnet", {"response_norm": True}, True, {"response_norm": True}),
        ("torchvision/resnet18", {}, True, {}),
    ],
)
def test_open_normalisation_is_chosen_from_scratch_only(
    network: str, given: dict[str, Any], from_scratch: bool, expected: dict[str, Any]
) -> None:
    chosen = find("fast").network_options(network, given, from_scratch=from_scratch)
    assert chosen == expected
    networks.options_for(network, chosen)


def test_rate_and_decay_follow_the_optimiser_where_they_are_open() -> None:
    sgd, adamw = (fast({"optimiser": name}) for name in ("sgd", "adamw"))
    assert (sgd.learning_rate, sgd.weight_decay) == (0.05, 5e-4)
    assert (adamw.learning_rate, adamw.weight_decay) == (1e-3, 0.05)
    own = fast({"learning_rate": 0.2, "weight_decay": None, "clip_norm": None})
    assert (own.learning_rate, own.weight_decay, own.clip_norm) == (0.2, 5e-4, None)
    with pytest.raises(BadOption, match="'sgd' or 'adamw'"):
        fast({"optimiser": ["adamw"]})


def test_compiling_is_for_cuda_and_shares_the_weights() -> None:
    network = networks.build("alexnet", {"input_size": 32, "width": 0.1, "fc_width": 16}, classes=2)
    options = fast({"compile": True})
    assert options.compiled(network, Device(torch.device("cpu"), "test")) is None
    compiled = options.compiled(network, Device(torch.device("cuda"), "test"))
    assert isinstance(compiled, torch.nn.Module)
    assert {id(p) for p in compiled.parameters()} == {id(p) for p in network.parameters()}
    plain = fast({})
    assert plain.compiled(network, Device(torch.device("cuda"), "test")) is None


def test_the_first_convolution_computes_in_full_precision_inside() -> None:
    options = {"input_size": 32, "width": 0.1, "fc_width": 16}
    network = networks.build("alexnet", options, classes=2)
    seen: list[torch.dtype] = []
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    for convolution in convolutions[:2]:
        convolution.register_forward_hook(lambda *args: seen.append(args[2].dtype))
    x = torch.randn(2, 3, 32, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with first_layer_in_full_precision(network):
            network(x)
            with pytest.raises(RuntimeError):
                network(torch.randn(2, 4, 32, 32))
            # An error inside the layer leaves no trace of it.
            assert torch.is_autocast_enabled("cpu")
            network(x)
        network(x)
    full, mixed = torch.float32, torch.bfloat16
    assert seen == [full, mixed, full, mixed, mixed, mixed]
