"""What the trainer refuses before there is a job, and what it makes of uploads."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save

import feature_extractor.app
import indexer.app
import trainer.app
from integration.digits import SMALL, digits, request
from integration.serving import System, system
from kinsight.contracts.libraries import LibraryCreate
from kinsight.errors import (
    BadOption,
    BadRequest,
    BlobNotFound,
    IdempotencyMismatch,
    InvalidRequest,
    KinsightError,
    LibraryNotFound,
    TooFewClasses,
    TooFewImages,
    UnfitWeights,
    UnknownNetwork,
    UnknownRecipe,
    WeightsNotFound,
)
from kinsight.networks import build


@pytest.fixture
async def running(database_url: str, tmp_path: Path) -> AsyncIterator[System]:
    async with system(database_url, tmp_path) as started:
        await started.start("extractor", feature_extractor.app.create_app)
        await started.start("indexer", indexer.app.create_app)
        await started.start("trainer", trainer.app.create_app)
        yield started


@pytest.fixture
async def alone(database_url: str, tmp_path: Path) -> AsyncIterator[System]:
    """The trainer, and no other."""
    async with system(database_url, tmp_path) as started:
        await started.start("trainer", trainer.app.create_app)
        yield started


async def refused(running: System, kind: type[KinsightError], **changes: Any) -> KinsightError:
    with pytest.raises(kind) as caught:
        await running.trainer.train(request(**changes))
    return caught.value


@pytest.mark.slow
async def test_wrong_requests_make_no_job(running: System) -> None:
    files = digits(per_class=6)
    await running.fill("digits", {n: d for n, d in files.items() if n != next(iter(files))})
    await running.indexer.create_library(LibraryCreate(name="empty"))
    await running.fill("one", {n: d for n, d in files.items() if n.startswith("7/")})

    await refused(running, LibraryNotFound, library="nothing")
    assert "no labelled images" in (await refused(running, TooFewClasses, library="empty")).detail
    assert "only the class '7'" in (await refused(running, TooFewClasses, library="one")).detail

    few = await refused(running, TooFewImages, min_images_per_class=6)
    assert "0 has 5" in few.detail and "1 has" not in few.detail
    assert "min_images_per_class" in few.detail
    assert few.extensions["classes"] == {"0": 5}
    few = await refused(running, TooFewImages, min_images_per_class=100)
    assert few.extensions["classes"] == {"0": 5, "1": 6, "7": 6}

    enough: dict[str, Any] = {"min_images_per_class": 5}
    await refused(running, UnknownRecipe, recipe="magic", **enough)
    await refused(running, BadOption, recipe_options={"epochs": 0}, **enough)
    await refused(running, BadOption, recipe_options={"epoch": 3}, **enough)
    await refused(running, BadOption, network_options={"towers": 3}, **enough)
    inception: dict[str, Any] = {"network": "torchvision/inception_v3"}
    await refused(running, BadOption, network_options={"input_size": 64}, **inception, **enough)
    unknown = await refused(running, UnknownNetwork, network="torchvision/resnet5", **enough)
    assert "torchvision/resnet50" in unknown.extensions["near"]
    assert "Did you mean" in unknown.detail
    await refused(running, UnfitWeights, weights="default", **enough)
    await refused(running, InvalidRequest, weights="../../etc/passwd", **enough)
    await refused(running, WeightsNotFound, weights="sha256:" + 64 * "0", **enough)

    await running.store.put("uploads/a", save(build("alexnet", SMALL, classes=2).state_dict()))
    weights = (await running.trainer.add_weights("uploads/a")).weights
    wider = {**SMALL, "width": 0.25}
    unfit = await refused(running, UnfitWeights, weights=weights, network_options=wider, **enough)
    assert unfit.extensions["tensors"]

    assert await running.pool.fetchval("SELECT count(*) FROM jobs WHERE kind = 'train'") == 0


async def test_the_same_request_again_is_the_same_job(running: System) -> None:
    await running.fill("digits", digits(per_class=6))
    wanted = request(min_images_per_class=5, recipe_options={"epochs": 5000, "batch_size": 4})
    job = await running.trainer.train(wanted, "key")
    assert (await running.trainer.train(wanted, "key")).id == job.id
    with pytest.raises(IdempotencyMismatch):
        await running.trainer.train(wanted.model_copy(update={"seed": 1}), "key")
    assert (await running.trainer.train(wanted)).id != job.id
    await running.indexer.delete_library("digits")
    # The library has gone, the job has not.
    assert (await running.trainer.train(wanted, "key")).id == job.id
    for row in await running.pool.fetch("SELECT id FROM jobs WHERE state IN ('queued', 'running')"):
        await running.rows.cancel(str(row["id"]))
    await running.ended(job, 20)


def state() -> dict[str, torch.Tensor]:
    shared = torch.arange(6.0)
    return {"a.weight": shared.view(2, 3), "a.tied": shared, "b": torch.ones(2, dtype=torch.half)}


def pickled(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda: save({k: v.clone() for k, v in state().items()}), id="safetensors"),
        pytest.param(lambda: pickled(state()), id="state dict"),
        pytest.param(lambda: pickled({"state_dict": state()}), id="checkpoint"),
    ],
)
async def test_weights_are_kept_once(alone: System, tmp_path: Path, data: Any) -> None:
    content = data()
    answers = []
    for key in ("uploads/1", "uploads/2"):
        await alone.store.put(key, content)
        answers.append(await alone.trainer.add_weights(key))
    assert answers[0] == answers[1]
    (key,) = await alone.store.keys("weights/")
    assert answers[0].weights == "sha256:" + Path(key).stem
    assert answers[0].tensors == 3
    assert answers[0].bytes == await alone.store.size(key)
    async with alone.store.local_file(key) as path:
        kept = load_file(path)
    assert kept.keys() == state().keys()
    assert all(torch.equal(kept[name].float(), tensor.float()) for name, tensor in state().items())
    assert await alone.store.keys("uploads/") == []
    scratch = alone.settings.data_dir
    assert scratch is not None and list((scratch / "scratch").glob("weights-*")) == []


class Malicious:
    """Runs a command when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> Any:
        return (Path.touch, (self._target,))


def bomb() -> bytes:
    """A state dict whose storage is a terabyte of zeros, by its header."""
    head = json.dumps({"a": {"dtype": "F32", "shape": [1 << 38], "data_offsets": [0, 1 << 40]}})
    return struct.pack("<Q", len(head)) + head.encode() + b"\0" * 64


def nested_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        out.writestr("archive/data.pkl", pickle.dumps({"a": 1}))
    return buffer.getvalue()


@pytest.mark.slow
async def test_other_files_are_no_weights(alone: System, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    contents = [
        b"",
        b"not weights",
        pickle.dumps({"a": [1, 2]}),
        pickled({"a": 5}),
        pickled([torch.ones(1)]),
        pickled({"a": Malicious(ran)}),
        save({"a": torch.ones(3)})[:-4],
        bomb(),
        nested_zip(),
    ]

    for content in contents:
        await alone.store.put("uploads/1", content)
        with pytest.raises(UnfitWeights) as caught:
            await alone.trainer.add_weights("uploads/1")
        assert len(caught.value.detail) > 20
        assert await alone.store.keys("uploads/") == []
    assert not ran.exists()
    assert await alone.store.keys("weights/") == []
    with pytest.raises(BlobNotFound):
        await alone.trainer.add_weights("uploads/none")
    with pytest.raises(BadRequest):
        await alone.trainer.add_weights("models/a/model.safetensors")
