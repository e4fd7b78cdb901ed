"""Table 1 of the CBIR paper: what is told of the trained model."""

from __future__ import annotations

from typing import Any

from kinsight.errors import UnfitWeights
from trainer.reproduce.base import CBIR, WEIGHTS, DataWanted, Scale
from trainer.reproduce.bench import Bench
from trainer.reproduce.prepared import Prepared
from trainer.reproduce.pretrained import Pretrained
from trainer.reproduce.report import Measure, Picture, Report, Row, Table
from trainer.reproduce.runs import Plan, Run
from trainer.reproduce.scales import described, handful, picture_network

ANY = DataWanted("any labelled pictures; the paper's 20 classes are not published")
_EPOCHS: dict[Scale, int] = {"smoke": 2, "small": 30, "full": 30}
_MEASURES = (
    Measure("classes", "classes", decimals=0),
    Measure("training", "training pictures", decimals=0),
    Measure("validation", "validation pictures", decimals=0),
    Measure("epochs", "epochs", decimals=0),
    Measure("accuracy", "validation accuracy", "%"),
    Measure("hours", "training time", "h", decimals=3),
    Measure("megabytes", "model", "MB", decimals=1),
)
_PAPER = {
    "classes": 20,
    "training": 20_000,
    "validation": 6_000,
    "epochs": 30,
    "accuracy": 88.44,
    "hours": 3.5,
    "megabytes": 227,
}


def plan(bench: Bench, data: Prepared) -> Plan:
    """AlexNet without a hash layer: the paper searches by the softmax."""
    network = {**picture_network(bench.scale, data.side), "hash_bits": 0}
    recipe: dict[str, Any] = {
        "epochs": _EPOCHS[bench.scale],
        "batch_size": 16 if bench.scale == "smoke" else 64,
    }
    pretrained = Pretrained.of(bench.order.weights, bench.runs.store)
    if pretrained is None:
        return Plan("AlexNet", network, "fine-tune", recipe, seed=bench.seed)
    full = {"input_size": 224, "width": 1.0, "fc_width": 4096, "hash_bits": 0}
    fitted = pretrained.into(full, seed=bench.seed)
    if fitted is None:
        raise UnfitWeights("No convolution of the given weights has the shape of AlexNet's.")
    return Plan(
        "AlexNet", fitted.options, "fine-tune", recipe, weights=fitted.weights, seed=bench.seed
    )


def differences(bench: Bench, data: Prepared) -> list[str]:
    """From the paper's data, network and start."""
    told = [
        f"The data are {data.title}; the paper's 20 classes of photographs are not published.",
        *(described(picture_network(bench.scale, data.side), data.side)),
    ]
    if bench.order.weights is None:
        told.append(
            "Trained from scratch, as no --weights were given; the paper fine-tunes a network "
            "trained on ImageNet."
        )
    return told


class CbirTable1:
    name = "cbir-table-1"
    paper = CBIR
    place = "table 1 (§3.2)"
    shows = "the trained model: pictures, epochs, validation accuracy, time"
    data = ANY
    takes = WEIGHTS

    def run(self, bench: Bench) -> Report:
        data = bench.prepare(handful(bench.scale, small=20_000))
        run = bench.train(data, plan(bench, data))
        errors = bench.errors(run, data)
        ours = {
            "classes": len(run.card.classes),
            "training": run.card.training_images,
            "validation": errors.pictures,
            "epochs": run.card.epochs,
            "accuracy": 100 - errors.top1,
            "hours": run.card.seconds / 3600,
            "megabytes": run.card.bytes / 1e6,
        }
        table = Table("The model", _MEASURES, [Row("AlexNet", _PAPER, ours)])
        findings = [
            f"{ours['accuracy']:.2f} % of the {errors.pictures:,} test pictures are classified "
            f"rightly after {run.card.seconds:.0f} s of training on {run.card.machine}; in the "
            "paper 88.44 % after 3.5 h on a Tesla K20c."
        ]
        own = "The validation pictures of the table are the set's test pictures, which no part of "
        told = f"{own}training has seen; a tenth of the training pictures is held out besides."
        differs = [*differences(bench, data), told]
        return Report([table], [_curve(run)], findings, differs)


def _curve(run: Run) -> Picture:
    from trainer.plots.curves import Panel, Series, curves  # matplotlib: half a second

    seconds = [point.seconds for point in run.points]
    validated = [point for point in run.points if point.validation_accuracy is not None]
    panels = [
        Panel("loss", "seconds", [Series("loss", seconds, [p.loss or 0.0 for p in run.points])]),
        Panel(
            "validation accuracy",
            "seconds",
            [
                Series(
                    "validation",
                    [point.seconds for point in validated],
                    [point.validation_accuracy or 0.0 for point in validated],
                )
            ],
            percent=True,
            level=(0.8844, "paper 88.44 %"),
        ),
    ]
    return Picture("training.png", "How the training went.", curves(panels))
