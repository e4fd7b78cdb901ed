"""The network `ensemble` by itself: options, outputs, folded features."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kinsight.errors import BadOption
from kinsight.networks import build, options_for, preprocessing_for
from kinsight.networks.folding import Folding
from kinsight.networks.unallocated import Unallocated

SMALL = {"input_size": 32, "width": 0.1, "fc_width": 32, "hash_bits": 12}


def _options(members: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    described = [
        {
            "model": f"m{number}",
            "network": "alexnet",
            "network_options": options,
            "preprocessing": preprocessing_for("alexnet", options).model_dump(),
        }
        for number, options in enumerate(members)
    ]
    return {"models": [one["model"] for one in described], "members": described, **more}


def test_probabilities_are_the_mean_and_features_count_alike() -> None:
    torch.manual_seed(0)
    ensemble = build("ensemble", _options([SMALL, {**SMALL, "norm": "batch"}]), classes=3).eval()
    x = torch.randn(6, 3, 32, 32)
    with torch.inference_mode():
        outputs = ensemble(x)
        one, other = (member(x) for member in ensemble.members)
        torch.testing.assert_close(ensemble.features(x), outputs.feature)
    mean = (one.probabilities + other.probabilities) / 2
    torch.testing.assert_close(outputs.probabilities, mean)
    torch.testing.assert_close(outputs.logits.exp(), mean)
    # Squared distance = Σ 2 (1 - cosine), however large a member's features are.
    squared = (outputs.feature[0] - outputs.feature[1]).square().sum()
    cosines = [torch.cosine_similarity(m.feature[0], m.feature[1], dim=0) for m in (one, other)]
    torch.testing.assert_close(squared, 2 * (2 - cosines[0] - cosines[1]))


def test_a_probability_of_zero_stays_finite() -> None:
    ensemble = build("ensemble", _options([SMALL, SMALL]), classes=2).eval()
    with torch.inference_mode():
        for member in ensemble.members:
            member.head.classifier.bias.copy_(torch.tensor([500.0, -500.0]))
        outputs = ensemble(torch.randn(2, 3, 32, 32))
    assert torch.isfinite(outputs.logits).all()
    torch.testing.assert_close(outputs.probabilities, torch.tensor([[1.0, 0.0]] * 2))


def test_more_dimensions_than_an_index_takes_are_folded() -> None:
    with Unallocated():
        five = build("ensemble", _options([{}] * 5), classes=1000)
        two = build("ensemble", _options([{}] * 2), classes=1000)
    assert (five.feature_dimensions, two.feature_dimensions) == (16_000, 8192)
    limited = build("ensemble", _options([SMALL] * 3, feature_limit=64), classes=2).eval()
    with torch.inference_mode():
        outputs = limited(torch.randn(2, 3, 32, 32))
    assert outputs.feature.shape == (2, limited.feature_dimensions) == (2, 63)


def test_folding_keeps_inner_products_about_as_they_are() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(200, 4096, generator=generator) + 0.5, dim=1)
    folded = Folding(4096, 1000)(rows)
    error = folded @ folded.T - rows @ rows.T
    assert folded.shape == (200, 1000)
    assert abs(float(error.mean())) < 0.01
    assert float(error.std()) < 1.2 / 1000**0.5
    # Nothing is lost where nothing has to be.
    whole = Folding(64, 64)(rows[:, :64])
    torch.testing.assert_close(whole @ whole.T, rows[:, :64] @ rows[:, :64].T)


def test_ids_may_be_one_text_with_commas() -> None:
    assert options_for("ensemble", {"models": "a, b,c"}).model_dump()["models"] == ("a", "b", "c")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs the option 'models'"),
        ({"models": ["a"]}, "at least 2 items"),
        ({"models": ["a", "b", "a"]}, "a is named twice"),
        ({"models": ["a", "b"], "hash_bits": 8}, "has no option 'hash_bits'"),
        ({"models": ["a", "b"]}, "by the recipe `average`"),
        (_options([SMALL, SMALL]) | {"models": ["m0", "m2"]}, "not those of `models`"),
    ],
)
def test_what_is_no_ensemble_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(BadOption) as refusal:
        build("ensemble", options, classes=2)
    assert words in refusal.value.detail
