"""`kinsight demo`: the whole loop in a folder of its own, measured, and gone again."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kinsight.cli.beside import beside
from kinsight.cli.evaluate import print_evaluation, result_of
from kinsight.cli.options import Global, Json
from kinsight.cli.output import Output, note, seconds
from kinsight.cli.sample_loop import SampleLoop
from kinsight.cli.search import print_answer
from kinsight.cli.session import reporting

if TYPE_CHECKING:
    from kinsight.contracts.evaluation import Evaluation, EvaluationRow
    from kinsight.contracts.search import SearchAnswer

LEAST_P_AT_1 = 0.97
LEAST_P_AT_10 = 0.95
_STOPPED = 130  # what a shell reports for a process that Ctrl-C ended


@dataclass(frozen=True)
class Outcome:
    answer: SearchAnswer
    evaluation: Evaluation
    seconds: float

    @property
    def row(self) -> EvaluationRow:
        """Of the space and the routing that a search uses unless asked otherwise."""
        return next(
            row
            for row in self.evaluation.results
            if (row.space, row.routing) == ("auto", "adaptive")
        )

    @property
    def passed(self) -> bool:
        return self.row.p_at_1 >= LEAST_P_AT_1 and self.row.p_at_10 >= LEAST_P_AT_10


def demo(context: typer.Context, json: Json = False) -> None:
    """Ingest, train, measure and search with a built-in sample; ends with 0 where all is well."""
    before: Global = context.obj or Global()
    with reporting(json or before.json) as out:
        with tempfile.TemporaryDirectory(prefix="kinsight-demo-") as folder:
            outcome = _run(Path(folder))
        if out.json:
            out.document(_document(outcome))
        else:
            _print(out, outcome)
        if not outcome.passed:
            raise typer.Exit(1)


def _run(folder: Path) -> Outcome:
    try:
        return asyncio.run(_demo(folder))
    except (KeyboardInterrupt, asyncio.CancelledError) as stop:
        note("Stopped; nothing is left behind.")
        raise typer.Exit(_STOPPED) from stop


async def _demo(folder: Path) -> Outcome:
    # The embedded run brings asyncpg, aiohttp and pydantic-settings: not for `kinsight --help`.
    from kinsight.local.instance import UpOptions, running

    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    begin = time.monotonic()
    note("Starting PostgreSQL and the services in a folder of their own")
    # Keys of another instance in the environment are none of this one's.
    options = UpOptions(data_dir=folder, port=0, environment={"KINSIGHT_API_KEYS": ""})
    async with running(options) as instance:
        return await beside(lambda stop: _loop(instance.url, stop, begin))


def _loop(url: str, stop: threading.Event, begin: float) -> Outcome:
    from kinsight.clients import Kinsight  # after the start, which imports it anyway

    with Kinsight(url) as client:
        loop = SampleLoop(client, stop)
        answer = loop.load(client.create_library("digits"))
        evaluation = result_of(loop.evaluate())
    return Outcome(answer, evaluation, time.monotonic() - begin)


def _print(out: Output, outcome: Outcome) -> None:
    print_answer(out, outcome.answer)
    print_evaluation(out, outcome.evaluation.model_dump())
    row = outcome.row
    out.line(
        f"P@1 {row.p_at_1:.4f} (at least {LEAST_P_AT_1}), "
        f"P@10 {row.p_at_10:.4f} (at least {LEAST_P_AT_10}), "
        f"in {seconds(outcome.seconds)}: {'passed' if outcome.passed else 'NOT PASSED'}"
    )


def _document(outcome: Outcome) -> dict[str, object]:
    return {
        "passed": outcome.passed,
        "seconds": round(outcome.seconds, 1),
        "search": outcome.answer.model_dump(mode="json", by_alias=True),
        "evaluation": outcome.evaluation.model_dump(mode="json"),
    }
