"""Models in memory: quicker variants that say the same, ten crops, memory, loading."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from extractor_models import SMALL, card_of, network, put_model
from torch import Tensor, nn

from feature_extractor.batching import Batcher
from feature_extractor.device import choose, versions
from feature_extractor.models import LoadedModel, Models
from feature_extractor.optimise import Variant, agree, fold_batch_norm, quickest
from feature_extractor.pace import Pace
from kinsight.errors import ModelNotFound, Unavailable, UnfitWeights
from kinsight.networks import Outputs, to_arrays
from kinsight.networks.model_folder import card_key, weights_key
from kinsight.store import Store, open_store

ALEXNET = {"input_size": 32, "width": 0.25, "fc_width": 64}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As the service does on a machine with few cores; threads that wait for one another are slow
    where other tests run beside these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
async def store(tmp_path: Path) -> Store:
    return open_store(tmp_path.as_uri())


@pytest.fixture
async def models(store: Store) -> AsyncIterator[Models]:
    batcher = Batcher(search_queue=9)
    yield Models(store, choose("cpu"), batcher, capacity=2, batch_seconds=0.075)
    await asyncio.to_thread(batcher.close)


def noise(rows: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (rows, side, side, 3), np.uint8)


def loaded(network: nn.Module, card_network: object = None) -> LoadedModel:
    card = card_of(card_network or network, "m")  # type: ignore[arg-type]
    return LoadedModel(card, Variant(network, None, "float32"), choose("cpu"), Pace(0.075))


def test_normalisation_is_that_of_the_card() -> None:
    rows = noise(2)
    found = loaded(network()).normalised(rows)
    scaled = torch.from_numpy(rows).permute(0, 3, 1, 2).double() / 255
    mean = torch.tensor(SMALL.mean, dtype=torch.float64).view(1, 3, 1, 1)
    std = torch.tensor(SMALL.std, dtype=torch.float64).view(1, 3, 1, 1)
    assert torch.allclose(found.double(), (scaled - mean) / std, atol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "name", ["torchvision/resnet18", "torchvision/mobilenet_v2", "torchvision/regnet_y_400mf"]
)
def test_folded_batch_normalisation_says_the_same(name: str) -> None:
    plain = network(name)
    x_BCHW = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    folded = fold_batch_norm(plain)
    assert folded is not None
    left = sum(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert left < sum(isinstance(module, nn.BatchNorm2d) for module in plain.modules())
    with torch.inference_mode():
        assert agree(plain(x_BCHW), folded(x_BCHW))
        assert quickest(plain, x_BCHW).description.endswith("folded")


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "maxout", "pooling": "max-average", "sixth_convolution": True},
        {"activation": "tanh", "pooling": "plain", "hash_bits": 0},
        {"response_norm": True},
    ],
    ids=str,
)
def test_alexnets_batch_normalisation_is_folded(options: dict[str, Any]) -> None:
    plain = network("alexnet", {**ALEXNET, "norm": "batch", **options})
    x_BCHW = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    folded = fold_batch_norm(plain)
    assert folded is not None
    assert not [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.inference_mode():
        assert agree(plain(x_BCHW), folded(x_BCHW))
        assert quickest(plain, x_BCHW).description.endswith("folded")


def test_batch_normalisation_is_folded_in_every_member_of_an_ensemble() -> None:
    options = {**ALEXNET, "norm": "batch"}
    member = {"network": "alexnet", "network_options": options, "preprocessing": SMALL.model_dump()}
    members = [{**member, "model": model} for model in ("a", "b")]
    plain = network("ensemble", {"models": "a,b", "members": members})
    x_BCHW = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    folded = fold_batch_norm(plain)
    assert folded is not None
    assert not [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.inference_mode():
        assert agree(plain(x_BCHW), folded(x_BCHW))


def test_a_network_without_batch_normalisation_stays_as_it_is() -> None:
    plain = network()
    assert fold_batch_norm(plain) is None
    assert quickest(plain, torch.zeros(1, 3, 64, 64)).network is plain


class Shared(nn.Module):
    """The convolution's output is read before normalisation too: folding would be wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.again = nn.BatchNorm2d(4)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        middle = self.convolution(x_BCHW)
        return self.again(self.norm(middle) + middle)  # type: ignore[no-any-return]


def test_what_is_read_before_normalisation_is_not_folded() -> None:
    assert fold_batch_norm(nn.ModuleDict({"part": Shared()}).eval()) is None  # type: ignore[arg-type]


def test_variants_that_differ_do_not_serve() -> None:
    outputs = Outputs(torch.randn(3, 5), torch.randn(3, 9), torch.rand(3, 8))
    assert agree(outputs, outputs)
    tilted = outputs.feature.clone()
    tilted[2] += 0.1 * torch.randn(9)
    assert not agree(outputs, outputs._replace(feature=tilted))
    assert not agree(outputs, outputs._replace(activations=1 - outputs.activations))
    assert not agree(outputs, outputs._replace(logits=torch.full((3, 5), torch.nan)))
    zeros = outputs._replace(feature=torch.zeros(3, 9))
    assert agree(zeros, zeros)


