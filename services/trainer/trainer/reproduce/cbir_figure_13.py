"""Figure 13 of the CBIR paper: iterations against time on two devices."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kinsight.errors import Unprocessable
from trainer.reproduce.base import CBIR, Scale
from trainer.reproduce.bench import Bench
from trainer.reproduce.cbir_table_1 import ANY
from trainer.reproduce.prepared import Prepared
from trainer.reproduce.report import Measure, Picture, Report, Row, Table
from trainer.reproduce.runs import Plan, Run
from trainer.reproduce.scales import described, handful, picture_network

_ITERATIONS: dict[Scale, int] = {"smoke": 24, "small": 400, "full": 400}
_BATCH: dict[Scale, int] = {"smoke": 16, "small": 64, "full": 128}
_MEASURES = (
    Measure("speed", "iterations per second", decimals=3, in_paper=False),
    Measure("seconds", "seconds per 1,000 iterations", decimals=1, in_paper=False),
    Measure("relative", "times the slower one's speed", decimals=2),
)


@dataclass(frozen=True)
class _Setting:
    """name: of the device. environment: for the process. cores: None for all."""

    name: str
    environment: dict[str, str]
    cores: int | None = None


class CbirFigure13:
    name = "cbir-figure-13"
    paper = CBIR
    place = "figure 13 (§2.4.3)"
    shows = "training curves of two devices: iterations against time"
    data = ANY
    takes = frozenset[str]()

    def run(self, bench: Bench) -> Report:
        data = bench.prepare(handful(bench.scale, small=10_000))
        runs = [(setting, self._train(bench, data, setting)) for setting in _settings()]
        speeds = {setting.name: _speed(run) for setting, run in runs}
        slowest = min(speeds.values())
        papers = {"relative": 700}, {"relative": 1}
        order = sorted(runs, key=lambda one: -speeds[one[0].name])
        rows = [
            Row(
                f"{role}: {setting.name}",
                paper,
                {
                    "speed": speeds[setting.name],
                    "seconds": 1000 / speeds[setting.name],
                    "relative": speeds[setting.name] / slowest,
                },
                machine,
            )
            for (setting, _), role, paper, machine in zip(
                order,
                ("faster", "slower"),
                papers,
                ("paper: Tesla K20c", "paper: Quadro K2100m"),
                strict=True,
            )
        ]
        faster, slower = (setting.name for setting, _ in order)
        findings = [
            f"{faster} trains {speeds[faster] / slowest:.2f} times as fast as {slower}; the "
            "faster one's line of time over iterations is the flatter one, as in the paper."
        ]
        differences = [
            "The paper compares two graphics cards, a Tesla K20c and a Quadro K2100m; here "
            f"{faster} and {slower} of one machine.",
            f"The data are {data.title}; at least {_ITERATIONS[bench.scale]} iterations in batches "
            f"of {_BATCH[bench.scale]}.",
            *described(picture_network(bench.scale, data.side), data.side),
        ]
        table = Table("Training speed", _MEASURES, rows)
        return Report([table], [_picture(order)], findings, differences)

    def _train(self, bench: Bench, data: Prepared, setting: _Setting) -> Run:
        per_epoch = max(1, int(data.train * 0.9) // _BATCH[bench.scale])
        plan = Plan(
            setting.name,
            {**picture_network(bench.scale, data.side), "hash_bits": 0},
            "fine-tune",
            {
                "epochs": -(-_ITERATIONS[bench.scale] // per_epoch),
                "batch_size": _BATCH[bench.scale],
            },
            seed=bench.seed,
        )
        with _restricted(setting):
            run = bench.runs.train(data, plan, apart=setting.environment)
        bench.models.append(run.described())
        return run


def _settings() -> tuple[_Setting, _Setting]:
    """The GPU and the CPU; without a GPU all cores and one core."""
    from trainer.training import devices  # torch takes seconds to load

    device, cores = devices.choose(), devices.usable_cores()
    if device.torch.type == "cuda":
        return (
            _Setting(f"GPU ({device.machine.partition(': ')[2]})", {}),
            _Setting(f"CPU, {cores} cores", {"CUDA_VISIBLE_DEVICES": ""}),
        )
    if cores < 2 or not hasattr(os, "sched_setaffinity"):
        raise Unprocessable(
            "Two devices are compared here: a GPU and the CPU, or all cores and one core, which "
            "this system does not let a program choose. Run it on Linux with two cores, or with a "
            "GPU."
        )
    return _Setting(f"CPU, {cores} cores", {}), _Setting("CPU, 1 core", {}, cores=1)


@contextmanager
def _restricted(setting: _Setting) -> Iterator[None]:
    """A process started inside runs on so many cores: it inherits what this thread may use."""
    if setting.cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[: setting.cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _speed(run: Run) -> float:
    """Iterations per second of training; the first point is left out, which tells of the start."""
    first, last = run.points[0], run.points[-1]
    if len(run.points) < 2 or last.seconds == first.seconds:
        return last.iteration / last.seconds
    return (last.iteration - first.iteration) / (last.seconds - first.seconds)


def _picture(runs: list[tuple[_Setting, Run]]) -> Picture:
    from trainer.plots.curves import Panel, Series, curves  # matplotlib: half a second

    series = [
        Series(
            setting.name,
            [0, *(point.iteration for point in run.points)],
            [0.0, *(point.seconds for point in run.points)],
        )
        for setting, run in runs
    ]
    png = curves([Panel("seconds", "iterations", series, from_zero=True)])
    return Picture("speed.png", "Training time over iterations; flatter is faster.", png)
