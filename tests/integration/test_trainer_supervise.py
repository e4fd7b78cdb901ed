"""The training process seen from outside: heard, and ended with all its children."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from kinsight.contracts.models import Accuracies, ModelCard, Preprocessing, RetrievalSettings
from kinsight.errors import TooFewImages, TrainingLost
from trainer.supervise import Event, ProcessEnded, supervise

CARD = ModelCard(
    id="shop-alexnet-1",
    library="shop",
    network="alexnet",
    preprocessing=Preprocessing(),
    classes=["a", "b"],
    feature_dimensions=4,
    code_bits=8,
    code_kind="projection",
    recipe="head",
    weights="none",
    seed=0,
    data_fingerprint="0",
    class_counts={"a": 1, "b": 1},
    training_images=2,
    validation_images=200_000,
    validation_image_ids=list(range(200_000)),
    started_at=datetime(2026, 1, 1, tzinfo=UTC),
    seconds=1,
    iterations=1,
    epochs=1,
    device="cpu",
    machine="test",
    accuracy=Accuracies(),
    retrieval=RetrievalSettings(),
    parameters=1,
    bytes=1,
)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a program in the place of the training process."""

    def write(program: str) -> Path:
        executable = tmp_path / "program"
        prelude = "import json, os, signal, subprocess, sys, time"
        executable.write_text(f"#!{sys._base_executable}\n{prelude}\n{program}\n")  # type: ignore[attr-defined]
        executable.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(executable))
        return tmp_path / "specification.json"

    return write


def say(**event: Any) -> str:
    return f"print({json.dumps(json.dumps(event))}, flush=True)"


async def test_events_are_heard_and_the_card_returned(script: Callable[[str], Path]) -> None:
    card = CARD.model_dump(mode="json")  # a line of more than a megabyte
    file = script(
        "\n".join(
            [
                say(event="progress", progress={"done": 1}),
                "print('a library prints something')",
                "print('[1, 2]')",
                say(event="curve", point={"iteration": 1, "seconds": 0.5}),
                say(event="done", card=card),
                "time.sleep(600)",
            ]
        )
    )
    heard: list[Event] = []
    assert await supervise(file, heard.append) == CARD
    assert [event["event"] for event in heard] == ["progress", "curve"]


async def test_the_processs_problem_is_raised(script: Callable[[str], Path]) -> None:
    problem = TooFewImages("hat has 3", classes={"hat": 3}).problem()
    file = script(say(event="failed", problem=problem) + "; sys.exit(1)")
    with pytest.raises(TooFewImages, match="hat has 3") as caught:
        await supervise(file, lambda _: None)
    assert caught.value.extensions == {"classes": {"hat": 3}}


async def test_last_words_of_a_crash_are_kept(script: Callable[[str], Path]) -> None:
    file = script("sys.exit('ImportError: no module named sense')")
    with pytest.raises(TrainingLost, match="code 1: ImportError: no module named sense"):
        await supervise(file, lambda _: None)


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "sys.exit(137)"])
async def test_a_signal_is_told_from_a_crash(script: Callable[[str], Path], end: str) -> None:
    with pytest.raises(ProcessEnded, match="SIGKILL"):
        await supervise(script(end), lambda _: None)


@pytest.mark.slow
async def test_cancellation_ends_a_stubborn_process_and_its_children(
    script: Callable[[str], Path],
) -> None:
    file = script(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "print(json.dumps({'event': 'progress', 'pids': [os.getpid(), child.pid]}), flush=True)\n"
        "time.sleep(600)"
    )
    heard: list[Event] = []
    work = asyncio.create_task(supervise(file, heard.append))
    async with asyncio.timeout(20):
        while not heard:
            await asyncio.sleep(0.02)
    began = time.monotonic()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert time.monotonic() - began < 4.5
    async with asyncio.timeout(5):
        while any(_alive(pid) for pid in heard[0]["pids"]):
            await asyncio.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
