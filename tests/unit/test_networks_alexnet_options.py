"""Every switch of `alexnet` does what its paper says, and impossible combinations are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from kinsight.errors import BadOption
from kinsight.networks import RetrievalNetwork, build, options_for
from kinsight.networks.maxout import Maxout
from kinsight.networks.pooling import MaxAveragePool2d
from kinsight.networks.response_norm import LocalResponseNorm
from kinsight.networks.unallocated import Unallocated

TINY = {"input_size": 32, "width": 0.1, "fc_width": 16, "hash_bits": 8}


def _unallocated(classes: int = 1000, **options: Any) -> RetrievalNetwork:
    with Unallocated():
        return build("alexnet", options, classes=classes)


def _shape(network: RetrievalNetwork, name: str) -> tuple[int, ...]:
    return tuple(network.get_parameter(name).shape)


def test_a_model_of_twenty_classes_is_a_file_of_about_227_megabytes() -> None:
    """The CBIR paper's model of its 20 classes is about 227 MB."""
    assert _unallocated(20, hash_bits=0).parameter_count * 4 == 227_800_656


def test_maxout_replaces_the_activation_of_the_hidden_layers_only() -> None:
    network = _unallocated(activation="maxout", hash_bits=48)
    assert _shape(network, "hidden.fc6.weight") == (2 * 2048, 256 * 6 * 6)
    assert _shape(network, "hidden.fc7.weight") == (2 * 2048, 2048)
    assert _shape(network, "head.hash.linear.weight") == (48, 2048)
    kinds = [type(module) for module in network.hidden]  # type: ignore[union-attr]
    assert kinds == [nn.Flatten, nn.Linear, Maxout, nn.Dropout, nn.Linear, Maxout]
    assert [m for m in network.modules() if isinstance(m, nn.ReLU)] == [
        network.get_submodule(f"convolutions.conv{number}.relu") for number in range(1, 6)
    ]


def test_maxout_is_the_maximum_over_its_linear_pieces() -> None:
    network = build("alexnet", {**TINY, "activation": "maxout", "maxout_pieces": 3}, classes=2)
    fc7, maxout7 = network.get_submodule("hidden.fc7"), network.get_submodule("hidden.maxout7")
    x = torch.randn(5, 16)
    pieces = [x @ fc7.weight[j * 16 :][:16].T + fc7.bias[j * 16 :][:16] for j in range(3)]
    torch.testing.assert_close(maxout7(fc7(x)), torch.stack(pieces).max(dim=0).values)


def test_max_average_pooling_adds_both_with_weight_one() -> None:
    x = torch.randn(2, 3, 7, 7)
    pooled = MaxAveragePool2d(3, 2)(x)
    assert pooled.shape == (2, 3, 3, 3)
    for row in range(3):
        for column in range(3):
            seen = x[:, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3].flatten(2)
            expected = seen.amax(dim=2) + seen.mean(dim=2)
            torch.testing.assert_close(pooled[:, :, row, column], expected)


@pytest.mark.parametrize("pooling", ["overlapping", "plain", "max-average"])
def test_pooling_does_not_change_the_parameters(pooling: str) -> None:
    assert _unallocated(hash_bits=0, pooling=pooling).parameter_count == 60_965_224


def test_batch_normalisation_stands_right_behind_each_convolution() -> None:
    network = _unallocated(norm="batch", sixth_convolution=True)
    for block in network.get_submodule("convolutions").children():
        kinds = [type(module) for module in block.children()]
        assert kinds[:3] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
        assert block.get_submodule("conv").bias is None
    assert not [m for m in network.modules() if isinstance(m, LocalResponseNorm)]
    both = _unallocated(norm="batch", response_norm=True)
    assert len([m for m in both.modules() if isinstance(m, LocalResponseNorm)]) == 2


