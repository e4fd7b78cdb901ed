"""AlexNet of 2014: torchvision's weights give torchvision's outputs."""

from __future__ import annotations

import pytest
import torch

from kinsight import networks
from kinsight.networks import torchvision_operators  # noqa: F401  before torchvision is imported


@pytest.mark.slow
def test_torchvisions_weights_give_torchvisions_logits() -> None:
    from torchvision.models import alexnet

    torch.manual_seed(5)
    theirs = alexnet(num_classes=7).eval()
    options = {"channels": "2014", "towers": 1, "response_norm": False, "hash_bits": 0}
    ours = networks.build("alexnet", options, classes=7)
    fit = networks.load_into(ours, theirs.state_dict())
    assert fit.fresh == () or all("projection" in name for name in fit.fresh)
    x = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(x).logits, theirs(x), rtol=1e-4, atol=1e-5)


def test_its_maps_are_those_of_2014() -> None:
    options = {"channels": "2014", "fc_width": 8, "input_size": 32}
    network = networks.build("alexnet", options, classes=2)
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [one.out_channels for one in convolutions] == [64, 192, 384, 256, 256]
