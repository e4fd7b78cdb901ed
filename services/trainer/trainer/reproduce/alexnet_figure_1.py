"""Figure 1 of AlexNet: a four-layer network on CIFAR-10 with ReLU and with tanh."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kinsight.errors import TrainingDiverged
from trainer.reproduce.base import ALEXNET, DataWanted, Scale
from trainer.reproduce.bench import Bench
from trainer.reproduce.drawing import Most
from trainer.reproduce.prepared import Prepared
from trainer.reproduce.report import Measure, Picture, Report, Row, Table
from trainer.reproduce.scales import handful

if TYPE_CHECKING:
    from trainer.reproduce.four_layer_network import Activation
    from trainer.reproduce.four_layers import FourLayerTraining, Trained

_TARGET = 0.25
_PAPER_RATIO = 6.0
_NAMES: dict[Activation, str] = {"relu": "ReLU", "tanh": "tanh"}
_MEASURES = (
    Measure("rate", "learning rate", decimals=4, in_paper=False),
    Measure("iterations", "iterations to 25 % training error", decimals=0, in_paper=False),
    Measure("epochs", "epochs to it", decimals=2, in_paper=False),
    Measure("relative", "times ReLU's iterations", decimals=2),
)


@dataclass(frozen=True)
class _Effort:
    """probe: iterations by which the rates are compared. epochs: at most, to the target."""

    pictures: Most
    rates: tuple[float, ...]
    probe: int
    epochs: int
    batch_size: int


_EFFORTS: dict[Scale, _Effort] = {
    "smoke": _Effort(handful("smoke", small=0), (0.01, 0.03), 5, 30, 16),
    "small": _Effort(Most(total=20_000), (0.003, 0.01, 0.03, 0.1), 300, 60, 64),
    "full": _Effort(Most(), (0.001, 0.003, 0.01, 0.03, 0.1), 2_000, 300, 128),
}


class AlexNetFigure1:
    name = "alexnet-figure-1"
    paper = ALEXNET
    place = "figure 1 (§3.1)"
    shows = "iterations to 25 % training error with ReLU and with tanh, four layers"
    data = DataWanted("CIFAR-10", ("cifar10",))
    takes = frozenset[str]()

    def run(self, bench: Bench) -> Report:
        from trainer.reproduce.four_layers import FourLayerTraining  # brings torch

        effort = _EFFORTS[bench.scale]
        data = bench.prepare(effort.pictures)
        training = FourLayerTraining(data, bench.runs.store, bench.work, bench.say)
        per_epoch = training.per_epoch(effort.batch_size)
        found = {
            activation: _fastest(bench, training, activation, effort, data) for activation in _NAMES
        }
        relu = found["relu"][1]
        rows = []
        for activation, (rate, trained) in found.items():
            ours: dict[str, Any] = {"rate": rate}
            remark = ""
            if trained.reached is None:
                last = 100 * trained.curve[-1][1] if trained.curve else 100.0
                remark = f"25 % not reached in {trained.iterations:,} iterations: {last:.1f} %"
            else:
                ours |= {
                    "iterations": trained.reached,
                    "epochs": trained.reached / per_epoch,
                }
                if relu.reached is not None:
                    ours["relative"] = trained.reached / relu.reached
            paper = {"relative": _PAPER_RATIO if activation == "tanh" else 1.0}
            rows.append(Row(_NAMES[activation], paper, ours, remark))
        return Report(
            [Table(f"Four layers on {data.title}", _MEASURES, rows)],
            [_picture(found, per_epoch)],
            [_finding(rows)],
            _differences(data, effort),
        )


def _fastest(
    bench: Bench,
    training: FourLayerTraining,
    activation: Activation,
    effort: _Effort,
    data: Prepared,
) -> tuple[float, Trained]:
    """The rate that reaches the target in the fewest iterations, and the run with it.

    A rate is given up once it has taken as many as the best; those that are best in the probe
    go first. Where none reaches the target, the first of them.
    """
    from trainer.reproduce.four_layers import Settings, Trained

    def run(name: str, settings: Settings) -> Trained:
        key = f"figure-1-{data.key}-{'-'.join(map(str, asdict(settings).values()))}"
        kept = bench.remembered(key, lambda: asdict(training.run(name, settings)))
        return Trained(**{**kept, "curve": [(i, e) for i, e in kept["curve"]]})

    def settings(rate: float, *, most: int | None, until: float | None = None) -> Settings:
        return Settings(
            activation,
            rate,
            effort.epochs,
            effort.batch_size,
            bench.seed,
            until=until,
            most_iterations=most,
        )

    name = _NAMES[activation]
    errors: dict[float, float] = {}
    for rate in effort.rates:
        try:
            probed = run(f"{name}, rate {rate:g}", settings(rate, most=effort.probe))
            errors[rate] = probed.curve[-1][1]
        except TrainingDiverged:
            bench.say(f"{name}, rate {rate:g}: diverged")
    best: tuple[float, Trained] | None = None
    for rate in sorted(errors, key=lambda rate: errors[rate]):
        most = None if best is None else best[1].reached
        asked = settings(rate, most=most, until=_TARGET)
        try:
            trained = run(f"{name}, rate {rate:g}, to 25 %", asked)
        except TrainingDiverged:
            bench.say(f"{name}, rate {rate:g}: diverged")
            continue
        if best is None or _sooner(trained, best[1]):
            best = rate, trained
    if best is None:
        raise TrainingDiverged(f"{name} diverged at every rate that was tried.")
    return best


def _sooner(one: Trained, other: Trained) -> bool:
    if one.reached is None:
        return False
    return other.reached is None or one.reached < other.reached


def _finding(rows: list[Row]) -> str:
    ratio = rows[1].ours.get("relative")
    if not isinstance(ratio, float):
        return "No ratio: not both networks have reached 25 % training error, see the table."
    return (
        f"tanh takes {ratio:.2f} times as many iterations to 25 % training error as ReLU; in the "
        "paper 6 times, which it says varies with the architecture."
    )


def _differences(data: Prepared, effort: _Effort) -> list[str]:
    return [
        f"The data are {data.title}, {data.train:,} training pictures.",
        "The paper does not describe its four layers; these are three 5x5 convolutions of 32, 32 "
        "and 64 kernels with 3x3 max pooling of stride 2, and one fully connected layer.",
        f"SGD with momentum 0.9, batches of {effort.batch_size}, no regularisation. The rate is "
        f"the one of {', '.join(f'{rate:g}' for rate in effort.rates)} with which each network is "
        "there first, and stays; the paper chose rates by hand.",
        "The training error is that of the last 50 batches as they are trained on; at most "
        f"{effort.epochs} epochs.",
    ]


def _picture(found: dict[Activation, tuple[float, Trained]], per_epoch: int) -> Picture:
    from trainer.plots.curves import Panel, Series, curves  # matplotlib: half a second

    panels = [
        Panel(
            "training error",
            unit,
            [
                Series(
                    _NAMES[activation],
                    [iteration / divisor for iteration, _ in trained.curve],
                    [error for _, error in trained.curve],
                    dashed=activation == "tanh",
                )
                for activation, (_, trained) in found.items()
            ],
            percent=True,
            level=(_TARGET, "25 %"),
            from_zero=True,
        )
        for unit, divisor in (("epochs", per_epoch), ("iterations", 1))
    ]
    caption = "Training error over epochs and iterations; ReLU solid, tanh dashed as in the paper."
    return Picture("error.png", caption, curves(panels))
