"""AlexNet against the paper (Krizhevsky et al. 2012)."""

from __future__ import annotations

import pytest
import torch

from kinsight.errors import BadOption, UnknownNetwork
from kinsight.networks import build, preprocessing_for
from kinsight.networks.response_norm import LocalResponseNorm
from kinsight.networks.unallocated import Unallocated


def _shapes(options: dict[str, object], size: int) -> list[tuple[str, tuple[int, ...]]]:
    with Unallocated():
        network = build("alexnet", options, classes=1000)
    network.to("meta").eval()
    seen: list[tuple[str, tuple[int, ...]]] = []
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear | torch.nn.MaxPool2d):
            module.register_forward_hook(
                lambda _, __, out, name=name: seen.append((name, tuple(out.shape[1:])))
            )
    network(torch.empty(1, 3, size, size, device="meta"))
    return seen


def test_the_papers_network_has_the_papers_parameters() -> None:
    with Unallocated():
        network = build("alexnet", {"towers": 2, "hash_bits": 0}, classes=1000)
    assert network.parameter_count == 60_965_224


@pytest.mark.parametrize("pooling", ["overlapping", "plain"])
def test_layers_have_the_papers_shapes(pooling: str) -> None:
    assert _shapes({"hash_bits": 0, "pooling": pooling}, 224) == [
        ("convolutions.conv1.conv", (96, 55, 55)),
        ("convolutions.conv1.pool", (96, 27, 27)),
        ("convolutions.conv2.conv", (256, 27, 27)),
        ("convolutions.conv2.pool", (256, 13, 13)),
        ("convolutions.conv3.conv", (384, 13, 13)),
        ("convolutions.conv4.conv", (384, 13, 13)),
        ("convolutions.conv5.conv", (256, 13, 13)),
        ("convolutions.conv5.pool", (256, 6, 6)),
        ("hidden.fc6", (4096,)),
        ("hidden.fc7", (4096,)),
        ("head.classifier", (1000,)),
    ]


def test_kernels_see_the_papers_channels() -> None:
    with Unallocated():
        two = build("alexnet", {"towers": 2}, classes=10).state_dict()
        one = build("alexnet", {"towers": 1}, classes=10).state_dict()
    seen = [(48, 96), (256, 256), (192, 384), (192, 384)]
    for number, (by_tower, all_of_them) in enumerate(seen, start=2):
        name = f"convolutions.conv{number}.conv.weight"
        assert two[name].shape[1] == by_tower
        assert one[name].shape[1] == all_of_them


@pytest.mark.parametrize("size", [32, 48, 64, 65, 96, 128, 256])
@pytest.mark.parametrize("pooling", ["overlapping", "plain"])
def test_any_input_size_down_to_32_leaves_a_map_for_the_hidden_layers(
    size: int, pooling: str
) -> None:
    shapes = dict(_shapes({"input_size": size, "pooling": pooling, "width": 0.25}, size))
    assert min(shapes["convolutions.conv5.pool"]) >= 1
    assert shapes["head.classifier"] == (1000,)


def test_response_norm_follows_the_papers_formula() -> None:
    a = torch.rand(2, 9, 3, 3) * 30
    b = LocalResponseNorm()(a)
    for i in range(9):
        window = a[:, max(0, i - 2) : min(8, i + 2) + 1]
        expected = a[:, i] / (2 + 1e-4 * (window**2).sum(dim=1)) ** 0.75
        torch.testing.assert_close(b[:, i], expected)
    # Torch's own divides α by n.
    torch.testing.assert_close(b, torch.nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)(a))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_response_norm_is_the_same_in_a_compiled_network(dtype: torch.dtype) -> None:
    """Traced whole and with its gradient, but not turned into machine code, which takes long."""
    norm = LocalResponseNorm()
    compiled = torch.compile(norm, backend="aot_eager", fullgraph=True)
    a = (torch.randn(2, 9, 3, 3) * 30).to(dtype)
    plain, traced = a.clone().requires_grad_(), a.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        results = norm(plain), compiled(traced)
    assert {b.dtype for b in results} == {dtype}
    for b in results:
        b.backward(torch.ones_like(b))
    torch.testing.assert_close(results[1], results[0])
    torch.testing.assert_close(traced.grad, plain.grad)


def test_response_norm_can_be_switched_off() -> None:
    network = build("alexnet", {"response_norm": False, "width": 0.05, "fc_width": 8}, classes=2)
    assert not [module for module in network.modules() if isinstance(module, LocalResponseNorm)]


def test_preprocessing_follows_the_input_size() -> None:
    paper = preprocessing_for("alexnet", {})
    assert (paper.mode, paper.resize, paper.input_size) == ("crop", 256, 224)
    small = preprocessing_for("alexnet", {"input_size": 32})
    assert (small.mode, small.input_size) == ("squash", 32)
    framed = preprocessing_for("alexnet", {"input_size": 56, "framing": "crop"})
    assert (framed.mode, framed.resize, framed.input_size) == ("crop", 64, 56)


@pytest.mark.parametrize(
    ("option", "value"),
    [("towers", 3), ("pooling", "max"), ("dropout", 1), ("input_size", 31), ("hash_bits", -8)],
)
def test_bad_options_are_named(option: str, value: object) -> None:
    with pytest.raises(BadOption, match=option) as refusal:
        build("alexnet", {option: value}, classes=2)
    assert refusal.value.extensions["option"] == option
    assert refusal.value.extensions["allowed"]


@pytest.mark.parametrize("name", ["", "alex", "alexnet/2", "torchvision", "torchvision/none"])
def test_unknown_networks_are_refused(name: str) -> None:
    with pytest.raises(UnknownNetwork):
        build(name, {}, classes=2)


def test_the_written_out_gradient_of_the_response_norm_is_right() -> None:
    a = (torch.rand(2, 7, 2, 3, dtype=torch.float64) * 50).requires_grad_()
    norm = LocalResponseNorm(alpha=1e-3)
    assert torch.autograd.gradcheck(norm, (a,))
    with torch.no_grad():
        torch.testing.assert_close(norm(a), norm(a.detach().requires_grad_()).detach())
