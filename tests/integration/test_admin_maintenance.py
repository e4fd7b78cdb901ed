"""Maintenance of a library that is really trained, indexed and searched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import admin.app
import feature_extractor.app
import indexer.app
import trainer.app
from integration.digits import digits, request
from integration.serving import System, system
from kinsight.clients.admin import AdminClient
from kinsight.contracts.jobs import JobState
from kinsight.contracts.libraries import LibraryPatch
from kinsight.errors import LibraryNotFound, ModelInUse, ModelNotFound, NoModel


@pytest.fixture
async def running(database_url: str, tmp_path: Path) -> AsyncIterator[System]:
    async with system(database_url, tmp_path, sla_sample_seconds=0.1) as started:
        await started.start("extractor", feature_extractor.app.create_app)
        await started.start("indexer", indexer.app.create_app)
        await started.start("trainer", trainer.app.create_app)
        await started.start("admin", admin.app.create_app)
        await started.fill("digits", digits())
        yield started


async def trained(running: System, then: str) -> str:
    job = await running.ended(await running.trainer.train(request(then=then)))
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.result is not None
    model: str = job.result["model"]
    return model


async def p_at_10(client: AdminClient) -> tuple[str, float | None]:
    requirements = (await client.sla()).requirements
    return next((one.name, one.value) for one in requirements if one.name.startswith("P@10"))


@pytest.mark.slow
async def test_two_models_of_one_library(running: System) -> None:
    client = AdminClient(running.client("admin"))
    assert await p_at_10(client) == ("P@10", None)
    first = await trained(running, "promote")
    assert await p_at_10(client) == ("P@10 of digits", None)

    # The second is indexed beside the first and measured; searches go on under the first.
    second = await trained(running, "evaluate")
    assert (await running.indexer.library("digits")).model == first
    card = (await running.trainer.model(second)).card
    assert card.evaluation is not None
    assert card.evaluation["queries"] == card.validation_images
    assert (await running.indexer.model_use(second)).candidate == ["digits"]
    assert (await running.trainer.model(first)).card.evaluation is None

    with pytest.raises(ModelInUse, match="digits"):
        await client.delete_model(first)
    await running.indexer.patch_library("digits", LibraryPatch(floor=0))  # they are small models
    job = await running.ended(await running.indexer.promote("digits", second))
    assert job.state is JobState.SUCCEEDED, job.error
    name, value = await p_at_10(client)
    assert name == "P@10 of digits"
    assert value == next(
        row["p_at_10"]
        for row in card.evaluation["results"]
        if (row["space"], row["routing"]) == ("auto", "adaptive")
    )

    await client.delete_model(first)
    assert await running.store.keys(f"models/{first}/") == []
    assert (await running.indexer.library("digits")).previous_model is None
    with pytest.raises(ModelNotFound):
        await client.delete_model(first)
    # What it took to train a model is still worth comparing.
    assert len((await client.training_curves({"library": "digits"})).runs) == 2

    cleared = await client.clear("digits")
    assert (cleared.library, cleared.removed) == ("digits", len(digits()))
    assert (await running.indexer.library("digits")).indexed == 0
    job = await running.ended(await client.rebuild("digits"))
    assert job.state is JobState.SUCCEEDED, job.error
    assert (await running.indexer.library("digits")).indexed == len(digits())


@pytest.mark.slow
async def test_maintenance_of_what_is_not_there(running: System) -> None:
    client = AdminClient(running.client("admin"))
    with pytest.raises(LibraryNotFound):
        await client.clear("nothing")
    with pytest.raises(LibraryNotFound):
        await client.rebuild("nothing")
    with pytest.raises(NoModel):
        await client.rebuild("digits")
    with pytest.raises(ModelNotFound):
        await client.delete_model("nothing")
    assert (await client.training_curves({"library": "nothing"})).runs == []
