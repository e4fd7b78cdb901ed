"""Figure 3 of AlexNet: the kernels that the first convolution has learned."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.reproduce import alexnet_plans
from trainer.reproduce.alexnet_plans import IMAGENET
from trainer.reproduce.base import ALEXNET, Scale
from trainer.reproduce.bench import Bench
from trainer.reproduce.report import Measure, Picture, Report, Row, Table

_INPUT: dict[Scale, int] = {"smoke": 96, "small": 128, "full": 224}
_QUICK: dict[str, Any] = {"norm": "batch", "initialisation": "paper"}
_MEASURES = (
    Measure("kernels", "kernels", decimals=0),
    Measure("side", "side", "pixels", decimals=0),
    Measure("colour", "part of the energy that is colour", decimals=3, in_paper=False),
)


class AlexNetFigure3:
    name = "alexnet-figure-3"
    paper = ALEXNET
    place = "figure 3 (§6.1)"
    shows = "the kernels of the first convolution, by tower"
    data = IMAGENET
    takes = frozenset[str]()

    def run(self, bench: Bench) -> Report:
        from trainer.plots.first_layer import first_kernels
        from trainer.plots.kernels import kernels  # matplotlib takes half a second to load
        from trainer.reproduce.embedding import stored_network

        data = bench.prepare(alexnet_plans.pictures(bench.scale))
        # The first layer of 11x11 and all its 96 kernels are what the figure is about.
        network: dict[str, Any] = {
            "width": 1.0,
            "input_size": _INPUT[bench.scale],
            "framing": "crop",
        }
        if bench.scale != "full":
            network |= _QUICK
        run = bench.train(data, alexnet_plans.plan(bench, data, "CNN", network=network))
        weight_OIHW = first_kernels(stored_network(bench.runs.store, run.card))
        assert weight_OIHW is not None
        count, kernel = len(weight_OIHW), weight_OIHW.shape[2]
        halves = (weight_OIHW[: count // 2], weight_OIHW[count // 2 :])
        rows = [
            Row(
                f"tower {number}, kernels {first + 1} to {first + count // 2}",
                {"kernels": 48, "side": 11},
                {"kernels": len(half), "side": kernel, "colour": colour_part(half)},
            )
            for number, half, first in zip((1, 2), halves, (0, count // 2), strict=True)
        ]
        table = Table("The first layer", _MEASURES, rows)
        picture = Picture(
            "kernels.png",
            "The kernels of the first convolution; the first half is of the first tower.",
            kernels(weight_OIHW),
        )
        parts = sorted(float(row.ours["colour"] or 0) for row in rows)
        findings = [
            f"The towers' parts of colour are {parts[0]:.3f} and {parts[1]:.3f}, a ratio of "
            f"{parts[1] / max(parts[0], 1e-9):.2f}. In the paper the kernels of one tower are "
            "largely without colour and those of the other largely coloured."
        ]
        differences = alexnet_plans.differences(bench, data, network)
        if bench.scale != "full":
            differences.append(
                "The convolutions are batch-normalised and start from the paper's N(0, 0.01): in "
                "few epochs larger starting values would stay visible as noise."
            )
        return Report([table], [picture], findings, differences)


def colour_part(weight_OIHW: NDArray[np.float32]) -> float:
    """Mean over the kernels of Σ (w − w̄)² / Σ w², w̄ the mean over the three channels: 0 of grey."""
    grey = weight_OIHW.mean(axis=1, keepdims=True)
    coloured = np.square(weight_OIHW - grey).sum(axis=(1, 2, 3))
    return float((coloured / np.square(weight_OIHW).sum(axis=(1, 2, 3))).mean())
