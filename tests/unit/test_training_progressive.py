"""Smaller inputs at first, where the network takes them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kinsight import networks
from kinsight.networks.input_sizes import takes
from trainer.training.progressive import growing_sizes


class _Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        mean: Tensor = self.convolution(x).mean(dim=(2, 3))
        return mean


def test_sides_grow_to_the_networks_own() -> None:
    sizes = growing_sizes(_Convolutional(), 224, 0.5)
    assert sizes is not None
    sides = [sizes(done / 100) for done in range(101)]
    assert sides == sorted(sides)
    assert sides[0] == 128  # 112 rounded to what halves five times
    assert {side % 32 for side in sides} == {0}
    assert set(sides[70:]) == {224}
    assert sides[40] < 224


@pytest.mark.parametrize(("side", "smallest"), [(224, 1.0), (32, 0.5)])
def test_there_is_nothing_to_grow(side: int, smallest: float) -> None:
    assert growing_sizes(_Convolutional(), side, smallest) is None


def test_fully_connected_layers_keep_alexnet_at_its_size() -> None:
    network = networks.build("alexnet", {"width": 0.05, "fc_width": 8}, classes=2)
    assert takes(network, 224)
    assert growing_sizes(network, 224, 0.5) is None


def test_trying_leaves_the_network_as_it_was() -> None:
    network = networks.build("torchvision/shufflenet_v2_x0_5", {}, classes=2).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert growing_sizes(network, 224, 0.5) is not None
    assert network.training
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
