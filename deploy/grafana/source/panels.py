"""Panels as Grafana's dashboard files describe them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

DATASOURCE = {"type": "prometheus", "uid": "kinsight-prometheus"}
_WIDTH = 24
Json = dict[str, Any]


@dataclass(frozen=True)
class Query:
    """legend: Grafana's template over the labels of each series."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel; `unit` is the id of one of Grafana's units.

    steps: colours from values upwards, the first from minus infinity.
    """

    title: str
    description: str
    unit: str
    queries: Sequence[Query]
    type: str = "timeseries"
    width: int = 8
    height: int = 8
    decimals: int | None = None
    steps: Sequence[tuple[str, float | None]] = (("green", None),)
    defaults: Json = field(default_factory=dict)
    options: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    title: str
    panels: Sequence[Panel]


def check(
    title: str,
    description: str,
    unit: str,
    expr: str,
    *,
    above: float | None = None,
    below: float | None = None,
    decimals: int = 2,
    legend: str = "",
    width: int = 4,
) -> Panel:
    """A requirement: green while its value is at least `above`, or less than `below`."""
    if above is not None:
        steps, bound = (("red", None), ("green", above)), above
    else:
        assert below is not None
        steps, bound = (("green", None), ("red", below)), below
    return Panel(
        title,
        f"{description} Threshold: {bound:,g}.",
        unit,
        [Query(expr, legend)],
        type="stat",
        width=width,
        height=5,
        decimals=decimals,
        steps=steps,
        options={"colorMode": "background", "graphMode": "none"},
    )


def value(
    title: str, description: str, unit: str, expr: str, legend: str = "", **more: Any
) -> Panel:
    """What is the case now."""
    return Panel(
        title,
        description,
        unit,
        [Query(expr, legend)],
        **{"type": "stat", "width": 4, "height": 5, **more},
    )


def graph(title: str, description: str, unit: str, *queries: Query, **more: Any) -> Panel:
    return Panel(title, description, unit, queries, **more)


def dashboard(uid: str, title: str, description: str, rows: Sequence[Row]) -> Json:
    """The whole file; panels flow from left to right under their row."""
    panels: list[Json] = []
    y = 0
    for row in rows:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": _WIDTH, "h": 1},
                "panels": [],
            }
        )
        x, y, tallest = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > _WIDTH:
                x, y, tallest = 0, y + tallest, 0
            panels.append(_panel(panel, len(panels) + 1, x, y))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["kinsight"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {},
        "templating": {"list": []},
        "annotations": {"list": [_FIRING]},
        "links": [
            {
                "type": "dashboards",
                "title": "Kinsight",
                "tags": ["kinsight"],
                "icon": "external link",
                "tooltip": "",
                "url": "",
                "targetBlank": False,
                "asDropdown": False,
                "includeVars": False,
                "keepTime": True,
            }
        ],
        "panels": panels,
    }


_FIRING = {
    "name": "Alerts",
    "datasource": DATASOURCE,
    "enable": True,
    "hide": False,
    "iconColor": "red",
    "expr": 'ALERTS{alertstate="firing"}',
    "step": "60s",
    "titleFormat": "{{alertname}}",
}


def _panel(panel: Panel, number: int, x: int, y: int) -> Json:
    instant = panel.type != "timeseries"
    defaults: Json = {
        "unit": panel.unit,
        "thresholds": {
            "mode": "absolute",
            "steps": [{"color": color, "value": value} for color, value in panel.steps],
        },
        "color": {"mode": "thresholds" if instant else "palette-classic"},
        **panel.defaults,
    }
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    if not instant:
        lines = "line" if len(panel.steps) > 1 else "off"
        defaults["custom"] = {"fillOpacity": 8, "thresholdsStyle": {"mode": lines}}
    return {
        "id": number,
        "type": panel.type,
        "title": panel.title,
        "description": panel.description,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "datasource": DATASOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": DATASOURCE,
                "expr": query.expr,
                "legendFormat": query.legend or "__auto",
                "instant": instant,
                "range": not instant,
            }
            for index, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {**_OPTIONS[panel.type], **panel.options},
    }


_OPTIONS: dict[str, Json] = {
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "textMode": "auto",
    },
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
}
