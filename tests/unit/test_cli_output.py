"""How the command line writes figures, progress and tables, and works beside the event loop."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from scripted_gateway import job

from kinsight.cli.beside import beside
from kinsight.cli.output import Output, figure, seconds
from kinsight.cli.progress import JobBar, UploadBar, job_facts
from kinsight.contracts.jobs import Job


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.4, "0 s"), (59.6, "1:00 min"), (185, "3:05 min"), (3729, "1:02:09 h")],
)
def test_seconds(value: float | None, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.98173, "0.9817"), (42.123, "42.12"), (270_868.2, "270,868"), (0, "0")]
)
def test_figure(value: float, text: str) -> None:
    assert figure(value) == text


def test_progress_tells_what_is_known() -> None:
    assert job_facts(Job.model_validate(job())) == ""
    progress = {
        "done": 1200,
        "total": 3068,
        "unit": "iterations",
        "per_second": 45.25,
        "eta_seconds": 41.3,
        "phase": "training",
        "epoch": 3,
        "loss": 0.41234,
        "validation_accuracy": None,
    }
    running = Job.model_validate(job(state="running", progress=progress))
    assert job_facts(running) == (
        "1,200 of 3,068 iterations, 45.2 per s, 41 s left, epoch 3, loss 0.412"
    )


def test_plain_lines_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    progress = {"done": 1, "total": 9, "phase": "reading"}
    with JobBar() as bar:
        for state in ("queued", "running", "running"):
            bar.update(Job.model_validate(job(state=state, progress=progress)))
    with UploadBar("sending") as upload:
        upload.sent(1, 10)  # over before there is a rate: nothing to tell
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [
        "ingest (queued): 1 of 9 images",
        "ingest (reading): 1 of 9 images",
    ]


def test_tables_are_neither_cut_nor_marked_up(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=False).table(["name", ">n"], [["[red]" + "x" * 120, 1], [None, 1200]])
    Output(json=False).facts({"a": {"b": [1, 2], "c": None}, "long": "text"})
    name = "[red]" + "x" * 120
    assert capsys.readouterr().out.splitlines() == [
        f"{'name':125}      n",
        f"{name}      1",
        f"{'':125}   1200",
        "a      b 1, 2, c",
        "long   text",
    ]


async def test_beside_returns_and_raises() -> None:
    assert await beside(lambda stop: stop.is_set()) is False
    with pytest.raises(ZeroDivisionError):
        await beside(lambda _: 1 // 0)


async def test_beside_does_not_keep_a_stop_waiting() -> None:
    began, told = threading.Event(), threading.Event()

    def work(stop: threading.Event) -> None:
        began.set()
        if stop.wait(10):
            told.set()
        time.sleep(0.3)  # a request that is still under way

    task = asyncio.create_task(beside(work))
    assert await asyncio.to_thread(began.wait, 5)
    asked = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - asked < 0.3
    assert await asyncio.to_thread(told.wait, 5)
