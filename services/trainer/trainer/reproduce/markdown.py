"""The report for people: report.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trainer.reproduce.base import SCALES, Scale
from trainer.reproduce.report import Facts, Measure, Report, Row, Table, TrainedModel, Value

_NOT_MEASURED = "not measured"
_NOT_REPORTED = "–"
_MANY = 3


def markdown(report: Report, facts: Facts) -> str:
    """One page, generated from measured values alone."""
    scale: Scale = facts.scale  # type: ignore[assignment]
    lines = [
        f"# {facts.name}: {facts.title}",
        "",
        f"{facts.paper}, {facts.place}. Scale `{facts.scale}` ({SCALES[scale]}).",
        "",
    ]
    for table in report.tables:
        lines += [f"## {table.title}", "", *_table(table), ""]
    if report.findings:
        lines += ["## What was found", "", *_items(report.findings), ""]
    for picture in report.pictures:
        lines += [f"![{picture.caption}]({picture.file})", "", picture.caption, ""]
    lines += ["## What differs from the paper", "", *_items(report.differences), ""]
    lines += ["## Data", "", *_items(facts.data), ""]
    lines += ["## How it was run", "", "```", facts.command, "```", ""]
    minutes, seconds = divmod(round(facts.seconds), 60)
    took = f"{minutes} min {seconds} s" if minutes else f"{facts.seconds:.1f} s"
    lines += _items(
        [
            f"Seed {facts.seed}; {facts.device} on {facts.machine}; {took} in this call, begun "
            f"{facts.started_at:%Y-%m-%d %H:%M} UTC.",
            "Versions: " + ", ".join(f"{name} {v}" for name, v in facts.versions.items()) + ".",
            "Every figure under “ours” was measured by this command; report.json has all digits.",
        ]
    )
    if facts.models:
        lines += ["", "### Training runs", "", *_models(facts.models)]
    return "\n".join(lines) + "\n"


def _table(table: Table) -> list[str]:
    if len(table.rows) == 1 and len(table.measures) > _MANY:
        return _upright(table.measures, table.rows[0])
    remarks = any(row.remark for row in table.rows)
    heads = [""]
    for measure in table.measures:
        heads += [f"{measure.heading} (paper)"] if measure.in_paper else []
        heads.append(f"{measure.heading} (ours)")
    if remarks:
        heads.append("remark")
    numeric = ["---:"] * (len(heads) - 1 - remarks)
    rule = ["---", *numeric, *(["---"] if remarks else [])]
    body = [
        _cells([row.name, *_values(table.measures, row), *([row.remark] if remarks else [])])
        for row in table.rows
    ]
    return [_cells(heads), _cells(rule), *body]


def _upright(measures: Sequence[Measure], row: Row) -> list[str]:
    """A single row with many measures, one a line."""
    lines = [_cells(["", "paper", "ours"]), _cells(["---", "---:", "---:"])]
    for measure in measures:
        paper = _value(measure, row.paper.get(measure.key), _NOT_REPORTED)
        ours = _value(measure, row.ours.get(measure.key), _NOT_MEASURED)
        lines.append(_cells([measure.heading, paper, ours]))
    return [*lines, "", row.remark] if row.remark else lines


def _values(measures: Sequence[Measure], row: Row) -> Iterable[str]:
    for measure in measures:
        if measure.in_paper:
            yield _value(measure, row.paper.get(measure.key), _NOT_REPORTED)
        yield _value(measure, row.ours.get(measure.key), _NOT_MEASURED)


def _value(measure: Measure, value: Value, absent: str) -> str:
    if value is None:
        return absent
    if isinstance(value, str):
        return value
    return f"{value:,.{measure.decimals}f}"


def _models(models: Sequence[TrainedModel]) -> list[str]:
    heads = (
        "run",
        "network",
        "recipe",
        "started from",
        "pictures",
        "epochs",
        "iterations",
        "seconds",
        "parameters",
        "model in work/store",
    )
    lines = [_cells(heads), _cells(["---"] * len(heads))]
    for one in models:
        lines.append(
            _cells(
                [
                    one.name,
                    f"{one.network} {_options(one.options)}",
                    f"{one.recipe} {_options(one.recipe_options)}",
                    one.weights[:19],
                    f"{one.training_images:,} + {one.validation_images:,} validation",
                    f"{one.epochs:g}",
                    f"{one.iterations:,}",
                    f"{one.seconds:,.1f}",
                    f"{one.parameters:,}",
                    one.model,
                ]
            )
        )
    return lines


def _options(options: object) -> str:
    assert isinstance(options, dict)
    return " ".join(f"{name}={value}" for name, value in options.items())


def _items(sentences: Iterable[str]) -> list[str]:
    return [f"- {sentence}" for sentence in sentences]


def _cells(cells: Iterable[str]) -> str:
    # A bar would end the cell, a line break the table.
    shown = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(shown)} |"
