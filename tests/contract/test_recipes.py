"""Every recipe of the table keeps the promises of `trainer.recipes`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch

from kinsight.contracts.models import ModelCard
from kinsight.errors import BadOption
from trainer.recipes import RECIPES, options_for
from trainer.training.events import Reporter
from unit.training_set import NETWORK, prepare, stored_network, train

# `average` trains nothing: it joins models that others made.
TRAINING = sorted(set(RECIPES) - {"average"})
SETTINGS: dict[str, dict[str, Any]] = {
    # A plateau at once, so that the rate falls while the run goes on.
    "paper-2012": {"patience": 1},
}
EPOCHS = 3


class _Stopped(Exception):
    """Stands for the moment at which a process is killed."""


class _Heard(Reporter):
    """Keeps what is told, and breaks the run off at an iteration."""

    def __init__(self, *, stop_at: int | None = None) -> None:
        super().__init__(io.StringIO())
        self._stop_at = stop_at
        self.facts: list[dict[str, Any]] = []
        self.phases: list[str] = []

    def phase(self, name: str, total: int | None, **described: Any) -> None:
        super().phase(name, total, **described)
        self.phases.append(name)

    def advance(self, done: int, **facts: Any) -> None:
        super().advance(done, **facts)
        self.facts.append(facts)
        if self._stop_at is not None and facts.get("iteration") == self._stop_at:
            raise _Stopped

    def note(self, **facts: Any) -> None:
        super().note(**facts)
        self.facts.append(facts)


def _specification(folder: Path, recipe: str, **request: Any) -> Path:
    folder.mkdir(exist_ok=True)
    options = {"epochs": EPOCHS, "batch_size": 8, "checkpoint_seconds": 0.1}
    options |= SETTINGS.get(recipe, {})
    asked = {"recipe": recipe, "recipe_options": options, **request}
    return prepare(folder, per_class=12, classes=2, **asked)


def _state(folder: Path, card: ModelCard) -> dict[str, torch.Tensor]:
    return dict(stored_network(folder, card).state_dict())


def _assert_same(folder: Path, card: ModelCard, other: Path, its: ModelCard) -> None:
    state, expected = _state(folder, card), _state(other, its)
    assert state.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(state[name], tensor, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("recipe", TRAINING)
def test_a_run_is_told_live_and_repeats_bit_for_bit(tmp_path: Path, recipe: str) -> None:
    heard = _Heard()
    card = train(_specification(tmp_path / "a", recipe), heard)
    assert card.recipe == recipe
    assert card.recipe_options["epochs"] == EPOCHS
    assert "training" in heard.phases
    told = {name for facts in heard.facts for name in facts}
    assert {"iteration", "epoch", "loss", "training_accuracy", "validation_accuracy"} <= told
    fresh = _state(tmp_path / "a", card)
    assert all(torch.isfinite(tensor).all() for tensor in fresh.values())
    again = train(_specification(tmp_path / "b", recipe))
    _assert_same(tmp_path / "b", again, tmp_path / "a", card)


@pytest.mark.parametrize("recipe", TRAINING)
def test_a_run_stopped_anywhere_ends_with_the_same_weights(tmp_path: Path, recipe: str) -> None:
    whole = train(_specification(tmp_path / "whole", recipe))
    broken = _specification(tmp_path / "broken", recipe)
    for stop in (1, whole.iterations // 2, whole.iterations):
        with pytest.raises(_Stopped):
            train(broken, _Heard(stop_at=stop))
    resumed = train(broken)
    assert resumed.iterations == whole.iterations
    _assert_same(tmp_path / "broken", resumed, tmp_path / "whole", whole)


@pytest.mark.parametrize("recipe", TRAINING)
def test_a_network_without_a_hash_layer_is_trained_too(tmp_path: Path, recipe: str) -> None:
    network = {**NETWORK, "hash_bits": 0, "projection_bits": 16}
    card = train(_specification(tmp_path / "plain", recipe, network_options=network))
    assert (card.code_kind, card.code_bits) == ("projection", 16)


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_unknown_options_are_refused_by_name(recipe: str) -> None:
    with pytest.raises(BadOption, match="speed") as refusal:
        options_for(recipe, {"speed": 1})
    assert f"recipe {recipe}" in refusal.value.detail


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_values_out_of_bounds_are_refused(recipe: str) -> None:
    with pytest.raises(BadOption, match="batch_size"):
        options_for(recipe, {"batch_size": 0})
    with pytest.raises(BadOption, match="checkpoint_seconds"):
        options_for(recipe, {"checkpoint_seconds": "soon"})
