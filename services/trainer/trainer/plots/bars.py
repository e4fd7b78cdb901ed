"""A table of figures as bars: what a paper reports beside what we measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.plots.lettering import lettering
from trainer.plots.style import FAINT, INK, MUTED, SMALL, TEXT, TITLE, new_axes, new_figure, png

_COLOURS = ("#9AA3AD", "#0072B2", "#E69F00", "#009E73")  # the paper's first, in grey
_BAR, _BETWEEN = 17.0, 16.0
_AREA, _RIGHT, _BELOW, _MOST_LEFT = 420.0, 60.0, 14.0, 300.0


def bars(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float | None]],
    *,
    title: str,
    form: str = "{:.2f}",
) -> bytes:
    """PNG of horizontal bars, a group for every row, a colour for every column.

    values: one per row and column; None is written as a dash. form: how a value is written. The
    first column is meant for the paper's figures.
    """
    letters = lettering([*rows, *columns, title])
    family = list(letters.families)
    names = [letters.text(row) for row in rows]
    left = min(_MOST_LEFT, max(letters.width(name, TEXT) for name in names)) + 20
    above = 64.0
    group = len(columns) * _BAR + _BETWEEN
    width, height = left + _AREA + _RIGHT, above + len(rows) * group + _BELOW
    figure = new_figure(width, height)
    axes = new_axes(
        figure,
        (left / width, _BELOW / height, _AREA / width, (height - above - _BELOW) / height),
    )
    finite = [v for row in values for v in row if v is not None and np.isfinite(v)]
    axes.set(
        xlim=(min(0.0, *finite, 0.0), max([*finite, 1e-9]) * 1.02), ylim=(len(rows) * group, 0)
    )
    axes.spines[["bottom"]].set_visible(False)
    axes.spines["left"].set_position(("data", 0))
    axes.set_xticks([])
    axes.set_yticks([])
    text: dict[str, Any] = {
        "fontfamily": family,
        "parse_math": False,
        "verticalalignment": "center_baseline",
    }
    for i, (name, row) in enumerate(zip(names, values, strict=True)):
        top = i * group + _BETWEEN / 2
        axes.annotate(
            letters.fitted(name, _MOST_LEFT, TEXT),
            (0, top + len(columns) * _BAR / 2),
            xycoords=("axes fraction", "data"),
            xytext=(-8, 0),
            textcoords="offset points",
            fontsize=TEXT,
            color=INK,
            horizontalalignment="right",
            **text,
        )
        for j, value in enumerate(row):
            y = top + (j + 0.5) * _BAR
            shown = value if value is not None and np.isfinite(value) else None
            if shown is not None:
                axes.barh(y, shown, height=_BAR - 3, color=_COLOURS[j % len(_COLOURS)])
            axes.annotate(
                "–" if shown is None else form.format(shown),
                (max(0.0, shown or 0.0), y),
                xytext=(4, 0),
                textcoords="offset points",
                fontsize=SMALL,
                color=INK,
                annotation_clip=False,
                **text,
            )
    figure.text(14 / width, 1 - 20 / height, letters.text(title), fontsize=TITLE, color=INK, **text)
    x = 14.0
    for j, column in enumerate(columns):
        words = letters.text(column)
        y = 1 - 44 / height
        figure.text(x / width, y, "■", fontsize=TEXT, color=_COLOURS[j % len(_COLOURS)], **text)
        figure.text((x + 14) / width, y, words, fontsize=TEXT, color=MUTED, **text)
        x += letters.width(words, TEXT) + 36
    axes.tick_params(color=FAINT)
    return png(figure)
