"""Tables 1 to 3 of the hash paper: error of AlexNet's variants with a hash layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from trainer.reproduce.base import HASH, WEIGHTS, DataWanted
from trainer.reproduce.bench import Bench
from trainer.reproduce.data import is_named
from trainer.reproduce.hash_networks import PAPERS, HashNetworks, pictures
from trainer.reproduce.prepared import Prepared
from trainer.reproduce.report import Measure, Picture, Report, Row, Table, Value
from trainer.reproduce.runs import Run

_QUERIES = {"smoke": 1_000, "small": 1_000, "full": 10_000}
_MEASURES = (
    Measure("error", "error", "%"),
    Measure("error_crops", "error, ten crops", "%", in_paper=False),
    Measure("p_at_10", "P@10 of the codes", decimals=4, in_paper=False),
    Measure("map", "mAP of the codes", decimals=4, in_paper=False),
)


class _HashTable:
    """One of the three tables: they differ in data set, bits and figures."""

    name: ClassVar[str]
    place: ClassVar[str]
    shows: ClassVar[str]
    data: ClassVar[DataWanted]
    set_name: ClassVar[str]
    bits: ClassVar[int]
    errors: ClassVar[tuple[float, float, float, float]]
    paper = HASH
    takes = WEIGHTS

    def run(self, bench: Bench) -> Report:
        pretrained = bench.order.weights is not None
        data = bench.prepare(pictures(bench.scale, small=20_000, pretrained=pretrained))
        # Ten crops of such pictures are their mirror images too, and a digit has none.
        digits = is_named(data.name, "mnist")
        networks = HashNetworks.on(bench, data, digits=digits)
        rows = []
        papers = dict(zip((variant.name for variant in PAPERS), self.errors, strict=True))
        for variant in (*PAPERS, *networks.beyond):
            paper = {"error": papers[variant.name]} if variant.name in papers else {}
            plan = networks.plan(variant, self.bits)
            if plan is None:
                remark = "no convolution of the given weights has this network's shape"
                rows.append(Row(variant.name, paper, {}, remark))
                continue
            run = bench.train(data, plan)
            ours = {"error": bench.errors(run, data).top1, **self._codes(bench, run, data)}
            if not digits:
                ours["error_crops"] = bench.errors(run, data, crops=10).top1
            rows.append(Row(variant.name, paper, ours))
        table = Table(f"Error on {data.title} with {self.bits} bits", _MEASURES, rows)
        return Report(
            [table], [_picture(table)], _findings(rows), self._differences(data, networks)
        )

    def _codes(self, bench: Bench, run: Run, data: Prepared) -> Mapping[str, Value]:
        """Retrieval by Hamming distance: the test pictures among the training pictures."""
        most = _QUERIES[bench.scale]

        def measure() -> dict[str, Value]:
            bench.say(f"{run.plan.name}: searching by code")
            queries, database = bench.judge(run, data), bench.judge(run, data, part="training")
            sample = queries.labelled().sample(most, bench.seed)
            (row,) = queries.retrieval(database, ["hash"], ["all"], queries=sample)
            return {"p_at_10": row.p_at_10, "map": row.map_all}

        return bench.remembered(f"codes-{run.card.id}-{data.key}-{most}", measure)

    def _differences(self, data: Prepared, networks: HashNetworks) -> list[str]:
        told = networks.differences()
        if not is_named(data.name, self.data.sets[0]):
            told.insert(0, f"The paper's data set is {self.set_name}; used was {data.title}.")
        elif data.train < data.available[0]:
            told.insert(0, f"A part of {self.set_name}: {data.train:,} training pictures.")
        return [
            *told,
            "A tenth of the training pictures is held out for validation and not trained on.",
            "To the cross-entropy is added a term that keeps the bits even; P@10 and mAP "
            f"(whole database, up to {_QUERIES[networks.scale]:,} test pictures as queries) are "
            "not in the paper's table.",
        ]


class HashTable1(_HashTable):
    name = "hash-table-1"
    place = "table 1 (§3.2)"
    shows = "error on MNIST of four hash networks, 48 bits"
    data = DataWanted("MNIST", ("mnist",))
    set_name = "MNIST"
    bits = 48
    errors = (0.47, 0.66, 0.67, 0.50)


class HashTable2(_HashTable):
    name = "hash-table-2"
    place = "table 2 (§3.3)"
    shows = "error on CIFAR-10 of four hash networks, 48 bits"
    data = DataWanted("CIFAR-10", ("cifar10",))
    set_name = "CIFAR-10"
    bits = 48
    errors = (10.60, 11.10, 11.37, 9.80)


class HashTable3(_HashTable):
    name = "hash-table-3"
    place = "table 3 (§3.4)"
    shows = "error on CIFAR-100 of four hash networks, 128 bits"
    data = DataWanted("CIFAR-100", ("cifar100",))
    set_name = "CIFAR-100"
    bits = 128
    errors = (32.62, 31.75, 32.34, 29.15)


def _picture(table: Table) -> Picture:
    from trainer.plots.bars import bars  # matplotlib takes half a second to load

    values = [
        [_number(row.paper.get("error")), _number(row.ours.get("error"))] for row in table.rows
    ]
    png = bars(
        [row.name for row in table.rows], ["paper", "ours"], values, title=f"{table.title}, %"
    )
    return Picture("errors.png", f"{table.title}: the paper's and ours, in per cent.", png)


def _findings(rows: list[Row]) -> list[str]:
    measured = {row.name: _number(row.ours.get("error")) for row in rows}
    found = {name: error for name, error in measured.items() if error is not None}
    best = min(found, key=lambda name: found[name])
    papers = min(rows, key=lambda row: _number(row.paper.get("error")) or 100.0)
    return [
        f"Least error: {best} with {found[best]:.2f} %; in the paper {papers.name} with "
        f"{papers.paper['error']:.2f} %."
    ]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
