"""Progress on stderr: a bar in a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from kinsight.cli.output import note, seconds

if TYPE_CHECKING:
    from kinsight.contracts.jobs import Job

_LINE_SECONDS = 5.0
_RATE_SECONDS = 0.5


class Bar:
    """One thing that goes on, with how far it is, how fast, and the time left."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._rich: Any = None
        self._task: Any = None
        self._said: tuple[str, float] = ("", 0.0)

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not self._quiet:
            # Loaded where a bar is drawn: it would slow down every other start.
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._rich = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=28),
                TextColumn("{task.fields[facts]}", markup=False),
                console=Console(stderr=True),
                transient=True,
            )
            self._rich.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._rich is not None:
            self._rich.stop()

    def show(self, what: str, done: float, total: float | None, facts: str) -> None:
        if self._rich is None:
            self._say(what, f"{what}: {facts or 'begins'}")
        elif self._task is None:
            self._task = self._rich.add_task(what, total=total, completed=done, facts=facts)
        else:
            self._rich.update(
                self._task, description=what, total=total, completed=done, facts=facts
            )

    def _say(self, what: str, line: str) -> None:
        now = time.monotonic()
        before, when = self._said
        if not self._quiet and (what != before or now - when >= _LINE_SECONDS):
            note(line)
            self._said = (what, now)


class JobBar(Bar):
    """Shows a job; call `update` with it at every poll."""

    def update(self, job: Job) -> None:
        progress = job.progress
        phase = getattr(progress, "phase", None)
        where = "queued" if job.state == "queued" else phase
        what = f"{job.kind} ({where})" if where else str(job.kind)
        self.show(what, progress.done, progress.total, job_facts(job))


class UploadBar(Bar):
    """Shows bytes on their way; give `sent` to the client."""

    def __init__(self, what: str, quiet: bool = False) -> None:
        super().__init__(quiet)
        self._what = what
        self._begin = time.monotonic()
        self._shown = 0.0

    def sent(self, done: int, total: int) -> None:
        now = time.monotonic()
        # Before a while there is no rate to speak of, and what is over by then needs no bar.
        if now - self._begin < _RATE_SECONDS or (now - self._shown < 0.1 and done < total):
            return
        self._shown = now
        rate = done / (now - self._begin)
        facts = f"{done / 1e6:,.1f} of {total / 1e6:,.1f} MB, {rate / 1e6:,.1f} MB/s"
        if done < total:
            facts += f", {seconds((total - done) / max(rate, 1.0))} left"
        self.show(self._what, done, total, facts)


def job_facts(job: Job) -> str:
    """`1,200 of 3,068 images, 45.2 per s, 41 s left, epoch 3, loss 0.412, …`; empty before that."""
    progress = job.progress
    extra = progress.model_extra or {}
    if not progress.done and progress.total is None:
        return ""
    of = f" of {progress.total:,}" if progress.total is not None else ""
    facts = [f"{progress.done:,}{of} {progress.unit}"]
    if progress.per_second:
        facts.append(f"{progress.per_second:,.1f} per s")
    if progress.eta_seconds is not None:
        facts.append(f"{seconds(progress.eta_seconds)} left")
    for key, name, form in _TRAINING:
        if isinstance(extra.get(key), (int, float)):
            facts.append(f"{name} {extra[key]:{form}}")
    if extra.get("warning"):
        facts.append(str(extra["warning"]))
    return ", ".join(facts)


_TRAINING = (
    ("epoch", "epoch", ",g"),
    ("loss", "loss", ".3f"),
    ("validation_accuracy", "validation accuracy", ".3f"),
)
