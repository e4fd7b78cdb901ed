"""What recipe `paper-2012` decides beside the update rule."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_set import NETWORK, prepare, stored_network, train

from kinsight.contracts.models import CurvePoint, ModelCard
from kinsight.networks.model_folder import weights_bytes
from trainer.recipes import find, options_for
from trainer.training.events import Reporter

QUICK = {"epochs": 2, "batch_size": 8}


def _train(folder: Path, reporter: Reporter | None = None, **request: Any) -> ModelCard:
    asked = {"recipe": "paper-2012", "recipe_options": QUICK, **request}
    return train(prepare(folder, per_class=12, classes=2, **asked), reporter)


def test_defaults_are_the_papers() -> None:
    options = options_for("paper-2012", {}).model_dump()
    papers = {"batch_size": 128, "epochs": 90, "momentum": 0.9, "weight_decay": 5e-4}
    assert papers | {"learning_rate": 0.01} == {
        name: options[name] for name in (*papers, "learning_rate")
    }
    assert options["crops"] and options["mirror"] and options["colour_noise"]


def test_from_scratch_the_training_mean_is_kept_with_the_model(tmp_path: Path) -> None:
    card = _train(tmp_path)
    canvases = next((tmp_path / "scratch").glob("canvases-*/pixels.u8"))
    pixels = np.fromfile(canvases, np.uint8).reshape(-1, 32 * 32, 3)
    held = np.array(card.validation_image_ids) - 1
    mean = np.delete(pixels, held, axis=0).mean(axis=(0, 1)) / 255
    np.testing.assert_allclose(card.preprocessing.mean, mean, rtol=1e-9)
    assert card.preprocessing.std == (1 / 255,) * 3
    assert card.network_options["initialisation"] == "paper"


def test_what_the_request_says_is_kept(tmp_path: Path) -> None:
    card = _train(
        tmp_path,
        network_options={**NETWORK, "initialisation": "he"},
        recipe_options={**QUICK, "centring": "network"},
    )
    assert card.network_options["initialisation"] == "he"
    assert card.preprocessing.std != (1 / 255,) * 3


def test_given_weights_keep_their_scale(tmp_path: Path) -> None:
    first = train(prepare(tmp_path, job="first"))
    (tmp_path / "store/weights").mkdir()
    weights = weights_bytes(stored_network(tmp_path, first))
    (tmp_path / "store/weights/abc.safetensors").write_bytes(weights)
    card = _train(tmp_path, job="second", weights="sha256:abc")
    assert card.preprocessing == first.preprocessing


def test_a_network_without_the_option_keeps_its_own_initialisation() -> None:
    recipe = find("paper-2012")
    given = {"hash_bits": 8}
    for from_scratch in (False, True):
        kept = recipe.network_options("torchvision/resnet18", given, from_scratch=from_scratch)
        assert kept == given
        chosen = recipe.network_options("alexnet", {}, from_scratch=from_scratch)
        assert chosen == {"initialisation": "paper"}


def test_the_run_ends_on_its_last_plateau_and_is_then_over(tmp_path: Path) -> None:
    options = {**QUICK, "epochs": 200, "patience": 1}
    card = _train(tmp_path, recipe_options=options)
    # The first epoch has the lowest error so far; four without a lower one end the run.
    assert 5 <= card.epochs < 200
    points: list[CurvePoint] = []
    reporter = Reporter(io.StringIO())
    reporter.curve = points.append  # type: ignore[method-assign]
    again = _train(tmp_path, reporter, recipe_options=options)
    assert points == []
    assert (again.epochs, again.iterations) == (card.epochs, card.iterations)


@pytest.mark.parametrize("switch", ["crops", "mirror", "colour_noise"])
def test_each_augmentation_can_be_switched_off(tmp_path: Path, switch: str) -> None:
    (tmp_path / "on").mkdir()
    (tmp_path / "off").mkdir()
    on = _train(tmp_path / "on")
    off = _train(tmp_path / "off", recipe_options={**QUICK, switch: False})
    assert on.recipe_options[switch] is True
    assert off.recipe_options[switch] is False
    states = [
        stored_network(tmp_path / name, card).state_dict()["head.classifier.weight"]
        for name, card in (("on", on), ("off", off))
    ]
    assert not states[0].equal(states[1])
