"""Tables 4 and 5 of the hash paper: error of its final network against the number of bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from trainer.reproduce.base import HASH, WEIGHTS, DataWanted
from trainer.reproduce.bench import Bench
from trainer.reproduce.data import is_named, title
from trainer.reproduce.hash_networks import HashNetworks, pictures
from trainer.reproduce.report import Measure, Picture, Report, Row, Table, Value
from trainer.reproduce.sources import DataSource
from trainer.reproduce.tables import number

_MEASURES = (Measure("error", "error", "%"),)


class _BitsTable:
    """One of the two tables: by data set and number of bits the paper's error."""

    name: ClassVar[str]
    place: ClassVar[str]
    shows: ClassVar[str]
    data: ClassVar[DataWanted]
    errors: ClassVar[Mapping[str, Mapping[int, float]]]
    small: ClassVar[int]  # training pictures at scale small
    paper = HASH
    takes = WEIGHTS

    def run(self, bench: Bench) -> Report:
        tables, differences = [], []
        for source in bench.sources:
            table, told = self._table(bench, source)
            tables.append(table)
            differences += [sentence for sentence in told if sentence not in differences]
        tables += [
            Table(
                f"Error on {title(usual)} by bits",
                _MEASURES,
                [
                    Row(f"{bits} bits", {"error": error}, {}, "no such data set in --data")
                    for bits, error in errors.items()
                ],
            )
            for usual, errors in self.errors.items()
            if not any(is_named(source.name, usual) for source in bench.sources)
        ]
        return Report(tables, [_picture(tables)], _findings(tables), differences)

    def _table(self, bench: Bench, source: DataSource) -> tuple[Table, list[str]]:
        pretrained = bench.order.weights is not None
        most = pictures(bench.scale, small=self.small, pretrained=pretrained)
        data = bench.prepare(most, source)
        usual = next((name for name in self.errors if is_named(source.name, name)), None)
        papers = self.errors[usual or next(iter(self.errors))]
        networks = HashNetworks.on(bench, data, digits=usual == "mnist")
        rows = []
        for place, (bits, error) in enumerate(papers.items()):
            paper: Mapping[str, Value] = {"error": error} if usual else {}
            # Few, medium and many bits show all that smoke is to show.
            if bench.scale == "smoke" and place % (len(papers) // 2):
                rows.append(Row(f"{bits} bits", paper, {}, "left out at scale smoke"))
                continue
            plan = networks.plan(networks.final, bits)
            if plan is None:
                remark = "no convolution of the given weights has this network's shape"
                rows.append(Row(f"{bits} bits", paper, {}, remark))
                continue
            run = bench.train(data, plan)
            rows.append(Row(f"{bits} bits", paper, {"error": bench.errors(run, data).top1}))
        told = [f"The network is {networks.final.name}.", *networks.differences()]
        if usual is None:
            sets = " and ".join(title(name) for name in self.errors)
            told.insert(0, f"The paper's data are {sets}; used was {data.title}.")
        elif data.train < data.available[0]:
            told.insert(0, f"A part of {data.title}: {data.train:,} training pictures.")
        return Table(f"Error on {data.title} by bits", _MEASURES, rows), told


class HashTable4(_BitsTable):
    name = "hash-table-4"
    place = "table 4 (§3.5)"
    shows = "error against 12 to 128 bits on MNIST and CIFAR-10"
    data = DataWanted("MNIST and CIFAR-10, or one of them", ("mnist", "cifar10"))
    errors: ClassVar[Mapping[str, Mapping[int, float]]] = {
        "mnist": {12: 0.45, 32: 0.48, 48: 0.50, 64: 0.55, 128: 0.58},
        "cifar10": {12: 12.19, 32: 11.00, 48: 9.80, 64: 10.05, 128: 10.55},
    }
    small = 6_000


class HashTable5(_BitsTable):
    name = "hash-table-5"
    place = "table 5 (§3.5)"
    shows = "error against 12 to 256 bits on CIFAR-100"
    data = DataWanted("CIFAR-100", ("cifar100",))
    errors: ClassVar[Mapping[str, Mapping[int, float]]] = {
        "cifar100": {
            12: 77.62,
            32: 51.10,
            48: 39.46,
            64: 34.6,
            100: 32.16,
            128: 29.15,
            256: 29.54,
        }
    }
    small = 10_000


def _picture(tables: list[Table]) -> Picture:
    from trainer.plots.curves import Panel, Series, curves  # matplotlib: half a second

    panels = []
    for table in tables:
        lines = []
        for label, dashed in (("paper", True), ("ours", False)):
            points = [
                (
                    float(row.name.split()[0]),
                    number((row.paper if dashed else row.ours).get("error")),
                )
                for row in table.rows
            ]
            known = [(bits, error) for bits, error in points if error is not None]
            if known:
                x, y = [bits for bits, _ in known], [error for _, error in known]
                lines.append(Series(label, x, y, dashed=dashed, colour=6 if dashed else 0))
        panels.append(Panel(f"{table.title}, %", "bits", lines, from_zero=True))
    return Picture("bits.png", "Error against bits: the paper's and ours.", curves(panels))


def _findings(tables: list[Table]) -> list[str]:
    found = []
    for table in tables:
        errors = {row.name: number(row.ours.get("error")) for row in table.rows}
        known = {name: error for name, error in errors.items() if error is not None}
        if known:
            best = min(known, key=lambda name: known[name])
            found.append(f"{table.title}: least with {best}, {known[best]:.2f} %.")
    return found
