"""Every network of the table keeps the promises of `kinsight.networks`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kinsight.contracts.models import Accuracies, ModelCard, RetrievalSettings
from kinsight.errors import BadOption
from kinsight.networks import (
    RetrievalNetwork,
    build,
    network_names,
    option_descriptions,
    preprocessing_for,
    to_arrays,
)
from kinsight.networks.model_folder import load, weights_bytes
from kinsight.networks.unallocated import Unallocated

# One of each architecture; the rest differ in depth and width only.
REPRESENTATIVE = [
    "alexnet",
    "torchvision/alexnet",
    "torchvision/convnext_tiny",
    "torchvision/densenet121",
    "torchvision/efficientnet_b1",
    "torchvision/efficientnet_v2_l",
    "torchvision/googlenet",
    "torchvision/inception_v3",
    "torchvision/maxvit_t",
    "torchvision/mnasnet0_75",
    "torchvision/mobilenet_v2",
    "torchvision/mobilenet_v3_small",
    "torchvision/regnet_x_400mf",
    "torchvision/regnet_y_128gf",
    "torchvision/resnet18",
    "torchvision/resnext101_64x4d",
    "torchvision/shufflenet_v2_x0_5",
    "torchvision/squeezenet1_1",
    "torchvision/swin_t",
    "torchvision/swin_v2_t",
    "torchvision/vgg11_bn",
    "torchvision/vit_b_32",
    "torchvision/vit_h_14",
    "torchvision/wide_resnet50_2",
]
SMALL = [
    "alexnet",
    "torchvision/mnasnet0_5",
    "torchvision/regnet_x_400mf",
    "torchvision/shufflenet_v2_x0_5",
    "torchvision/squeezenet1_1",
]
SMALL_OPTIONS: dict[str, dict[str, Any]] = {
    "alexnet": {"input_size": 32, "width": 0.25, "fc_width": 64}
}
# Two models of different kinds, folded to fewer dimensions than they have.
ENSEMBLE: dict[str, Any] = {
    "models": ["a", "b"],
    "feature_limit": 100,
    "members": [
        {
            "model": model,
            "network": "alexnet",
            "network_options": (options := {**SMALL_OPTIONS["alexnet"], "norm": norm}),
            "preprocessing": preprocessing_for("alexnet", options).model_dump(),
        }
        for model, norm in (("a", "none"), ("b", "batch"))
    ],
}


# Every option of AlexNet in some network.
ALEXNETS: list[dict[str, Any]] = [
    {"activation": "tanh", "towers": 1},
    {"activation": "maxout"},
    {"activation": "maxout", "maxout_pieces": 3, "pooling": "max-average"},
    {"pooling": "max-average", "norm": "batch", "response_norm": True},
    {"pooling": "plain", "norm": "batch", "sixth_convolution": True},
    {"sixth_convolution": True, "initialisation": "paper", "response_norm": False},
    {"activation": "maxout", "norm": "batch", "initialisation": "paper", "dropout": 0},
]


def test_the_representative_networks_are_all_in_the_table() -> None:
    assert set(REPRESENTATIVE) <= set(network_names())


@pytest.mark.parametrize("name", REPRESENTATIVE)
@pytest.mark.parametrize("hash_bits", [0, 48])
def test_outputs_have_the_documented_shapes(
    name: str, hash_bits: int, more: dict[str, Any] | None = None
) -> None:
    options = {"hash_bits": hash_bits, "projection_bits": 40, **(more or {})}
    with Unallocated():
        network = build(name, options, classes=7)
    size = preprocessing_for(name, options).input_size
    outputs = network.to("meta").eval()(torch.empty(2, 3, size, size, device="meta"))
    bits = hash_bits or 40
    assert outputs.logits.shape == outputs.probabilities.shape == (2, 7)
    assert outputs.feature.shape == (2, network.feature_dimensions)
    assert outputs.activations.shape == outputs.code.shape == (2, bits)
    assert network.code_bits == bits
    assert network.code_kind == ("hash-layer" if hash_bits else "projection")
    assert network.classes == 7


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [n for n in network_names() if "/" in n and n not in REPRESENTATIVE]
)
@pytest.mark.parametrize("hash_bits", [0, 48])
def test_so_have_all_the_others(name: str, hash_bits: int) -> None:
    test_outputs_have_the_documented_shapes(name, hash_bits)


@pytest.mark.parametrize("options", ALEXNETS, ids=str)
@pytest.mark.parametrize("hash_bits", [0, 48])
def test_alexnets_variants_have_the_documented_shapes(
    options: dict[str, Any], hash_bits: int
) -> None:
    test_outputs_have_the_documented_shapes("alexnet", hash_bits, options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, SMALL_OPTIONS.get(name, {})) for name in SMALL),
        *(("alexnet", {**SMALL_OPTIONS["alexnet"], **variant}) for variant in ALEXNETS),
        ("ensemble", ENSEMBLE),
    ],
    ids=str,
)
def test_a_saved_model_answers_as_before(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    torch.manual_seed(1)
    network = build(name, options, classes=3)
    size = min(64, preprocessing_for(name, options).input_size)
    with torch.no_grad():  # the statistics of batch normalisation are saved too
        network.train()(torch.randn(4, 3, size, size))
    network.eval()
    path = tmp_path / "model.safetensors"
    path.write_bytes(weights_bytes(network))
    loaded = load(path, _card(network, name, options))
    x = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        before, after = to_arrays(network(x)), to_arrays(loaded(x))
    for expected, got in zip(before, after, strict=True):
        np.testing.assert_array_equal(expected, got)
    np.testing.assert_allclose(after.probabilities.sum(axis=1), 1, rtol=1e-5)
    assert not loaded.training


@pytest.mark.parametrize("name", ["alexnet", "torchvision/resnet18", "ensemble"])
def test_every_option_says_what_it_does_and_unknown_ones_are_refused(name: str) -> None:
    for option, schema in option_descriptions(name).items():
        assert schema["description"], option
    with pytest.raises(BadOption) as refusal:
        build(name, {**({"models": "a,b"} if name == "ensemble" else {}), "colour": 1}, classes=2)
    assert refusal.value.extensions["option"] == "colour"
    assert refusal.value.extensions["allowed"] == sorted(option_descriptions(name))


def _card(network: RetrievalNetwork, name: str, options: dict[str, Any]) -> ModelCard:
    return ModelCard(
        id="m1",
        library="l",
        network=name,
        network_options=options,
        preprocessing=preprocessing_for(name, options),
        classes=["a", "b", "c"],
        feature_dimensions=network.feature_dimensions,
        code_bits=network.code_bits,
        code_kind=network.code_kind,
        recipe="head",
        weights="none",
        seed=0,
        data_fingerprint="",
        class_counts={},
        training_images=0,
        validation_images=0,
        started_at=datetime.now(UTC),
        seconds=0,
        iterations=0,
        epochs=0,
        device="cpu",
        machine="",
        accuracy=Accuracies(),
        retrieval=RetrievalSettings(),
        parameters=network.parameter_count,
        bytes=0,
    )
