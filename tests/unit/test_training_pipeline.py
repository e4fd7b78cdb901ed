"""Training in this process on scans of handwritten digits: results, resuming, bad requests."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_set import NETWORK, QUICK, prepare, stored_network, train

from kinsight.contracts.models import CurvePoint, ModelCard
from kinsight.errors import (
    BadOption,
    BadRequest,
    KinsightError,
    TooFewClasses,
    TooFewImages,
    TrainingDiverged,
    UnfitWeights,
    UnknownNetwork,
    UnknownRecipe,
    WeightsNotFound,
)
from kinsight.networks import Outputs
from kinsight.networks.model_folder import weights_bytes
from trainer.training.augment import Normaliser
from trainer.training.events import Reporter
from trainer.training.losses import Loss


class _Killed(Exception):
    """Stands for the moment at which a process is killed."""


class _KilledAt(Reporter):
    """Breaks the run off at an iteration of the training, or at a phase."""

    def __init__(self, *, iteration: int | None = None, phase: str | None = None) -> None:
        super().__init__(io.StringIO())
        self._iteration, self._phase = iteration, phase

    def advance(self, done: int, **facts: Any) -> None:
        super().advance(done, **facts)
        if self._iteration is not None and facts.get("iteration") == self._iteration:
            raise _Killed

    def phase(self, name: str, total: int | None, **described: Any) -> None:
        super().phase(name, total, **described)
        if name == self._phase:
            raise _Killed


def _states(folder: Path, card: ModelCard) -> dict[str, torch.Tensor]:
    return dict(stored_network(folder, card).state_dict())


def test_a_run_fills_the_card_and_stores_a_network_that_works(tmp_path: Path) -> None:
    options = {**QUICK, "epochs": 8, "learning_rate": 0.05}
    card = train(prepare(tmp_path, per_class=60, recipe_options=options, trained_by="Ada"))
    assert card.classes == ["0", "1", "2"]
    assert card.class_counts == {"0": 60, "1": 60, "2": 60}
    assert card.training_images + card.validation_images == 180
    assert len(card.validation_image_ids) == card.validation_images
    assert 9 <= card.validation_images <= 27
    assert card.trained_by == "Ada"
    assert card.iterations == 8 * (card.training_images // 16)
    assert card.accuracy.training is not None
    assert card.accuracy.training > 0.9
    assert card.network_options["towers"] == 2  # defaults are written out
    assert card.recipe_options["momentum"] == 0.9
    stored = json.loads((tmp_path / "store/models/model-job/card.json").read_text())
    assert ModelCard(**stored) == card
    assert (tmp_path / "store/models/model-job/model.safetensors").stat().st_size == card.bytes
    network = stored_network(tmp_path, card)
    assert network.code_bits == card.code_bits == 32
    assert network.parameter_count == card.parameters


@pytest.mark.parametrize("recipe", ["fine-tune", "head"])
def test_a_run_stopped_and_resumed_ends_with_the_same_weights(tmp_path: Path, recipe: str) -> None:
    """Stopped twice at odd moments, with a checkpoint every epoch but none at those moments."""
    options = {
        "fine-tune": {**QUICK, "epochs": 4, "checkpoint_seconds": 0.1},
        "head": {"epochs": 30, "batch_size": 16, "checkpoint_seconds": 0.1},
    }[recipe]
    request = {"recipe": recipe, "recipe_options": options}
    (tmp_path / "whole").mkdir()
    (tmp_path / "broken").mkdir()
    whole = train(prepare(tmp_path / "whole", **request))
    broken = prepare(tmp_path / "broken", **request)
    for iteration in (7, 16):
        with pytest.raises(_Killed):
            train(broken, _KilledAt(iteration=iteration))
    resumed = train(broken)
    expected, got = _states(tmp_path / "whole", whole), _states(tmp_path / "broken", resumed)
    for name, tensor in expected.items():
        torch.testing.assert_close(got[name], tensor, rtol=0, atol=0)
    assert resumed.retrieval == whole.retrieval


def test_checkpoints_are_taken_up(tmp_path: Path) -> None:
    """A resumed run does not do again what its checkpoint has."""
    options = {**QUICK, "epochs": 4, "checkpoint_seconds": 0.1}
    spec = prepare(tmp_path, recipe_options=options)
    with pytest.raises(_Killed):
        train(spec, _KilledAt(phase="saving"))
    points: list[CurvePoint] = []
    reporter = Reporter(io.StringIO())
    reporter.curve = points.append  # type: ignore[method-assign]
    card = train(spec, reporter)
    assert points == []
    assert card.iterations == 4 * (card.training_images // 16)


def test_another_runs_checkpoint_is_not_taken_up(tmp_path: Path) -> None:
    spec = prepare(tmp_path)
    train(spec)
    other = prepare(tmp_path, seed=1)
    (tmp_path / "fresh").mkdir()
    fresh = train(prepare(tmp_path / "fresh", seed=1))
    expected, got = _states(tmp_path / "fresh", fresh), _states(tmp_path, train(other))
    torch.testing.assert_close(got["head.hash.linear.weight"], expected["head.hash.linear.weight"])


def test_the_seed_decides_the_result(tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        (tmp_path / name).mkdir()
        card = train(prepare(tmp_path / name, seed=seed))
        weights.append(_states(tmp_path / name, card)["head.classifier.weight"])
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)
    assert not torch.equal(weights[0], weights[2])


def test_without_a_hash_layer_a_projection_is_fitted_and_stored(tmp_path: Path) -> None:
    options = {**NETWORK, "hash_bits": 0, "projection_bits": 24}
    card = train(prepare(tmp_path, network_options=options))
    assert (card.code_kind, card.code_bits) == ("projection", 24)
    weight = _states(tmp_path, card)["head.projection.weight"]
    torch.testing.assert_close(weight @ weight.T, torch.eye(24), atol=1e-4, rtol=0)


def test_the_head_recipe_leaves_the_backbone_as_it_was(tmp_path: Path) -> None:
    first = train(prepare(tmp_path, job="first"))
    network = stored_network(tmp_path, first)
    (tmp_path / "store/weights").mkdir()
    (tmp_path / "store/weights/abc.safetensors").write_bytes(weights_bytes(network))
    options = {"epochs": 20, "mirror": True, "batch_size": 8}
    card = train(
        prepare(tmp_path, job="second", recipe="head", recipe_options=options, weights="sha256:abc")
    )
    before, after = network.state_dict(), _states(tmp_path, card)
    for name, tensor in before.items():
        if not name.startswith("head."):
            torch.testing.assert_close(after[name], tensor, rtol=0, atol=0)
    assert not torch.equal(after["head.hash.linear.weight"], before["head.hash.linear.weight"])
    assert card.weights == "sha256:abc"
    # The training saw scaled features; the stored network sees plain ones and must agree.
    assert card.accuracy.training is not None
    assert card.accuracy.training > 0.9


def test_the_loss_terms_make_codes_more_binary_and_more_balanced(tmp_path: Path) -> None:
    undecided, uneven = [], []
    for terms in ({}, {"quantisation": 0.1, "balance": 1.0}):
        # Strong decay would keep the activations undecided, whatever the terms ask for.
        options = {"epochs": 60, "batch_size": 32, "weight_decay": 0.01, **terms}
        card = train(prepare(tmp_path, per_class=60, recipe="head", recipe_options=options))
        activations = _activations(tmp_path, card)
        undecided.append(float(torch.minimum(activations, 1 - activations).mean()))
        uneven.append(float((activations.round().mean(dim=0) - 0.5).abs().mean()))
    assert undecided[1] < undecided[0]
    assert uneven[1] < uneven[0]
    assert undecided[1] < 0.2
    assert uneven[1] < 0.15


def _activations(folder: Path, card: ModelCard) -> torch.Tensor:
    """Of the stored network for all training images."""
    pixels = np.fromfile(next((folder / "scratch").glob("canvases-*/pixels.u8")), np.uint8)
    normalise = Normaliser(card.preprocessing, torch.device("cpu"))
    with torch.inference_mode():
        outputs = stored_network(folder, card)(normalise(pixels.reshape(-1, 32, 32, 3)))
    activations: torch.Tensor = outputs.activations
    return activations


def test_unreadable_images_are_left_out_counted_and_named(tmp_path: Path) -> None:
    card = train(prepare(tmp_path, spoiled=[0, 5, 40]))
    assert card.unreadable_images == 3
    assert card.unreadable_files == ["0/scan-0.png", "0/scan-5.png", "1/scan-40.png"]
    assert card.class_counts == {"0": 28, "1": 29, "2": 30}
    assert card.training_images + card.validation_images == 87
    assert not {1, 6, 41} & set(card.validation_image_ids)


def test_a_class_of_which_nothing_can_be_read_is_left_out(tmp_path: Path) -> None:
    card = train(prepare(tmp_path, per_class=10, spoiled=range(10, 20)))
    assert card.classes == ["0", "2"]
    assert card.unreadable_files == [f"1/scan-{number}.png" for number in range(10, 20)]


def test_a_class_of_which_one_image_can_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(TooFewImages, match="'1' has 1 readable"):
        train(prepare(tmp_path, per_class=10, spoiled=range(10, 19)))


def test_the_split_seed_and_not_the_seed_decides_what_is_held_out(tmp_path: Path) -> None:
    held = []
    for name, seeds in (("a", {}), ("b", {"seed": 5}), ("c", {"split_seed": 5})):
        (tmp_path / name).mkdir()
        card = train(prepare(tmp_path / name, **seeds))
        assert card.split_seed == seeds.get("split_seed", 0)
        held.append(set(card.validation_image_ids))
    assert held[0] == held[1]
    assert held[0] != held[2]


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    # Each step makes the weights nine times larger.
    options = {**QUICK, "learning_rate": 10, "weight_decay": 1, "clip_norm": None, "epochs": 40}
    with pytest.raises(TrainingDiverged, match=r"try learning_rate 2 \(a fifth of 10\)"):
        train(prepare(tmp_path, recipe_options=options))


@pytest.mark.parametrize("recipe", ["fine-tune", "head"])
def test_a_diverged_run_keeps_the_weights_of_its_last_checkpoint(
    tmp_path: Path, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, checkpoint = Loss.__call__, tmp_path / "store/checkpoints/job/training.pt"
    steps = iter(range(1000))

    def spoilt(self: Loss, outputs: Outputs, labels: torch.Tensor) -> torch.Tensor:
        good = next(steps) < 300 or not checkpoint.exists()
        return loss(self, outputs, labels) / int(good)

    options = {"epochs": 100, "batch_size": 16, "checkpoint_seconds": 0.1}
    with monkeypatch.context() as patch, pytest.raises(TrainingDiverged) as diverged:
        patch.setattr(Loss, "__call__", spoilt)
        train(prepare(tmp_path, recipe=recipe, recipe_options=options))
    kept = diverged.value.extensions
    assert kept["iteration"] > 0
    assert f"iteration {kept['iteration']} are kept" in diverged.value.detail
    assert kept["weights"] in diverged.value.detail
    again = {"recipe": recipe, "recipe_options": {"epochs": 1, "batch_size": 16}}
    card = train(prepare(tmp_path, job="again", weights=kept["weights"], **again))
    assert card.weights == kept["weights"]
    # The head is trained on scaled features and must fit plain ones again.
    assert recipe == "fine-tune" or (card.accuracy.training or 0) > 0.9


@pytest.mark.parametrize(
    ("request_fields", "error", "words"),
    [
        ({"recipe": "magic"}, UnknownRecipe, "fine-tune"),
        ({"network": "lenet"}, UnknownNetwork, "alexnet"),
        ({"recipe_options": {"epochs": 0}}, BadOption, "epochs"),
        ({"recipe_options": {"speed": 1}}, BadOption, "speed"),
        ({"network_options": {"towers": 5}}, BadOption, "towers"),
        ({"min_images_per_class": 31}, TooFewImages, "'0' has 30 labelled"),
        ({"classes": 1}, TooFewClasses, "at least two"),
        ({"weights": "sha256:0"}, WeightsNotFound, "POST /weights"),
        ({"weights": "default"}, UnfitWeights, "no published weights"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_read(
    tmp_path: Path, request_fields: dict[str, Any], error: type[KinsightError], words: str
) -> None:
    with pytest.raises(error) as refusal:
        train(prepare(tmp_path, **request_fields))
    assert words in refusal.value.detail
    assert not list((tmp_path / "scratch").glob("canvases-*"))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    card = train(prepare(tmp_path, job="first"))
    (tmp_path / "store/weights").mkdir()
    weights = weights_bytes(stored_network(tmp_path, card))
    (tmp_path / "store/weights/abc.safetensors").write_bytes(weights)
    wider = {**NETWORK, "width": 0.2}
    with pytest.raises(UnfitWeights, match="do not fit"):
        train(prepare(tmp_path, job="second", network_options=wider, weights="sha256:abc"))


def test_a_damaged_training_set_is_refused(tmp_path: Path) -> None:
    spec = prepare(tmp_path)
    (tmp_path / "set.ndjson").write_text("not json\n")
    with pytest.raises(BadRequest, match="not a training set"):
        train(spec)
