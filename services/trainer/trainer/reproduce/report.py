"""What a reproduction hands over: the paper's figures beside ours, and all that differs."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("kinsight", "torch", "torchvision", "numpy", "pillow", "matplotlib")

Value = float | int | str | None


@dataclass(frozen=True)
class Measure:
    """One thing that is measured; decimals are for people, report.json has every digit."""

    key: str
    name: str
    unit: str = ""
    decimals: int = 2
    in_paper: bool = True  # whether the paper reports it at all

    @property
    def heading(self) -> str:
        return f"{self.name}, {self.unit}" if self.unit else self.name


@dataclass(frozen=True)
class Row:
    """A line of a table. paper, ours: values by the key of the measure.

    A key that is missing in `paper` is not reported there; one that is missing in `ours` was not
    measured, for the reason in `remark`.
    """

    name: str
    paper: Mapping[str, Value] = field(default_factory=dict)
    ours: Mapping[str, Value] = field(default_factory=dict)
    remark: str = ""


@dataclass(frozen=True)
class Table:
    title: str
    measures: Sequence[Measure]
    rows: Sequence[Row]


@dataclass(frozen=True)
class Picture:
    """A PNG of the report; the first one stands for the whole."""

    file: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class TrainedModel:
    """One training run of a reproduction, as its model card tells it."""

    name: str
    model: str
    network: str
    options: Mapping[str, Any]
    recipe: str
    recipe_options: Mapping[str, Any]
    weights: str
    seed: int
    training_images: int
    validation_images: int
    epochs: float
    iterations: int
    seconds: float
    parameters: int
    device: str
    machine: str
    validation_accuracy: float | None


@dataclass(frozen=True)
class Report:
    """What the reproduction itself finds; `Facts` says how it was run.

    findings: sentences with measured values. differences: what was done otherwise than in the
    paper.
    """

    tables: Sequence[Table]
    pictures: Sequence[Picture]
    findings: Sequence[str]
    differences: Sequence[str]


@dataclass(frozen=True)
class Facts:
    """How a reproduction was run."""

    name: str
    title: str
    place: str
    paper: str
    command: str
    scale: str
    seed: int
    device: str
    machine: str
    started_at: datetime
    seconds: float
    data: Sequence[str]
    models: Sequence[TrainedModel]
    versions: Mapping[str, str]


def versions() -> dict[str, str]:
    """Of Python and the libraries that results depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def document(report: Report, facts: Facts) -> dict[str, Any]:
    """report.json, and what `--json` prints."""
    return {
        **asdict(facts),
        "started_at": facts.started_at.isoformat(timespec="seconds"),
        "seconds": round(facts.seconds, 1),
        "findings": list(report.findings),
        "differences": list(report.differences),
        "tables": [_table(table) for table in report.tables],
        "pictures": [{"file": one.file, "caption": one.caption} for one in report.pictures],
    }


def write(folder: Path, report: Report, facts: Facts, markdown: str) -> dict[str, Any]:
    """Writes report.json, report.md and the pictures; returns the document."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture in report.pictures:
        (folder / picture.file).write_bytes(picture.png)
    made = document(report, facts)
    text = json.dumps(made, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "report.md").write_text(markdown, encoding="utf-8")
    # Written last: whoever finds it finds all of the report.
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    return made


def _table(table: Table) -> dict[str, Any]:
    keys = [measure.key for measure in table.measures]
    reported = [measure.key for measure in table.measures if measure.in_paper]
    return {
        "title": table.title,
        "measures": {
            measure.key: {"name": measure.name, "unit": measure.unit} for measure in table.measures
        },
        "rows": [
            {
                "name": row.name,
                "paper": {key: row.paper.get(key) for key in reported},
                "ours": {key: row.ours.get(key) for key in keys},
                "remark": row.remark,
            }
            for row in table.rows
        ],
    }
