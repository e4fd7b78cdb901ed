"""The training process, seen from outside: started, heard, ended with all its children."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kinsight.contracts.models import ModelCard
from kinsight.errors import KinsightError, TrainingLost
from trainer.training import allocation

_TERM_SECONDS = 3.0
_LINE_BYTES = 64 << 20  # a card lists every validation image
_STDERR_LINES = 20
_log = logging.getLogger(__name__)

Event = dict[str, Any]


class ProcessEnded(TrainingLost):
    """The training process was ended from outside, by a signal."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"The training process was ended from outside ({_signal_name(number)}).")


async def supervise(
    specification: Path, hear: Callable[[Event], None], *, processes: int = 1
) -> ModelCard:
    """Runs `python -m trainer.training.process SPECIFICATION`; returns the card of what it trained.

    processes: of them so many, which torchrun starts and which train the model together.
    `hear` gets every event but the last. The process and its children are gone when this returns
    or raises, at the latest three seconds after a cancellation. Raises the problem that the
    process reports, ProcessEnded when a signal ended it, TrainingLost when it ended without a word.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *_program(processes),
        str(specification),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LINE_BYTES,
        start_new_session=True,
        env=allocation.environment(),
    )
    last_words: deque[str] = deque(maxlen=_STDERR_LINES)
    assert process.stdout is not None and process.stderr is not None
    complaints = asyncio.create_task(_relay(process.stderr, last_words))
    try:
        card = await _listen(process.stdout, hear)
        if card is not None:
            return card
        code = await process.wait()
        await asyncio.wait({complaints}, timeout=1.0)
        raise _death(code, last_words)
    finally:
        await _end(process)
        complaints.cancel()
        await asyncio.gather(complaints, return_exceptions=True)


def _program(processes: int) -> list[str]:
    if processes == 1:
        return ["trainer.training.process"]
    return ["trainer.training.torchrun", str(processes)]


async def _listen(stream: asyncio.StreamReader, hear: Callable[[Event], None]) -> ModelCard | None:
    """Reads events until the last one; None where the stream ends without it."""
    async for line in stream:
        try:
            event = json.loads(line)
            kind = event["event"]
        except (ValueError, KeyError, TypeError):
            _log.info("training process: %s", line.decode(errors="replace").rstrip())
            continue
        if kind == "done":
            return ModelCard(**event["card"])
        if kind == "failed":
            raise KinsightError.from_problem(event["problem"])
        hear(event)
    return None


async def _relay(stream: asyncio.StreamReader, last_words: deque[str]) -> None:
    async for line in stream:
        text = line.decode(errors="replace").rstrip()
        last_words.append(text)
        _log.info("training process: %s", text)


def _death(code: int, last_words: deque[str]) -> TrainingLost:
    if code < 0 or code > 128:
        return ProcessEnded(-code if code < 0 else code - 128)
    reason = next((line for line in reversed(last_words) if line.strip()), "it said nothing")
    return TrainingLost(f"The training process ended with code {code}: {reason}")


async def _end(process: asyncio.subprocess.Process) -> None:
    """SIGTERM to the process, SIGKILL to what is left of its group."""
    if process.returncode is None:
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _TERM_SECONDS)
    # Its children, data loaders for example, are in the group even when it has ended by itself.
    _signal_group(process.pid, signal.SIGKILL)
    await process.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
