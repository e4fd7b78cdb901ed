"""A model's report through the gateway, by the public client and by the command line."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

import feature_extractor.app
import gateway.app
import indexer.app
import trainer.app
from integration.digits import LABELS, digits, request
from integration.serving import System, system
from kinsight.cli.app import app
from kinsight.clients import Kinsight
from kinsight.contracts.jobs import JobState
from kinsight.contracts.reports import DATA, PAGE, PICTURES, REPORT_FILES, report_key
from kinsight.errors import ModelNotFound, NotFound, ReportNotFound


@pytest.fixture
async def running(database_url: str, tmp_path: Path) -> AsyncIterator[System]:
    async with system(database_url, tmp_path) as started:
        await started.start("extractor", feature_extractor.app.create_app)
        await started.start("indexer", indexer.app.create_app)
        await started.start("trainer", trainer.app.create_app)
        await started.start("gateway", gateway.app.create_app)
        await started.fill("digits", digits())
        yield started


@pytest.fixture
async def model(running: System) -> str:
    quick = {"epochs": 2, "mirror": False, "batch_size": 16}
    job = await running.trainer.train(request(then="nothing", recipe_options=quick))
    job = await running.ended(job)
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.result is not None
    return str(job.result["model"])


@pytest.mark.slow
async def test_a_report_from_training_to_deletion(
    running: System, model: str, tmp_path: Path
) -> None:
    """One training run for all: it is what takes the time."""
    await _pages(running, model)
    await asyncio.to_thread(_public_client, running, model)
    await asyncio.to_thread(_command_line, running, model, tmp_path)
    await _evaluation_is_shown(running, model)
    await _absent(running, model)


async def _pages(running: System, model: str) -> None:
    for prefix in ("", "/v1"):
        async with running.client("gateway").request(
            "GET", f"{prefix}/models/{model}/report"
        ) as answer:
            document = await answer.text()
        assert answer.content_type == "text/html"
        assert answer.headers["Cache-Control"] == "private, no-cache"
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; img-src data:;")
        assert "script" not in policy and "sandbox" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert model in document
        assert document.count("<img ") == len(PICTURES)
        for file, kind in REPORT_FILES.items():
            async with running.client("gateway").request(
                "GET", f"{prefix}/models/{model}/report/{file}"
            ) as answer:
                data = await answer.read()
            assert answer.headers["Content-Type"] == kind
            if file in PICTURES:
                with Image.open(io.BytesIO(data)) as picture:
                    assert picture.format == "PNG"
    assert json.loads(await running.trainer.report(model, DATA))["model"] == model


def _public_client(running: System, model: str) -> None:
    with Kinsight(running.settings.gateway_url) as client:
        report = client.report(model)
        assert [one.name for one in report.classes] == list(LABELS)
        assert report.missing == {}
        assert model in client.report_file(model).decode()
        assert client.report_file(model, "top5.png").startswith(b"\x89PNG")
        with pytest.raises(ModelNotFound):
            client.report("nothing")
        with pytest.raises(NotFound, match=r"it has index\.html"):
            client.report_file(model, "model.safetensors")
        with pytest.raises(NotFound):
            client.report_file(model, "../card.json")


def _command_line(running: System, model: str, folder: Path) -> None:
    url, out = running.settings.gateway_url, folder / "out"
    runner = CliRunner()
    fetched = runner.invoke(app, ["models", "report", model, "--out", str(out), "--url", url])
    assert fetched.exit_code == 0, fetched.output
    assert fetched.stdout.strip() == str(out / PAGE)
    assert {path.name for path in out.iterdir()} == set(REPORT_FILES)
    assert model in (out / PAGE).read_text()
    unknown = runner.invoke(app, ["models", "report", "nothing", "--json", "--url", url])
    assert unknown.exit_code == 1
    assert json.loads(unknown.stdout)["code"] == "model-not-found"
    shown = runner.invoke(app, ["models", model, "--url", url])
    assert shown.exit_code == 0 and model in shown.stdout
    listed = runner.invoke(app, ["--json", "models", "--url", url])
    assert [found["id"] for found in json.loads(listed.stdout)["models"]] == [model]


async def _evaluation_is_shown(running: System, model: str) -> None:
    """The page is what is known now, not what was known when training ended."""
    before = await running.trainer.report(model, PAGE)
    assert b">Evaluation<" not in before
    job = await running.ended(await running.indexer.promote("digits", model))
    assert job.state is JobState.SUCCEEDED, job.error
    job = await running.ended(await running.trainer.evaluate(model))
    assert job.state is JobState.SUCCEEDED, job.error
    after = await running.trainer.report(model, PAGE)
    assert b">Evaluation<" in after
    assert b"adaptive" in after


async def _absent(running: System, model: str) -> None:
    for name in (*PICTURES, PAGE, DATA):
        await running.store.delete(report_key(model, name))
    with pytest.raises(ReportNotFound, match="Train it again"):
        await running.trainer.report(model, PAGE)
    await running.store.put(report_key(model, DATA), b"{}")
    await running.trainer.delete_model(model)
    assert await running.store.keys(f"models/{model}/") == []
    with pytest.raises(ModelNotFound):
        await running.trainer.report(model, PAGE)
