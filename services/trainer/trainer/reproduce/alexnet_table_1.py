"""Table 1 of AlexNet: top-1 and top-5 error of one network, by ten crops and by one."""

from __future__ import annotations

from trainer.reproduce import alexnet_plans
from trainer.reproduce.alexnet_plans import ERRORS, IMAGENET
from trainer.reproduce.base import ALEXNET
from trainer.reproduce.bench import Bench
from trainer.reproduce.judging import Crops
from trainer.reproduce.report import Report, Row, Table
from trainer.reproduce.tables import bar_picture

_OTHERS = "another method, not part of this product"


class AlexNetTable1:
    name = "alexnet-table-1"
    paper = ALEXNET
    place = "table 1 and footnote 5 (§6)"
    shows = "top-1 and top-5 error of one network, with ten crops and without"
    data = IMAGENET
    takes = frozenset[str]()

    def run(self, bench: Bench) -> Report:
        data = bench.prepare(alexnet_plans.pictures(bench.scale))
        run = bench.train(data, alexnet_plans.plan(bench, data, "CNN"))

        def errors(crops: Crops) -> dict[str, float]:
            found = bench.errors(run, data, crops=crops)
            return {"top1": found.top1, "top5": found.top5}

        ten, one = errors(10), errors(1)
        rows = [
            Row("Sparse coding", {"top1": 47.1, "top5": 28.2}, remark=_OTHERS),
            Row("SIFT + FVs", {"top1": 45.7, "top5": 25.7}, remark=_OTHERS),
            Row("CNN, ten crops", {"top1": 37.5, "top5": 17.0}, ten),
            Row("CNN, centre crop", {"top1": 39.0, "top5": 18.3}, one),
        ]
        table = Table(f"Error on {data.title}", ERRORS, rows)
        findings = [
            f"Ten crops change the top-1 error by {ten['top1'] - one['top1']:+.2f} points and the "
            f"top-5 error by {ten['top5'] - one['top5']:+.2f}; in the paper by -1.5 and -1.3."
        ]
        differences = alexnet_plans.differences(bench, data)
        return Report([table], [bar_picture(table, "top1")], findings, differences)
