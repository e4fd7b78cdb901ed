"""The loss terms and the seeds."""

from __future__ import annotations

import pytest
import torch

from kinsight.networks import Outputs
from trainer.recipes import RECIPES, option_descriptions
from trainer.training.losses import Loss
from trainer.training.seeds import derive

LABELS = torch.tensor([0, 1, 0, 1])
LOGITS = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))


def _value(activations: list[list[float]], **weights: float) -> float:
    loss = Loss(**{"quantisation": 0.0, "balance": 0.0, "hash_layer": True, **weights})  # type: ignore[arg-type]
    return float(loss(Outputs(LOGITS, torch.zeros(4, 3), torch.tensor(activations)), LABELS))


def test_without_a_hash_layer_only_the_cross_entropy_counts() -> None:
    plain = torch.nn.functional.cross_entropy(LOGITS, LABELS)
    loss = Loss(quantisation=1.0, balance=1.0, hash_layer=False)
    outputs = Outputs(LOGITS, torch.zeros(4, 3), torch.full((4, 2), 0.5))
    torch.testing.assert_close(loss(outputs, LABELS), plain)


def test_binary_activations_cost_nothing_and_undecided_ones_most() -> None:
    free = _value([[0.0, 1.0]] * 4)
    assert _value([[0.0, 1.0]] * 4, quantisation=2.0) == pytest.approx(free)
    assert _value([[0.5, 0.5]] * 4, quantisation=2.0) == pytest.approx(free + 2.0)


def test_balanced_bits_cost_nothing_and_constant_ones_most() -> None:
    free = _value([[0.0], [1.0], [1.0], [0.0]])
    assert _value([[0.0], [1.0], [1.0], [0.0]], balance=3.0) == pytest.approx(free)
    assert _value([[1.0]] * 4, balance=3.0) == pytest.approx(free + 3.0)


def test_seeds_differ_by_purpose_and_repeat() -> None:
    assert derive(1, "crop", 2) == derive(1, "crop", 2)
    assert len({derive(1, "crop", 2), derive(1, "crop", 3), derive(2, "crop", 2)}) == 3
    assert 0 <= derive(0) < 2**63


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_every_recipes_options_say_what_they_do(recipe: str) -> None:
    for option, schema in option_descriptions(recipe).items():
        assert schema["description"], option