def test_ten_crops_are_averaged_and_the_code_comes_from_the_average() -> None:
    model = loaded(network())
    rows = noise(20)
    with torch.inference_mode():
        single = model.variant(model.normalised(rows))
    found = model.run(rows, 10)
    probabilities = single.probabilities.view(2, 10, -1).mean(1)
    activations = single.activations.view(2, 10, -1).mean(1)
    assert np.allclose(found.probabilities, probabilities, atol=1e-6)
    assert np.allclose(found.probabilities.sum(1), 1, atol=1e-5)
    assert np.allclose(found.feature, single.feature.view(2, 10, -1).mean(1), atol=1e-5)
    assert (found.code == np.packbits(activations.numpy() >= 0.5, axis=1)).all()


class Cramped(nn.Module):
    """A network on a device that holds so many inputs and no more."""

    def __init__(self, inner: nn.Module, most: int) -> None:
        super().__init__()
        self.inner, self.most, self.sizes = inner, most, list[int]()

    def forward(self, x_BCHW: Tensor) -> Outputs:
        self.sizes.append(len(x_BCHW))
        if len(x_BCHW) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        outputs: Outputs = self.inner(x_BCHW)
        return outputs


def test_a_batch_too_large_for_the_memory_is_halved() -> None:
    inner = network()
    cramped = Cramped(inner, 3)
    found = loaded(cramped, inner).run(noise(7))
    assert max(size for size in cramped.sizes if size <= 3) >= 2
    with torch.inference_mode():
        expected = to_arrays(inner(loaded(inner).normalised(noise(7))))
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert np.allclose(one, other, atol=1e-5)
    # The ten crops of one picture stay together.
    crops = Cramped(inner, 10)
    assert loaded(crops, inner).run(noise(40), 10).probabilities.shape == (4, 5)
    assert set(crops.sizes) == {40, 20, 10}
    with pytest.raises(Unavailable, match="too little free memory"):
        loaded(Cramped(inner, 0), inner).run(noise(2))


async def test_a_model_is_loaded_once_however_many_ask(models: Models, store: Store) -> None:
    built = await put_model(store, "one")
    found = await asyncio.gather(*(models.get("one") for _ in range(5)))
    assert len(set(map(id, found))) == 1
    assert models.loaded() == ["one"]
    with torch.inference_mode():
        expected = to_arrays(built(found[0].normalised(noise(2))))
    assert np.allclose(found[0].run(noise(2)).feature, expected.feature, atol=1e-5)


async def test_the_least_used_leaves_memory(models: Models, store: Store) -> None:
    for name in ("one", "two", "three"):
        await put_model(store, name)
    first = await models.get("one")
    await models.get("two")
    assert await models.get("one") is first
    await models.get("three")
    assert models.loaded() == ["one", "three"]
    models.forget("one")
    models.forget("never heard of")
    assert models.loaded() == ["three"]
    assert await models.get("one") is not first


async def test_who_goes_away_does_not_break_off_the_load(models: Models, store: Store) -> None:
    await put_model(store, "one")
    impatient = asyncio.create_task(models.get("one"))
    patient = asyncio.create_task(models.get("one"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).card.id == "one"
    assert models.loaded() == ["one"]


@pytest.mark.parametrize("model_id", ["missing", "../secret", "", "a/b", ".incoming", "x" * 300])
async def test_unknown_models(models: Models, model_id: str) -> None:
    with pytest.raises(ModelNotFound, match="GET /models"):
        await models.get(model_id)
    assert models.loaded() == []


async def test_damaged_models_are_said_and_tried_again(models: Models, store: Store) -> None:
    built = await put_model(store, "one")
    good = await store.get(weights_key("one"))
    await store.put(weights_key("one"), good[: len(good) // 2])
    with pytest.raises(UnfitWeights, match="cannot be read"):
        await models.get("one")
    await store.put(weights_key("one"), good)
    assert (await models.get("one")).card.classes == card_of(built, "one").classes
    await store.put(card_key("two"), b'{"id": "two"}')
    with pytest.raises(UnfitWeights, match="card of model two"):
        await models.get("two")


def test_the_device_is_what_the_machine_has() -> None:
    found = choose("auto")
    assert found.name == ("cuda:0" if torch.cuda.is_available() else "cpu")
    assert choose("cpu").name == "cpu"
    assert found.hardware
    assert versions()["torch"] == torch.__version__


@pytest.mark.parametrize("wanted", ["cuda:63", "abacus", "meta"])
def test_a_device_that_is_not_there_is_refused(wanted: str) -> None:
    with pytest.raises(Unavailable, match="KINSIGHT_DEVICE"):
        choose(wanted)
