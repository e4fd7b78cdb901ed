"""Figure 4 of AlexNet: what the network says of pictures, and which ones it finds alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trainer.reproduce import alexnet_plans
from trainer.reproduce.alexnet_plans import IMAGENET
from trainer.reproduce.base import ALEXNET
from trainer.reproduce.bench import Bench
from trainer.reproduce.judging import Judge
from trainer.reproduce.report import Measure, Picture, Report, Row, Table
from trainer.training.seeds import generator

_SHOWN, _QUERIES, _NEAREST = 8, 5, 6
_MOST_COMPARED = 2_000
_MOST_DATABASE = 100_000
_BLOCK = 64
_MEASURES = (
    Measure("pictures", "pictures", decimals=0, in_paper=False),
    Measure("right", "true class first", "%", in_paper=False),
    Measure("among", "true class among the five", "%", in_paper=False),
    Measure("nearest", "of the six nearest of the same class", "%", in_paper=False),
)


class AlexNetFigure4:
    name = "alexnet-figure-4"
    paper = ALEXNET
    place = "figure 4 (§6.1)"
    shows = "top-5 classes of eight test pictures, and the six nearest training pictures of five"
    data = IMAGENET
    takes = frozenset[str]()

    def run(self, bench: Bench) -> Report:
        data = bench.prepare(alexnet_plans.pictures(bench.scale))
        run = bench.train(data, alexnet_plans.plan(bench, data, "CNN"))
        test = bench.judge(run, data)
        training = bench.judge(run, data, part="training", most=_MOST_DATABASE)
        # A picture of every class in turn, so that the sheets show as many as there is room for.
        chosen = _spread(test.labels, _SHOWN, bench.seed)
        queries = chosen[:_QUERIES]
        compared = np.arange(len(test.labels))
        if len(compared) > _MOST_COMPARED:
            drawn = generator(bench.seed, "compared").permutation(len(compared))
            compared = np.sort(drawn[:_MOST_COMPARED])
        found = nearest(test.outputs.feature[compared], training.outputs.feature, _NEAREST)[0]
        same = training.labels[found] == test.labels[compared][:, None]
        errors = test.errors()
        ours = {
            "pictures": errors.pictures,
            "right": 100 - errors.top1,
            "among": 100 - errors.top5,
            "nearest": 100 * float(same.mean()),
        }
        rows = [Row("test pictures", {}, ours, f"the last column of {len(compared):,} of them")]
        return Report(
            [Table("All test pictures", _MEASURES, rows)],
            [_top5(test, chosen), _nearest(test, training, queries)],
            [
                f"Shown are {len(chosen)} pictures with their five classes and {len(queries)} "
                "with their six nearest; the paper shows 8 and 5, and gives no figures.",
                f"Of the six nearest training pictures by the last hidden layer's Euclidean "
                f"distance {ours['nearest']:.1f} % are of the query's class; one class of "
                f"{len(data.classes)} drawn by chance would be {100 / len(data.classes):.1f} %.",
            ],
            [
                *alexnet_plans.differences(bench, data),
                f"Nearest ones are looked for among up to {_MOST_DATABASE:,} training pictures.",
            ],
        )


def nearest(
    queries_Qd: NDArray[np.float32], rows_Nd: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(Q, k): rows by Euclidean distance, nearest first and equal ones by number; and how far."""
    k = min(k, len(rows_Nd))
    rows = rows_Nd.astype(np.float64)
    squares = np.square(rows).sum(axis=1)
    found, far = [], []
    for start in range(0, len(queries_Qd), _BLOCK):
        block = queries_Qd[start : start + _BLOCK].astype(np.float64)
        near = np.square(block).sum(axis=1, keepdims=True) + squares - 2 * block @ rows.T
        order = np.argsort(near, axis=1, kind="stable")[:, :k]
        found.append(order)
        far.append(np.sqrt(np.maximum(0, np.take_along_axis(near, order, axis=1))))
    return np.concatenate(found), np.concatenate(far)


def _spread(labels: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Up to so many pictures, of different classes as long as there are any."""
    order = generator(seed, "shown").permutation(len(labels))
    turn = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        own = order[labels[order] == label]
        turn[own] = np.arange(len(own))
    return order[np.argsort(turn[order], kind="stable")][:most]


def _top5(test: Judge, chosen: NDArray[np.int64]) -> Picture:
    from trainer.plots.top5 import Classified, top5  # matplotlib takes half a second to load

    pixels, rows = test.pixels
    shown = [
        Classified(np.asarray(pixels[rows[i]]), int(test.labels[i]), test.outputs.probabilities[i])
        for i in chosen
    ]
    caption = "Test pictures with their five most probable classes; the true one is coloured."
    return Picture("top5.png", caption, top5(shown, test.card.classes))


def _nearest(test: Judge, training: Judge, queries: NDArray[np.int64]) -> Picture:
    from trainer.plots.retrieval import Found, Retrieved, retrieval

    pixels, rows = test.pixels
    database, places = training.pixels
    found, far = nearest(test.outputs.feature[queries], training.outputs.feature, _NEAREST)
    shown = [
        Retrieved(
            np.asarray(pixels[rows[query]]),
            int(test.labels[query]),
            [
                Found(np.asarray(database[places[i]]), int(training.labels[i]), float(distance))
                for i, distance in zip(found[n], far[n], strict=True)
            ],
        )
        for n, query in enumerate(queries)
    ]
    caption = "Test pictures, each with the six training pictures nearest by the last hidden layer."
    return Picture("nearest.png", caption, retrieval(shown, test.card.classes))