def test_the_sixth_convolution_follows_the_last_pooling() -> None:
    network = _unallocated(sixth_convolution=True, hash_bits=0)
    assert _shape(network, "convolutions.conv6.conv.weight") == (256, 128, 3, 3)
    assert network.parameter_count == 60_965_224 + 256 * 128 * 9 + 256
    assert list(network.get_submodule("convolutions")._modules)[-1] == "conv6"
    # It keeps the map's sides: fc6 is as it was.
    assert _shape(network, "hidden.fc6.weight") == (4096, 256 * 6 * 6)


def test_tanh_is_the_non_linearity_of_all_layers() -> None:
    network = build("alexnet", {**TINY, "activation": "tanh"}, classes=2)
    assert len([m for m in network.modules() if isinstance(m, nn.Tanh)]) == 7
    assert not [m for m in network.modules() if isinstance(m, nn.ReLU)]
    assert network.features(torch.randn(8, 3, 32, 32)).min() < 0


def test_networks_with_relu_and_tanh_have_the_same_tensors() -> None:
    relu, tanh = (_unallocated(activation=a).state_dict() for a in ("relu", "tanh"))
    assert {n: t.shape for n, t in relu.items()} == {n: t.shape for n, t in tanh.items()}


def test_the_papers_initial_values() -> None:
    torch.manual_seed(0)
    options = {"initialisation": "paper", "input_size": 32, "width": 0.5, "fc_width": 512}
    network = build("alexnet", {**options, "sixth_convolution": True}, classes=50)
    ones = {"conv2.conv", "conv4.conv", "conv5.conv", "hidden.fc6", "hidden.fc7"}
    with_ones = set()
    for name, tensor in network.state_dict().items():
        if name.endswith("weight"):
            assert float(tensor.std()) == pytest.approx(0.01, rel=0.05), name
            assert abs(float(tensor.mean())) < 4 * 0.01 / tensor.numel() ** 0.5, name
        elif bool((tensor == 1).all()):
            with_ones.add(".".join(name.split(".")[-3:-1]))
        else:
            assert bool((tensor == 0).all()), name
    assert with_ones == ones


def test_batch_normalisations_shift_is_the_bias_of_the_papers_initial_values() -> None:
    network = build("alexnet", {**TINY, "initialisation": "paper", "norm": "batch"}, classes=2)
    shifts = [
        float(network.get_parameter(f"convolutions.conv{number}.batch_norm.bias").detach()[0])
        for number in range(1, 6)
    ]
    assert shifts == [0, 1, 0, 1, 1]


@pytest.mark.parametrize(("activation", "gain"), [("relu", 2**0.5), ("tanh", 5 / 3)])
def test_he_deviations_follow_from_the_inputs(activation: str, gain: float) -> None:
    torch.manual_seed(0)
    options = {"activation": activation, "input_size": 32, "width": 0.5, "fc_width": 512}
    network = build("alexnet", {**options, "hash_bits": 8}, classes=2)
    for name in ("convolutions.conv3.conv", "hidden.fc6", "hidden.fc7"):
        weight = network.get_parameter(f"{name}.weight")
        inputs = weight[0].numel()
        assert float(weight.detach().std()) == pytest.approx(gain / inputs**0.5, rel=0.05)
        assert bool((network.get_parameter(f"{name}.bias") == 0).all())


@pytest.mark.parametrize(
    ("options", "behind", "scale"),
    [
        ({}, {"conv2": 1, "conv3": 1, "conv5": 1}, 1),
        ({"pooling": "max-average"}, {"conv2": 0.5, "conv3": 0.5, "conv5": 1}, 0.5),
        ({"response_norm": False}, {"conv2": 2**-0.75, "conv3": 2**-0.75, "conv5": 1}, 1),
    ],
    ids=str,
)
def test_variants_start_from_like_signals(
    options: dict[str, Any], behind: dict[str, float], scale: float
) -> None:
    torch.manual_seed(0)
    wide = {"input_size": 32, "width": 0.5, "fc_width": 512}
    network = build("alexnet", {**wide, **options}, classes=2)
    names = {f"convolutions.{name}.conv": factor for name, factor in behind.items()}
    for name, factor in {**names, "hidden.fc6": scale, "hidden.fc7": 1}.items():
        weight = network.get_parameter(f"{name}.weight").detach()
        expected = factor * (2 / weight[0].numel()) ** 0.5
        assert float(weight.std()) == pytest.approx(expected, rel=0.05), name


