"""An ensemble from the command line to the search, with every service real."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import admin.app
import feature_extractor.app
import gateway.app
import indexer.app
import trainer.app
from integration.digits import SMALL, digits, request
from integration.serving import System, system
from kinsight.cli.app import app
from kinsight.contracts.embeddings import Embeddings
from kinsight.contracts.evaluation import Evaluation
from kinsight.contracts.jobs import JobState
from kinsight.contracts.models import Model
from kinsight.contracts.search import SearchAnswer
from kinsight.errors import BadOption, KinsightError, ModelNotFound

EPOCHS = {"epochs": 8, "mirror": False, "batch_size": 16}


@pytest.fixture
async def running(database_url: str, tmp_path: Path) -> AsyncIterator[System]:
    async with system(database_url, tmp_path) as started:
        await started.start("extractor", feature_extractor.app.create_app)
        await started.start("indexer", indexer.app.create_app)
        await started.start("trainer", trainer.app.create_app)
        await started.start("admin", admin.app.create_app)
        await started.start("gateway", gateway.app.create_app)
        await started.fill("digits", digits())
        yield started


async def trained(running: System, **changes: Any) -> Model:
    wanted = request(then="nothing", recipe_options=EPOCHS, **changes)
    job = await running.ended(await running.trainer.train(wanted))
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.result is not None
    return await running.trainer.model(job.result["model"])


def kinsight(running: System, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--url", running.settings.gateway_url])


async def embedded(running: System, picture: bytes, model: str) -> Embeddings:
    return Embeddings.from_bytes(await running.extractor.embed(picture, model))


async def refused(running: System, kind: type[KinsightError], words: str, **changes: Any) -> None:
    values = {"network": "ensemble", "recipe": "average", "recipe_options": {}}
    with pytest.raises(kind) as caught:
        await running.trainer.train(request(**{**values, **changes}))
    assert words in caught.value.detail


@pytest.mark.slow
async def test_an_ensemble_is_made_promoted_searched_and_outlives_its_models(
    running: System,
) -> None:
    one = await trained(running)
    other = await trained(running, seed=1, network_options={**SMALL, "norm": "batch"})
    models = f"{one.id},{other.id}"
    done = await asyncio.to_thread(
        kinsight,
        running,
        *("train", "digits", "--network", "ensemble", "--recipe", "average"),
        *("--network-option", f"models={models}", "--min-images-per-class", "20", "--json"),
    )
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)["result"]
    assert result["promoted"] is True
    ensemble = await running.trainer.model(result["model"])
    assert ensemble.card.network_options["models"] == [one.id, other.id]
    assert ensemble.card.validation_image_ids == one.card.validation_image_ids
    assert ensemble.card.iterations == 0

    query = next(iter(digits("test", 1).values()))
    whole, *parts = [
        await embedded(running, query, model) for model in (ensemble.id, one.id, other.id)
    ]
    mean = np.mean([part.probabilities for part in parts], axis=0)
    np.testing.assert_allclose(whole.probabilities, mean, atol=1e-5)
    features = [part.feature / np.linalg.norm(part.feature) for part in parts]
    np.testing.assert_allclose(whole.feature, np.concatenate(features, axis=1), atol=1e-4)

    for model in (one.id, other.id):
        await running.client("gateway").json("DELETE", f"/models/{model}")
    await running.extractor.forget(ensemble.id)  # so that it is loaded from the store again
    for crops in (1, 10):
        for space in ("softmax", "feature", "hash", "auto"):
            answer = SearchAnswer(
                **await running.client("gateway").json(
                    "POST",
                    "/search",
                    params={"library": "digits", "k": 5, "space": space, "crops": crops},
                    data=query,
                )
            )
            assert answer.model == ensemble.id
            assert len(answer.hits) == 5
            assert answer.hits[0].class_ == "0"

    job = await running.ended(await running.trainer.evaluate(ensemble.id))
    assert job.state is JobState.SUCCEEDED, job.error
    found = Evaluation(**(job.result or {}))
    assert found.queries <= ensemble.card.validation_images
    # With its models gone no other ensemble of them can be made.
    await refused(running, ModelNotFound, one.id, network_options={"models": models})


@pytest.mark.slow
async def test_what_makes_no_ensemble_is_refused_before_a_job_is_made(running: System) -> None:
    one = await trained(running)
    split = await trained(running, split_seed=3)
    before = await running.pool.fetchval("SELECT count(*) FROM jobs")
    pair = {"models": [one.id, split.id]}
    await refused(running, ModelNotFound, "'nothing'", network_options={"models": "nothing,else"})
    await refused(running, BadOption, "split_seed 3", network_options=pair)
    await refused(running, BadOption, "named twice", network_options={"models": [one.id] * 2})
    await refused(running, BadOption, "cannot make one", network_options=pair, recipe="fine-tune")
    await refused(running, BadOption, "trains nothing", network="alexnet", network_options=SMALL)
    await refused(running, BadOption, "weights `none`", network_options=pair, weights="default")
    await refused(running, BadOption, "leave it out", network_options={**pair, "members": []})
    assert await running.pool.fetchval("SELECT count(*) FROM jobs") == before
