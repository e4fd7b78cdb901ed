"""Table 2 of the CBIR paper: P@1, P@5 and P@10 of the whole system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kinsight.contracts.models import ModelCard
from trainer.reproduce import cbir_table_1
from trainer.reproduce.base import CBIR, WEIGHTS
from trainer.reproduce.bench import Bench
from trainer.reproduce.cbir_table_1 import ANY
from trainer.reproduce.report import Measure, Picture, Report, Row, Table
from trainer.reproduce.runs import Run
from trainer.reproduce.scales import handful

if TYPE_CHECKING:
    from trainer.reproduce.system import System

_CUTS = (1, 5, 10)
_PAPER = {"p_at_1": 0.86, "p_at_5": 0.85, "p_at_10": 0.80}
_PAPERS_WAY = ("softmax", "argmax")
_MEASURES = (
    *(Measure(f"p_at_{k}", f"P@{k}", decimals=4) for k in _CUTS),
    Measure("map", "mAP, first 100", decimals=4, in_paper=False),
    Measure("compared_mean", "pictures compared", decimals=1, in_paper=False),
    Measure("milliseconds_mean", "search, ms", decimals=2, in_paper=False),
)


class CbirTable2:
    name = "cbir-table-2"
    paper = CBIR
    place = "table 2 (§3.2)"
    shows = "P@1, P@5 and P@10 of the running system, by space and routing"
    data = ANY
    takes = WEIGHTS

    def run(self, bench: Bench) -> Report:
        from trainer.reproduce.system import with_system  # brings the embedded run

        data = bench.prepare(handful(bench.scale, small=20_000))
        plan = cbir_table_1.plan(bench, data)

        def measured(system: System) -> dict[str, Any]:
            card = system.build(data, plan)
            evaluation = system.evaluate(card, data)
            return {
                "card": card.model_dump(mode="json"),
                "evaluation": evaluation.model_dump(mode="json"),
            }

        key = f"table-2-{bench.runs.spec(data, plan).job_id}"
        kept = bench.remembered(key, lambda: with_system(bench, measured))
        card, evaluation = ModelCard.model_validate(kept["card"]), kept["evaluation"]
        bench.models.append(Run(plan, card, []).described())
        found = {(row["space"], row["routing"]): row for row in evaluation["results"]}
        order = sorted(found, key=lambda way: way != _PAPERS_WAY)
        rows = [
            Row(
                f"{space}, {routing}" + (" (the paper's way)" if way == _PAPERS_WAY else ""),
                _PAPER if way == _PAPERS_WAY else {},
                {measure.key: found[way][measure.key] for measure in _MEASURES},
            )
            for way in order
            for space, routing in [way]
        ]
        papers, best = found[_PAPERS_WAY], max(found.values(), key=lambda row: row["p_at_10"])
        usual = found["auto", "adaptive"]
        findings = [
            f"{evaluation['queries']:,} queries against a library of {data.train:,} pictures; the "
            f"network classifies {100 * (1 - papers['top1_error']):.2f} % of them rightly.",
            f"The paper's way, softmax in the argmax table, has P@10 {papers['p_at_10']:.4f}; it "
            "is capped by the accuracy of the classifier. The product's usual way, auto with "
            f"adaptive routing, has {usual['p_at_10']:.4f}, and the best of all is "
            f"{best['space']}, {best['routing']} with {best['p_at_10']:.4f}.",
        ]
        if evaluation["near_duplicates"]:
            findings.append(
                f"{evaluation['near_duplicates']} queries were left out, as the library holds "
                "nearly the same picture."
            )
        differences = [
            *cbir_table_1.differences(bench, data),
            f"The library holds {data.train:,} pictures, the paper's 200,000.",
            "Queries are the set's test pictures; the paper does not tell its queries.",
        ]
        table = Table(f"The system on {data.title}", _MEASURES, rows)
        return Report([table], [_picture(table)], findings, differences)


def _picture(table: Table) -> Picture:
    from trainer.plots.bars import bars  # matplotlib takes half a second to load

    row = table.rows[0]
    usual = next(row for row in table.rows if row.name.startswith("auto, adaptive"))
    values = [[float(_PAPER[f"p_at_{k}"]), _value(row, k), _value(usual, k)] for k in _CUTS]
    png = bars(
        [f"P@{k}" for k in _CUTS],
        ["paper", "ours, the paper's way", "ours, auto with adaptive routing"],
        values,
        title=table.title,
        form="{:.4f}",
    )
    return Picture("precision.png", "P@K: the paper's and ours.", png)


def _value(row: Row, k: int) -> float:
    value = row.ours[f"p_at_{k}"]
    assert isinstance(value, float)
    return value
