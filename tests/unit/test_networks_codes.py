"""Hash layer and projection."""

from __future__ import annotations

import numpy as np
import torch

from kinsight.networks import Outputs, build, to_arrays
from kinsight.networks.hash_layer import Projection

SMALL = {"input_size": 32, "width": 0.1, "fc_width": 64}


def test_the_classifier_reads_the_hash_layer() -> None:
    network = build("alexnet", {**SMALL, "hash_bits": 12}, classes=3).eval()
    outputs = network(torch.randn(4, 3, 32, 32))
    torch.testing.assert_close(outputs.logits, network.head.classifier(outputs.activations))
    assert network.head.classifier.in_features == 12


def test_a_bit_is_an_activation_of_at_least_one_half() -> None:
    outputs = Outputs(torch.zeros(1, 2), torch.zeros(1, 3), torch.tensor([[0.5, 0.49, 0.51, 0.0]]))
    assert outputs.code.tolist() == [[True, False, True, False]]
    assert to_arrays(outputs).code.tolist() == [[0b10100000]]


def test_projected_codes_keep_near_features_near() -> None:
    """Codes of points around 8 centres: far nearer within a centre than between."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(8, 40)) * 3
    labels = np.repeat(np.arange(8), 50)
    features = torch.tensor(centres[labels] + rng.normal(size=(400, 40)) * 0.3).float()
    projection = Projection(40, 16)
    projection.fit(features, seed=3)
    bits = (projection(features) >= 0.5).numpy()
    distance = (bits[:, None] != bits[None]).sum(axis=2)
    same = labels[:, None] == labels[None]
    assert distance[same].mean() + 2 < distance[~same].mean()
    balance = bits.mean(axis=0)
    assert balance.min() > 0.1
    assert balance.max() < 0.9


def test_the_projection_is_an_orthonormal_map_and_repeatable() -> None:
    features = torch.randn(300, 20, generator=torch.Generator().manual_seed(5))
    first, second = Projection(20, 8), Projection(20, 8)
    first.fit(features, seed=1)
    second.fit(features, seed=1)
    torch.testing.assert_close(first.weight, second.weight)
    torch.testing.assert_close(first.weight @ first.weight.T, torch.eye(8), atol=1e-5, rtol=0)


def test_the_projection_finds_the_directions_of_largest_variance() -> None:
    scales = torch.tensor([10.0, 8.0, 6.0] + [0.1] * 61)
    features = torch.randn(500, 64, generator=torch.Generator().manual_seed(2)) * scales
    projection = Projection(64, 3)
    projection.fit(features, seed=0)
    assert (projection.weight[:, :3] ** 2).sum() > 2.99


def test_a_projection_works_with_fewer_rows_than_bits() -> None:
    projection = Projection(64, 32)
    projection.fit(torch.randn(5, 64), seed=0)
    assert torch.isfinite(projection(torch.randn(2, 64))).all()


def test_cosine_projections_ignore_the_features_length() -> None:
    projection = Projection(10, 6, cosine=True)
    features = torch.randn(50, 10)
    projection.fit(features, seed=0)
    torch.testing.assert_close(projection(features), projection(features * 7))


def test_no_more_projection_bits_than_dimensions() -> None:
    options = {**SMALL, "fc_width": 24, "hash_bits": 0, "projection_bits": 64}
    assert build("alexnet", options, classes=3).code_bits == 24
