"""Ensembles of models trained in this process on scans of handwritten digits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_set import NETWORK, QUICK, prepare, stored_network, train

from kinsight.contracts.models import ModelCard, Preprocessing, TrainRequest
from kinsight.errors import BadOption, ModelNotFound, TooFewImages
from kinsight.networks import to_arrays
from trainer import ensembles

LABELS = ["0", "1", "2"]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[ModelCard]]]:
    """A store with two models of different kind."""
    folder = tmp_path_factory.mktemp("members")
    projected = {**NETWORK, "hash_bits": 0, "projection_bits": 20, "activation": "tanh"}
    first = train(prepare(folder, job="a", recipe_options={**QUICK, "epochs": 4}))
    second = train(prepare(folder, job="b", seed=1, network_options=projected))
    yield folder, [first, second]


def averaged(folder: Path, models: list[str], **changes: Any) -> Path:
    options = {"network": "ensemble", "recipe": "average", "recipe_options": {}}
    asked = {**options, "network_options": {"models": models}, **changes}
    return prepare(folder, job=asked.pop("job", "ensemble"), **asked)


def test_an_ensemble_says_the_mean_of_its_models(members: tuple[Path, list[ModelCard]]) -> None:
    folder, (first, second) = members
    card = train(averaged(folder, [first.id, second.id]))
    x = torch.randn(9, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    ensemble = stored_network(folder, card)
    with torch.inference_mode():
        one, other = (stored_network(folder, member)(x) for member in (first, second))
        outputs = ensemble(x)
    torch.testing.assert_close(outputs.probabilities, (one.probabilities + other.probabilities) / 2)
    found = to_arrays(outputs)
    for part, size, member in ((0, 64, one), (1, 64, other)):
        feature = found.feature[:, part * size :][:, :size]
        np.testing.assert_allclose(np.linalg.norm(feature, axis=1), 1, rtol=1e-5)
        expected = torch.nn.functional.normalize(member.feature, dim=1).numpy()
        np.testing.assert_allclose(feature, expected, rtol=1e-5, atol=1e-7)
    bits = torch.cat([one.code, other.code], dim=1).numpy()
    np.testing.assert_array_equal(found.code, np.packbits(bits, axis=1))
    assert (card.code_bits, card.feature_dimensions) == (52, 128)
    assert (card.code_kind, card.feature_metric) == ("projection", "euclidean")


def test_the_card_tells_what_the_ensemble_is(members: tuple[Path, list[ModelCard]]) -> None:
    folder, (first, second) = members
    card = train(averaged(folder, [first.id, second.id], trained_by="Ada"))
    assert card.network_options["models"] == [first.id, second.id]
    kinds = [member["network_options"] for member in card.network_options["members"]]
    assert kinds == [first.network_options, second.network_options]
    assert (card.recipe, card.iterations, card.epochs) == ("average", 0, 0)
    assert card.validation_image_ids == first.validation_image_ids
    assert card.preprocessing == first.preprocessing
    assert card.parameters == first.parameters + second.parameters
    assert card.retrieval.match_distance
    stored = json.loads((folder / f"store/models/{card.id}/card.json").read_text())
    assert ModelCard(**stored) == card


def test_it_outlives_its_models_and_can_be_a_member_itself(
    members: tuple[Path, list[ModelCard]], tmp_path: Path
) -> None:
    shutil.copytree(members[0], tmp_path, dirs_exist_ok=True)
    first, second = members[1]
    inner = train(averaged(tmp_path, [first.id, second.id], job="inner"))
    outer = train(averaged(tmp_path, [inner.id, second.id], job="outer"))
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    networks = [stored_network(tmp_path, card) for card in (first, second)]
    for card in (first, second, inner):
        shutil.rmtree(tmp_path / f"store/models/{card.id}")
    with torch.inference_mode():
        one, two = (network(x).probabilities for network in networks)
        found = stored_network(tmp_path, outer)(x).probabilities
    torch.testing.assert_close(found, ((one + two) / 2 + two) / 2)
    with pytest.raises(ModelNotFound, match="model-a"):
        train(averaged(tmp_path, [first.id, outer.id], job="late"))


def test_what_was_held_out_for_the_models_stays_held_out(
    members: tuple[Path, list[ModelCard]],
) -> None:
    """A split of the library as it is now would hold out images the models were trained on."""
    folder, (first, second) = members
    card = train(averaged(folder, [first.id, second.id], per_class=45))
    assert card.validation_image_ids == first.validation_image_ids
    assert card.training_images == 135 - len(first.validation_image_ids)
    anew = train(prepare(folder, job="anew", per_class=45))
    assert anew.validation_image_ids != first.validation_image_ids


def _request(**changes: Any) -> TrainRequest:
    values = {"library": "digits", "network": "ensemble", "recipe": "average"}
    return TrainRequest(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"library": "others"}, "model-b is of the library others, not of digits"),
        ({"classes": ["0", "1", "3"]}, "model-b knows other classes than model-a: '3' too, not"),
        ({"classes": ["1", "0", "2"]}, "in another order"),
        ({"preprocessing": Preprocessing(mode="squash", resize=64, input_size=64)}, "input_size"),
        ({"split_seed": 5}, "model-b was trained with split_seed 5 and this request says 0"),
        ({"validation_image_ids": [1, 2]}, "model-b was validated on other images than model-a"),
    ],
)
def test_models_that_do_not_go_together_are_named(
    members: tuple[Path, list[ModelCard]], changes: dict[str, Any], words: str
) -> None:
    _, (first, second) = members
    ensembles.check_members(_request(), [first, second], LABELS)
    with pytest.raises(BadOption) as refusal:
        ensembles.check_members(_request(), [first, second.model_copy(update=changes)], LABELS)
    assert words in refusal.value.detail
    assert refusal.value.extensions == {"option": "models", "model": "model-b"}


def test_the_librarys_classes_must_be_the_models(members: tuple[Path, list[ModelCard]]) -> None:
    folder, (first, second) = members
    with pytest.raises(BadOption, match="'3' is new, '1' has gone"):
        ensembles.check_members(_request(), [first, second], ["0", "2", "3"])
    with pytest.raises(BadOption, match="'3' is new"):
        train(averaged(folder, [first.id, second.id], classes=4))


def test_without_a_held_out_image_there_is_no_ensemble(
    members: tuple[Path, list[ModelCard]], tmp_path: Path
) -> None:
    shutil.copytree(members[0], tmp_path, dirs_exist_ok=True)
    for card in members[1]:
        card = card.model_copy(update={"validation_image_ids": [1001, 1002]})
        (tmp_path / f"store/models/{card.id}/card.json").write_text(card.model_dump_json())
    with pytest.raises(TooFewImages, match="held out for these models"):
        train(averaged(tmp_path, [card.id for card in members[1]]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": "fine-tune"}, "the recipe fine-tune cannot make one"),
        ({"network": "alexnet", "network_options": {}}, "cannot make alexnet"),
        ({"weights": "default"}, "send weights `none`"),
        ({"network_options": {"models": "a"}}, "at least 2 items"),
        ({"network_options": {"models": "a, a"}}, "a is named twice"),
        ({"network_options": {"models": [str(n) for n in range(17)]}}, "at most 16 items"),
        ({"network_options": {}}, "needs the option 'models'"),
    ],
)
def test_bad_requests_say_what_to_send(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadOption) as refusal:
        train(averaged(tmp_path, ["a", "b"], **changes))
    assert words in refusal.value.detail


def test_unknown_models_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="'a'"):
        train(averaged(tmp_path, ["a", "b"]))
