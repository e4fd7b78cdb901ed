"""What a reproduction works with: its data, training, judging, and what it has done already."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.reproduce.base import DataWanted, Scale
from trainer.reproduce.data import find_sources
from trainer.reproduce.judging import Crops, Errors, Judge
from trainer.reproduce.prepared import Most, Prepared, prepare
from trainer.reproduce.report import TrainedModel
from trainer.reproduce.runs import Plan, Run, Runs
from trainer.reproduce.sources import DataSource


@dataclass(frozen=True)
class Order:
    """What the user asked for."""

    data: Path
    out: Path
    scale: Scale = "small"
    seed: int = 0
    weights: Path | None = None
    pretraining_data: Path | None = None


class Bench:
    """Everything it keeps lies under `work` in the output folder, named after what made it."""

    def __init__(self, order: Order, wanted: DataWanted, say: Callable[[str], None]) -> None:
        """Raises BadRequest where there are no such data."""
        self.order, self.scale, self.seed = order, order.scale, order.seed
        self.say = say
        self.work = order.out / "work"
        self.sources = find_sources(order.data, wanted)
        self.runs = Runs(self.work, say)
        self.models: list[TrainedModel] = []
        self.told: list[str] = []
        self._judges: dict[tuple[str, str, str, Crops], Judge] = {}

    @property
    def source(self) -> DataSource:
        """The data set, where the reproduction is about one."""
        return self.sources[0]

    def pretraining_source(self) -> DataSource | None:
        """The data set that `--pretraining-data` names."""
        path = self.order.pretraining_data
        return find_sources(path, DataWanted("data to pretrain on"))[0] if path else None

    def prepare(self, most: Most, source: DataSource | None = None) -> Prepared:
        """A data set, or the part of it that the scale takes."""
        prepared = prepare(
            source or self.source, most, seed=self.seed, work=self.work, say=self.say
        )
        self.told += [told for told in prepared.sentences() if told not in self.told]
        return prepared

    def train(self, data: Prepared, plan: Plan) -> Run:
        """Trains, or takes what an earlier call has trained."""
        run = self.runs.train(data, plan)
        self.models.append(run.described())
        return run

    def judge(self, run: Run, data: Prepared, *, part: str = "test", crops: Crops = 1) -> Judge:
        """The model on the test or the training pictures.

        Outputs are kept for the run that was judged last: those of many are too large.
        """
        key = (run.card.id, data.key, part, crops)
        if key not in self._judges:
            self._judges = {kept: one for kept, one in self._judges.items() if kept[0] == key[0]}
            self._judges[key] = self._judge(run, data, part, crops)
        return self._judges[key]

    def _judge(self, run: Run, data: Prepared, part: str, crops: Crops) -> Judge:
        return Judge(
            self.runs.store,
            run.card,
            data.test_images() if part == "test" else data.training_images(),
            self.work / "scratch" / f"{data.key}-{part}",
            self.say,
            name=run.plan.name,
            crops=crops,
        )

    def errors(self, run: Run, data: Prepared, *, crops: Crops = 1) -> Errors:
        """Of the test pictures."""
        kept = self.remembered(
            f"errors-{run.card.id}-{data.key}-{crops}",
            lambda: vars(self.judge(run, data, crops=crops).errors()),
        )
        return Errors(**kept)

    def remembered(self, key: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What was measured under this key, now or by an earlier attempt."""
        path = self.work / "results" / f"{key}.json"
        if not path.exists():
            found = measure()
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(found))
            partial.replace(path)
        kept: dict[str, Any] = json.loads(path.read_text())
        return kept
