"""torchvision's networks on pictures of another size than their published weights were made for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kinsight.errors import BadOption
from kinsight.networks import build, preprocessing_for


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("crop", 256, 224)),
        ({"input_size": 112}, ("crop", 128, 112)),
        ({"input_size": 128, "framing": "squash"}, ("squash", 128, 128)),
        ({"framing": "squash"}, ("squash", 224, 224)),
    ],
)
def test_preprocessing_follows_the_input_size(
    options: dict[str, Any], expected: tuple[str, int, int]
) -> None:
    card = preprocessing_for("torchvision/resnet18", options)
    assert (card.mode, card.resize, card.input_size) == expected


@pytest.mark.parametrize(
    ("name", "side"),
    [("shufflenet_v2_x0_5", 32), ("regnet_x_400mf", 48), ("vit_b_32", 64), ("swin_t", 64)],
)
def test_networks_are_built_for_the_size(name: str, side: int) -> None:
    network = build(f"torchvision/{name}", {"input_size": side, "hash_bits": 8}, classes=3)
    assert network.training
    with torch.inference_mode():
        outputs = network.eval()(torch.zeros(2, 3, side, side))
    assert (outputs.logits.shape, outputs.activations.shape) == ((2, 3), (2, 8))


@pytest.mark.parametrize(
    ("name", "side", "reason"),
    [
        ("alexnet", 32, "leave nothing of such a picture"),
        ("inception_v3", 64, "leave nothing of such a picture"),
        ("vit_b_16", 100, "no multiple of its patches of 16 pixels"),
        ("resnet18", 16, "greater than or equal to 32"),
    ],
)
def test_a_size_that_a_network_cannot_take_is_refused(name: str, side: int, reason: str) -> None:
    with pytest.raises(BadOption, match=reason) as refusal:
        build(f"torchvision/{name}", {"input_size": side}, classes=2)
    assert refusal.value.extensions["option"] == "input_size"
