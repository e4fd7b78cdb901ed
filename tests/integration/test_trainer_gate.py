"""Training with `then: promote` when the gate says no."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import feature_extractor.app
import indexer.app
import trainer.app
from integration.digits import digits, request
from integration.serving import System, system
from kinsight.contracts.jobs import JobState
from kinsight.contracts.promotions import Outcome

GOOD = {"epochs": 16, "mirror": False, "batch_size": 16}
BAD = {**GOOD, "epochs": 3}  # it has only just begun to tell them apart


@pytest.fixture
async def running(database_url: str, tmp_path: Path) -> AsyncIterator[System]:
    async with system(database_url, tmp_path) as started:
        await started.start("extractor", feature_extractor.app.create_app)
        await started.start("indexer", indexer.app.create_app)
        await started.start("trainer", trainer.app.create_app)
        await started.fill("digits", digits())
        yield started


@pytest.mark.slow
async def test_a_worse_model_is_trained_and_refused(running: System) -> None:
    good, bad = [
        await running.ended(
            await running.trainer.train(request(trained_by=by, recipe_options=options))
        )
        for by, options in (("ada", GOOD), ("bob", BAD))
    ]
    assert good.state is bad.state is JobState.SUCCEEDED, good.error or bad.error
    assert good.result is not None and bad.result is not None
    assert (good.result["promoted"], bad.result["promoted"]) == (True, False)
    assert bad.result["gate"]["p_at_10"] < bad.result["gate"]["live_p_at_10"]
    assert bad.result["gate"]["same_images"]
    assert (await running.indexer.library("digits")).model == good.result["model"]
    history = (await running.indexer.promotions("digits", {})).promotions
    assert [(line.model, line.outcome, line.by) for line in history] == [
        (bad.result["model"], Outcome.REFUSED, "bob"),
        (good.result["model"], Outcome.PROMOTED, "ada"),
    ]
    # It can be measured all the same, and switched to without being built again.
    evaluated = await running.ended(await running.trainer.evaluate(bad.result["model"]))
    assert evaluated.state is JobState.SUCCEEDED, evaluated.error
    promoted = await running.ended(
        await running.indexer.promote("digits", bad.result["model"], override=True)
    )
    assert promoted.result is not None
    assert (promoted.result["indexed"], promoted.result["outcome"]) == (0, "overridden")
