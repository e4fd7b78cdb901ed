"""Hears a training run of this process: progress for people, the curve into a file."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kinsight.cli.output import seconds

_SECONDS_BETWEEN_LINES = 5.0


class Listener(io.StringIO):
    """The stream a Reporter writes its events to. problem: what the run failed with."""

    def __init__(self, name: str, say: Callable[[str], None], curve: Path) -> None:
        super().__init__()
        self._name, self._say, self._curve = name, say, curve
        self.problem: dict[str, Any] | None = None
        self._said: tuple[str, float] = ("", 0.0)
        curve.parent.mkdir(parents=True, exist_ok=True)

    def write(self, text: str, /) -> int:
        try:
            event = json.loads(text)
        except ValueError:  # what a library prints is no event
            self._say(text.rstrip())
            return len(text)
        if event["event"] == "progress":
            self._progress(event["progress"])
        elif event["event"] == "curve":
            with self._curve.open("a") as file:
                file.write(json.dumps(event["point"]) + "\n")
        elif event["event"] == "failed":
            self.problem = event["problem"]
        return len(text)

    def _progress(self, progress: dict[str, Any]) -> None:
        phase, now = progress["phase"], time.monotonic()
        before, when = self._said
        due = now - when >= _SECONDS_BETWEEN_LINES
        if not due and phase == before:
            return
        if progress["done"] or phase != before:
            self._say(f"{self._name}: {phase} {_facts(progress)}".rstrip())
            self._said = (phase, now)


def _facts(progress: dict[str, Any]) -> str:
    if progress["total"] is None:
        return ""
    facts = [f"{progress['done']:,} of {progress['total']:,} {progress['unit']}"]
    if progress["phase"] == "training":
        facts += [
            f"{name} {progress[key]:{form}}"
            for key, name, form in (
                ("epoch", "epoch", "g"),
                ("loss", "loss", ".3f"),
                ("training_accuracy", "training accuracy", ".3f"),
                ("validation_accuracy", "validation accuracy", ".3f"),
            )
            if progress.get(key) is not None
        ]
    if progress["eta_seconds"] is not None:
        facts.append(f"{seconds(progress['eta_seconds'])} left")
    return ", ".join(facts)
