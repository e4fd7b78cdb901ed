"""Table 2 of AlexNet: one network, five averaged, one pretrained, and all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from trainer.reproduce import alexnet_plans
from trainer.reproduce.alexnet_plans import ERRORS, IMAGENET
from trainer.reproduce.base import ALEXNET, Scale
from trainer.reproduce.bench import Bench
from trainer.reproduce.judging import Crops
from trainer.reproduce.prepared import Prepared
from trainer.reproduce.pretrained import Pretrained
from trainer.reproduce.report import Report, Row, Table
from trainer.reproduce.runs import Plan, Run
from trainer.reproduce.tables import bar_picture

_CROPS: Crops = 10
_SIXTH = {"sixth_convolution": True}


@dataclass(frozen=True)
class _Members:
    """How many networks are averaged: plain ones, and pretrained ones beside them."""

    plain: int
    pretrained: int


_MEMBERS: dict[Scale, _Members] = {
    "smoke": _Members(2, 1),
    "small": _Members(5, 2),
    "full": _Members(5, 2),
}


class AlexNetTable2:
    name = "alexnet-table-2"
    paper = ALEXNET
    place = "table 2 (§6)"
    shows = "error of one network, of ensembles, and of networks pretrained before"
    data = IMAGENET
    takes = frozenset({"pretraining_data"})

    def run(self, bench: Bench) -> Report:
        members = _MEMBERS[bench.scale]
        data = bench.prepare(alexnet_plans.pictures(bench.scale))
        before = self._pretraining(bench, data)
        plain = [
            bench.train(data, alexnet_plans.plan(bench, data, f"CNN {n + 1}", member=n))
            for n in range(members.plain)
        ]
        tuned = [_fine_tuned(bench, data, before, n) for n in range(members.pretrained)]
        groups = {
            "1 CNN": (plain[:1], {"top1": 40.7, "top5": 18.2}),
            "5 CNNs": (plain, {"top1": 38.1, "top5": 16.4}),
            "1 CNN*": (tuned[:1], {"top1": 39.0, "top5": 16.6}),
            "7 CNNs*": ([*plain, *tuned], {"top1": 36.7, "top5": 15.4}),
        }
        rows = [
            Row(
                name,
                paper,
                _errors(bench, data, name, runs),
                "" if name.startswith(str(len(runs))) else f"{len(runs)} networks at this scale",
            )
            for name, (runs, paper) in groups.items()
        ]
        table = Table(f"Error on {data.title}, ten crops", ERRORS, rows)
        findings = [
            "An ensemble's probabilities are the mean of its members' softmax. * is pretrained "
            "with a sixth convolution after the last pooling, then fine-tuned."
        ]
        return Report(
            [table],
            [bar_picture(table, "top1")],
            findings,
            [*alexnet_plans.differences(bench, data), self._told(bench, before)],
        )

    def _pretraining(self, bench: Bench, data: Prepared) -> Prepared:
        source = bench.pretraining_source()
        return (
            data if source is None else bench.prepare(alexnet_plans.pictures(bench.scale), source)
        )

    def _told(self, bench: Bench, before: Prepared) -> str:
        if bench.order.pretraining_data is None:
            return (
                "Pretrained on the same training pictures, as no --pretraining-data were given; "
                "the paper pretrains on 15 million pictures in 22,000 classes. So * differs from "
                "the other networks in depth and length of training only."
            )
        return (
            f"Pretrained on {before.title}, {before.train:,} pictures in {len(before.classes)} "
            "classes; the paper on 15 million in 22,000."
        )


def _fine_tuned(bench: Bench, data: Prepared, before: Prepared, member: int) -> Run:
    """A network with a sixth convolution, pretrained on one set and fine-tuned on the other."""
    number = 100 + member  # seeds apart from the plain members'
    name = f"CNN* {member + 1}"
    first = bench.train(
        before,
        alexnet_plans.plan(bench, data, f"{name}, pretraining", network=_SIXTH, member=number),
    )
    # Pixels must come at the scale that the first training has met.
    preprocessing = {} if bench.scale != "full" else {"centring": "training-mean"}
    half = {"epochs": max(1, alexnet_plans.epochs(bench.scale) // 2), **preprocessing}
    tuning = alexnet_plans.plan(
        bench, data, f"{name}, fine-tuning", network=_SIXTH, recipe=half, member=number
    )
    from kinsight.networks.model_folder import weights_key  # brings torch, which takes seconds

    store = bench.runs.store
    pretrained = Pretrained.of(store / weights_key(first.card.id), store)
    assert pretrained is not None
    fitted = pretrained.into(dict(tuning.network_options), seed=tuning.seed)
    assert fitted is not None
    return bench.train(data, replace(tuning, weights=fitted.weights))


def _errors(bench: Bench, data: Prepared, name: str, runs: Sequence[Run]) -> dict[str, float]:
    """Of the one network, or of the ensemble whose softmax is the mean of theirs."""
    run = runs[0]
    if len(runs) > 1:
        models = [one.card.id for one in runs]
        plan = Plan(
            f"{name}, averaged", {"models": models}, "average", network="ensemble", seed=bench.seed
        )
        run = bench.train(data, plan)
    found = bench.errors(run, data, crops=_CROPS)
    return {"top1": found.top1, "top5": found.top5}
