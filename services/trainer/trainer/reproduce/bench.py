"""What a reproduction works with: its data, training, judging, and what it has done already."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kinsight.contracts.libraries import TrainingImage
from trainer.reproduce.base import DataWanted, Scale
from trainer.reproduce.data import find_sources
from trainer.reproduce.drawing import Most
from trainer.reproduce.judging import Crops, Errors, Judge
from trainer.reproduce.prepared import Prepared, prepare
from trainer.reproduce.report import TrainedModel
from trainer.reproduce.runs import Plan, Run, Runs
from trainer.reproduce.sources import DataSource
from trainer.training.seeds import generator

Part = Literal["test", "training"]
# What can be made again, and is large.
_PASSING = ("scratch", "archives", "instance")


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
        self._judges: dict[tuple[object, ...], Judge] = {}

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

    def judge(
        self,
        run: Run,
        data: Prepared,
        *,
        part: Part = "test",
        crops: Crops = 1,
        most: int | None = None,
    ) -> Judge:
        """The model on the test or the training pictures, or on so many of them by seed.

        Outputs are kept for the run that was judged last: those of many are too large.
        """
        key = (run.card.id, data.key, part, crops, most)
        if key not in self._judges:
            self._judges = {kept: one for kept, one in self._judges.items() if kept[0] == key[0]}
            images = data.test_images() if part == "test" else data.training_images()
            if most is not None and len(images) > most:
                drawn = generator(self.seed, "judged").permutation(len(images))[:most]
                images = [images[i] for i in sorted(drawn)]
            self._judges[key] = self._judge(run, data, images, part, crops)
        return self._judges[key]

    def _judge(
        self, run: Run, data: Prepared, images: list[TrainingImage], part: Part, crops: Crops
    ) -> Judge:
        # Where the run has read its training pictures they need not be read again.
        scratch = data.key if part == "training" else f"{data.key}-test"
        return Judge(
            self.runs.store,
            run.card,
            images,
            self.work / "scratch" / scratch,
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

    def tidy(self) -> None:
        """Once the report is written: models, results and the pictures themselves stay."""
        self._judges.clear()
        for name in _PASSING:
            shutil.rmtree(self.work / name, ignore_errors=True)

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