def test_maxout_keeps_the_scale_of_the_signal() -> None:
    torch.manual_seed(0)
    options = {"activation": "maxout", "input_size": 32, "width": 0.1, "fc_width": 2000}
    network = build("alexnet", options, classes=2)
    x = torch.randn(64, 2000)
    fc7, maxout7 = network.get_submodule("hidden.fc7"), network.get_submodule("hidden.maxout7")
    assert float(maxout7(fc7(x)).detach().square().mean()) == pytest.approx(1, rel=0.05)


def test_options_say_what_was_built() -> None:
    """The card keeps them: reading them again gives the same options."""
    maxout = options_for("alexnet", {"activation": "maxout"}).model_dump()
    assert (maxout["fc_width"], maxout["maxout_pieces"]) == (2048, 2)
    batch = options_for("alexnet", {"norm": "batch"}).model_dump()
    assert batch["response_norm"] is False
    plain = options_for("alexnet", {}).model_dump()
    assert (plain["fc_width"], plain["maxout_pieces"], plain["response_norm"]) == (4096, None, True)
    for dumped in (maxout, batch, plain):
        assert options_for("alexnet", dumped).model_dump() == dumped
    wide = options_for("alexnet", {"activation": "maxout", "fc_width": 4096}).model_dump()
    assert wide["fc_width"] == 4096


@pytest.mark.parametrize(
    ("options", "named", "words"),
    [
        ({"maxout_pieces": 2}, "maxout_pieces", "the activation is relu"),
        ({"maxout_pieces": 3, "activation": "tanh"}, "maxout_pieces", "the activation is tanh"),
        ({"activation": "maxout", "maxout_pieces": 1}, "maxout_pieces", "greater than or equal"),
        ({"activation": "sigmoid"}, "activation", "'relu', 'tanh' or 'maxout'"),
        ({"norm": "layer"}, "norm", "'none' or 'batch'"),
        ({"initialisation": "zero"}, "initialisation", "'he' or 'paper'"),
        ({"sixth_convolution": 6}, "sixth_convolution", "valid boolean"),
        ({"hash_bits": 10_000}, "hash_bits", "less than or equal to 2048"),
        ({"input_size": 28}, "input_size", "greater than or equal to 32"),
        ({"pooling": None}, "pooling", "'overlapping', 'plain' or 'max-average'"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_reason(
    options: dict[str, Any], named: str, words: str
) -> None:
    with pytest.raises(BadOption) as refusal:
        build("alexnet", options, classes=2)
    assert refusal.value.extensions["option"] == named
    assert words in refusal.value.detail
    assert "allowed" in refusal.value.extensions


@pytest.mark.parametrize("size", [32, 33, 47, 64, 65, 97, 224])
@pytest.mark.parametrize("pooling", ["overlapping", "plain", "max-average"])
@pytest.mark.parametrize("towers", [1, 2])
@pytest.mark.parametrize("width", [0.05, 0.37, 1.0])
def test_any_input_size_towers_and_width_go_together(
    size: int, pooling: str, towers: int, width: float
) -> None:
    network = _unallocated(
        3,
        input_size=size,
        pooling=pooling,
        towers=towers,
        width=width,
        fc_width=8,
        sixth_convolution=True,
    )
    outputs = network.eval()(torch.empty(1, 3, size, size, device="meta"))
    assert outputs.logits.shape == (1, 3)
    grouped = network.get_submodule("convolutions.conv2.conv")
    assert grouped.weight.shape[1] * towers == _shape(network, "convolutions.conv1.conv.weight")[0]
