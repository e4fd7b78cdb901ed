"""What each part of AlexNet is worth: the same network trained without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from trainer.reproduce import alexnet_plans
from trainer.reproduce.alexnet_plans import IMAGENET
from trainer.reproduce.base import ALEXNET, Scale
from trainer.reproduce.bench import Bench
from trainer.reproduce.prepared import Prepared
from trainer.reproduce.report import Measure, Report, Row, Table
from trainer.reproduce.scales import SMALL_PICTURES, picture_network
from trainer.reproduce.tables import bar_picture

_MEASURES = (
    Measure("top1", "top-1 error", "%", in_paper=False),
    Measure("change1", "change of top-1", "points"),
    Measure("top5", "top-5 error", "%", in_paper=False),
    Measure("change5", "change of top-5", "points"),
)
_FOUR_LAYERS = (Measure("error", "test error", "%"),)
_FOUR_LAYER_EPOCHS: dict[Scale, int] = {"smoke": 2, "small": 8, "full": 120}


@dataclass(frozen=True)
class _Without:
    """One part left out. paper: what the errors rise by; a missing key: not told."""

    name: str
    paper: Mapping[str, float]
    network: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)


def _ablations(width: float) -> list[_Without]:
    """width: of the whole network's convolutions."""
    return [
        _Without(
            "without response normalisation (§3.3)",
            {"change1": 1.4, "change5": 1.2},
            {"response_norm": False},
        ),
        _Without(
            "without overlap in pooling (§3.4)",
            {"change1": 0.4, "change5": 0.3},
            {"pooling": "plain"},
        ),
        _Without(
            "one tower with half of the kernels (§3.2)",
            {"change1": 1.7, "change5": 1.2},
            {"towers": 1, "width": width / 2},
        ),
        _Without(
            "without PCA colour noise (§4.1)", {"change1": 1.0}, recipe={"colour_noise": False}
        ),
    ]


class AlexNetAblations:
    name = "alexnet-ablations"
    paper = ALEXNET
    place = "§3.2 to §4.1"
    shows = "error without normalisation, overlapping pooling, towers, colour noise"
    data = IMAGENET
    takes = frozenset[str]()

    def run(self, bench: Bench) -> Report:
        data = bench.prepare(alexnet_plans.pictures(bench.scale))
        whole = _errors(bench, data, _Without("the whole network", {}))
        rows = [Row("the whole network", {}, {**whole, "change1": 0.0, "change5": 0.0})]
        for one in _ablations(float(picture_network(bench.scale, data.side)["width"])):
            found = _errors(bench, data, one)
            changes = {
                "change1": found["top1"] - whole["top1"],
                "change5": found["top5"] - whole["top5"],
            }
            rows.append(Row(one.name, one.paper, {**found, **changes}))
        table = Table(f"Errors on {data.title}, ten crops", _MEASURES, rows)
        tables, differences = [table], alexnet_plans.differences(bench, data)
        differences.append(
            "One tower with half of the kernels has half of them in the last convolution too, "
            "which the paper left whole (footnote 2)."
        )
        if data.side <= SMALL_PICTURES:
            tables.append(_four_layers(bench, data))
            differences.append(
                "The paper does not describe its four layers; these are three 5x5 convolutions of "
                "32, 32 and 64 kernels, the first two normalised, and one fully connected layer, "
                f"{_FOUR_LAYER_EPOCHS[bench.scale]} epochs with shifts and mirror images."
            )
        else:
            differences.append(
                "The four-layer network of §3.3 (CIFAR-10: 13 % without, 11 % with normalisation) "
                "is trained where --data are pictures of up to 64 pixels."
            )
        spread = 100 * (whole["top1"] / 100 * (1 - whole["top1"] / 100) / data.test) ** 0.5
        findings = [
            "A change above 0 says that the part left out makes the network better. One standard "
            f"error of a top-1 error on {data.test:,} pictures is {spread:.2f} points; each "
            "network was trained once."
        ]
        picture = bar_picture(Table(table.title, _MEASURES, rows[1:]), "change1")
        return Report(tables, [picture], findings, differences)


def _errors(bench: Bench, data: Prepared, one: _Without) -> dict[str, float]:
    plan = alexnet_plans.plan(bench, data, one.name, network=one.network, recipe=one.recipe)
    errors = bench.errors(bench.train(data, plan), data, crops=10)
    return {"top1": errors.top1, "top5": errors.top5}


def _four_layers(bench: Bench, data: Prepared) -> Table:
    """Test error with and without response normalisation (§3.3)."""
    from trainer.reproduce.four_layers import FourLayerTraining, Settings  # brings torch

    training = FourLayerTraining(data, bench.runs.store, bench.work, bench.say)
    rows = []
    for name, normalised, error in (
        ("four layers without normalisation", False, 13.0),
        ("four layers with normalisation", True, 11.0),
    ):
        settings = Settings(
            "relu",
            0.01,
            _FOUR_LAYER_EPOCHS[bench.scale],
            16 if bench.scale == "smoke" else 128,
            bench.seed,
            response_norm=normalised,
            falling=True,
        )

        def measure(name: str = name, settings: Settings = settings) -> dict[str, Any]:
            return asdict(training.run(name, settings))

        key = f"normalisation-{data.key}-{'-'.join(map(str, asdict(settings).values()))}"
        kept = bench.remembered(key, measure)
        rows.append(Row(name, {"error": error}, {"error": 100 * kept["test_error"]}))
    return Table(f"The four-layer network on {data.title}", _FOUR_LAYERS, rows)
