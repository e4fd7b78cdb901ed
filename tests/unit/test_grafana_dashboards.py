"""The dashboards' files: current, whole, and as Grafana wants them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
DATASOURCES = GRAFANA / "provisioning" / "datasources" / "prometheus.yml"
PROVIDERS = GRAFANA / "provisioning" / "dashboards" / "kinsight.yml"

# Of Grafana's ids of units, those in use; any text may follow `suffix:`.
_UNIT = re.compile(r"none|s|bytes|percentunit|reqps|suffix:.+")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Datasource(Strict):
    type: str = Field(pattern="^prometheus$")
    uid: str


class Target(Strict):
    refId: str = Field(pattern="^[A-Z]$")  # noqa: N815  Grafana's own name
    datasource: Datasource
    expr: str = Field(min_length=1)
    legendFormat: str  # noqa: N815
    instant: bool
    range: bool


class Place(Strict):
    x: int = Field(ge=0, lt=24)
    y: int = Field(ge=0)
    w: int = Field(ge=1, le=24)
    h: int = Field(ge=1)


class Step(Strict):
    color: str
    value: float | None


class Thresholds(Strict):
    mode: str = Field(pattern="^absolute$")
    steps: list[Step] = Field(min_length=1)


class Defaults(Strict):
    unit: str
    thresholds: Thresholds
    color: dict[str, str]
    decimals: int | None = None
    custom: dict[str, Any] = {}
    mappings: list[dict[str, Any]] = []


class FieldConfig(Strict):
    defaults: Defaults
    overrides: list[Any]


class Row(Strict):
    id: int
    type: str = Field(pattern="^row$")
    title: str = Field(min_length=1)
    collapsed: bool
    gridPos: Place  # noqa: N815
    panels: list[Any]


class Panel(Strict):
    id: int
    type: str = Field(pattern="^(stat|timeseries)$")
    title: str = Field(min_length=1)
    description: str = Field(min_length=20, pattern=r"\.$")
    gridPos: Place  # noqa: N815
    datasource: Datasource
    targets: list[Target] = Field(min_length=1)
    fieldConfig: FieldConfig  # noqa: N815
    options: dict[str, Any]


class Link(Strict):
    type: str = Field(pattern="^dashboards$")
    title: str
    tags: list[str]
    icon: str
    tooltip: str
    url: str
    targetBlank: bool  # noqa: N815
    asDropdown: bool  # noqa: N815
    includeVars: bool  # noqa: N815
    keepTime: bool  # noqa: N815


class Annotation(Strict):
    name: str
    datasource: Datasource
    enable: bool
    hide: bool
    iconColor: str  # noqa: N815
    expr: str
    step: str
    titleFormat: str  # noqa: N815


class Annotations(Strict):
    list: list[Annotation]


class Templating(Strict):
    list: list[Any]


class Dashboard(Strict):
    uid: str = Field(pattern=r"^[a-z-]{8,40}$")
    title: str = Field(min_length=1)
    description: str
    tags: list[str]
    schemaVersion: int = Field(ge=36)  # noqa: N815  since then a datasource is named by its uid
    version: int = Field(ge=0)
    editable: bool
    graphTooltip: int = Field(ge=0, le=2)  # noqa: N815
    timezone: str
    refresh: str = Field(pattern=r"^\d+[smh]$")
    time: dict[str, str]
    timepicker: dict[str, Any]
    templating: Templating
    annotations: Annotations
    links: list[Link]
    panels: list[Row | Panel]


def read(file: Path) -> Dashboard:
    return Dashboard.model_validate_json(file.read_text())


def panels(file: Path) -> list[Panel]:
    return [panel for panel in read(file).panels if isinstance(panel, Panel)]


def test_files_are_what_the_source_makes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(GRAFANA / "source"), str(tmp_path)], check=True, timeout=60)
    made = {file.name: file.read_text() for file in tmp_path.glob("*.json")}
    assert made == {file.name: file.read_text() for file in FILES}, (
        "run `python deploy/grafana/source`"
    )


def test_the_three_dashboards_are_there() -> None:
    dashboards = {read(file).uid: read(file).title for file in FILES}
    assert dashboards == {
        "kinsight-sla": "Throughput and SLA",
        "kinsight-training": "Training",
        "kinsight-infrastructure": "Jobs and infrastructure",
    }
    assert [file.stem for file in FILES] == sorted(dashboards)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_ids_titles_units_and_steps(file: Path) -> None:
    ids = [panel.id for panel in read(file).panels]
    assert len(ids) == len(set(ids))
    for panel in panels(file):
        letters = [target.refId for target in panel.targets]
        assert len(letters) == len(set(letters)), panel.title
        defaults = panel.fieldConfig.defaults
        assert _UNIT.fullmatch(defaults.unit), (panel.title, defaults.unit)
        first, *others = [step.value for step in defaults.thresholds.steps]
        assert first is None, panel.title
        assert others == sorted(value for value in others if value is not None), panel.title
        assert {target.instant for target in panel.targets} == {panel.type == "stat"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_panels_do_not_overlap(file: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in read(file).panels:
        place = panel.gridPos
        assert place.x + place.w <= 24
        cells = {
            (x, y)
            for x in range(place.x, place.x + place.w)
            for y in range(place.y, place.y + place.h)
        }
        assert not cells & taken, panel.title
        taken |= cells


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_instance_is_named_and_the_datasource_is_the_provisioned_one(file: Path) -> None:
    (source,) = yaml.safe_load(DATASOURCES.read_text())["datasources"]
    document = file.read_text()
    assert set(re.findall(r'"uid": "([^"]+)"', document)) == {read(file).uid, source["uid"]}
    assert not re.search(r"localhost|127\.0\.0\.1|instance=|:80\d\d", document)


def test_each_requirement_is_coloured_at_its_threshold() -> None:
    sla = {
        panel.title: panel
        for panel in panels(GRAFANA / "dashboards" / "kinsight-sla.json")
        if panel.type == "stat"
    }
    colours = {
        title: [(step.color, step.value) for step in panel.fieldConfig.defaults.thresholds.steps]
        for title, panel in sla.items()
    }
    assert colours["p99 response"] == [("green", None), ("red", 1)]
    assert colours["Searches answered"] == [("red", None), ("green", 0.999)]
    assert colours["Images matched per second"] == [("red", None), ("green", 10_000)]
    assert colours["P@10"] == [("red", None), ("green", 0.8)]
    assert colours["Uptime"] == [("red", None), ("green", 0.999)]


def test_the_provider_reads_the_folder_that_is_mounted() -> None:
    (provider,) = yaml.safe_load(PROVIDERS.read_text())["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
    assert json.loads(FILES[0].read_text())["tags"] == ["kinsight"]
