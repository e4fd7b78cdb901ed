"""Lines over iterations, epochs or seconds: how training went (CBIR paper, figure 13)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, PercentFormatter

from trainer.plots.lettering import Lettering, lettering
from trainer.plots.style import (
    FAINT,
    INK,
    MUTED,
    SMALL,
    TEXT,
    TITLE,
    new_axes,
    new_figure,
    png,
    series_colour,
)

_WIDTH, _HEIGHT = 460.0, 300.0  # of a panel
_LEFT, _BELOW, _ABOVE, _LEAST_RIGHT = 52.0, 46.0, 34.0, 16.0
_MOST_RIGHT = 190.0
_LINE_OF_TEXT = 14.0


@dataclass(frozen=True)
class Series:
    """One line. x, y: (N,), ascending x; points whose y is not finite are left out.

    colour: a number; lines of one number have one colour, in every panel. None: its own place
    among the panel's lines.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    dashed: bool = False
    colour: int | None = None


@dataclass(frozen=True)
class Panel:
    """What is drawn on one pair of axes.

    percent: y is a part of 1 and written in per cent. level: a value of y marked with words.
    from_zero: the axis begins at 0.
    """

    y_label: str
    x_label: str
    series: Sequence[Series]
    percent: bool = False
    level: tuple[float, str] | None = None
    from_zero: bool = False


def curves(panels: Sequence[Panel]) -> bytes:
    """PNG of the panels side by side; every line's label stands at its end."""
    letters = lettering(
        text
        for panel in panels
        for text in (
            panel.y_label,
            panel.x_label,
            *(series.label for series in panel.series),
            *(panel.level[1:] if panel.level else ()),
        )
    )
    rights = [_room(panel, letters) for panel in panels]
    widths = [_WIDTH + right for right in rights]
    figure = new_figure(sum(widths), _HEIGHT)
    left = 0.0
    for panel, width, right in zip(panels, widths, rights, strict=True):
        box = (
            (left + _LEFT) / sum(widths),
            _BELOW / _HEIGHT,
            (width - _LEFT - right) / sum(widths),
            (_HEIGHT - _BELOW - _ABOVE) / _HEIGHT,
        )
        _draw(new_axes(figure, box), panel, letters)
        left += width
    return png(figure)


def _room(panel: Panel, letters: Lettering) -> float:
    """For the labels to the right of the lines."""
    widest = max((letters.width(letters.text(s.label), TEXT) for s in panel.series), default=0)
    return max(_LEAST_RIGHT, min(_MOST_RIGHT, widest + 16))


def _draw(axes: Any, panel: Panel, letters: Lettering) -> None:
    family = list(letters.families)
    axes.set_title(
        letters.text(panel.y_label),
        loc="left",
        fontsize=TITLE,
        color=INK,
        fontfamily=family,
        pad=9,
        parse_math=False,
    )
    axes.set_xlabel(
        letters.text(panel.x_label), fontsize=TEXT, color=MUTED, fontfamily=family, parse_math=False
    )
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.margins(x=0.02, y=0.06)
    ends: list[tuple[float, float, str, str]] = []
    for number, series in enumerate(panel.series):
        colour = series_colour(number if series.colour is None else series.colour)
        x, y = np.asarray(series.x, np.float64), np.asarray(series.y, np.float64)
        kept = np.isfinite(x) & np.isfinite(y)
        x, y = x[kept], y[kept]
        if not len(x):
            continue
        axes.plot(
            x,
            y,
            color=colour,
            linewidth=1.8,
            linestyle=(0, (4, 2)) if series.dashed else "solid",
            solid_capstyle="round",
            # A line of few points shows them; one point is no line at all.
            marker="o" if len(x) <= 12 else None,
            markersize=4,
        )
        ends.append((float(x[-1]), float(y[-1]), letters.text(series.label), colour))
    if not ends:
        axes.text(
            0.5, 0.5, "no points", transform=axes.transAxes, color=MUTED, fontsize=TEXT, ha="center"
        )
        axes.set(xticks=[], yticks=[])
        return
    if panel.level:
        _mark(axes, panel.level[0], letters.text(panel.level[1]), family)
    if panel.from_zero:
        axes.set_ylim(bottom=0)
    elif panel.percent:
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -0.01), min(high, 1.01))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    points = np.concatenate([np.asarray(series.x, np.float64) for series in panel.series])
    alone = len(np.unique(points)) == 1
    axes.xaxis.set_major_locator(FixedLocator([points[0]]) if alone else MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(_grouped))
    if panel.percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    _label(axes, ends, letters)


def _mark(axes: Any, value: float, words: str, family: list[str]) -> None:
    axes.axhline(value, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
    axes.annotate(
        words,
        (0, value),
        xycoords=("axes fraction", "data"),
        xytext=(4, 3),
        textcoords="offset points",
        fontsize=SMALL,
        color=MUTED,
        fontfamily=family,
        parse_math=False,
    )


def _label(axes: Any, ends: list[tuple[float, float, str, str]], letters: Lettering) -> None:
    """At the ends of the lines, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    height = _HEIGHT - _BELOW - _ABOVE
    order = sorted(range(len(ends)), key=lambda i: ends[i][1])
    places = _apart([(ends[i][1] - low) / (high - low) * height for i in order], height)
    for i, place in zip(order, places, strict=True):
        x, y, words, colour = ends[i]
        moved = abs((y - low) / (high - low) * height - place) > _LINE_OF_TEXT / 2
        axes.annotate(
            letters.fitted(words, _MOST_RIGHT - 16, TEXT),
            (x, y),
            xytext=(1.0 + 4 / _WIDTH, place / height),
            textcoords="axes fraction",
            fontsize=TEXT,
            color=colour,
            fontfamily=list(letters.families),
            verticalalignment="center_baseline",
            horizontalalignment="left",
            parse_math=False,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5, "alpha": 0.5}
            if moved
            else None,
        )


def _apart(wanted: list[float], height: float) -> list[float]:
    """Ascending places as near to those wanted as a line of text between them allows."""
    places: list[float] = []
    for place in wanted:
        places.append(max(place, places[-1] + _LINE_OF_TEXT) if places else max(0.0, place))
    top = height
    for i in reversed(range(len(places))):
        places[i] = min(places[i], top)
        top = places[i] - _LINE_OF_TEXT
    return places


def _grouped(value: float, _: object) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"
