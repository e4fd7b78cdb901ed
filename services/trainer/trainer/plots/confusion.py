"""The confusion matrix as a picture: rows true classes, columns predicted ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm
from numpy.typing import NDArray

from trainer.plots.lettering import Lettering, lettering
from trainer.plots.style import BLUES, FAINT, INK, MUTED, PAPER, TEXT, new_figure, png

_WITH_SHARES, _WITH_COUNTS, _WITH_NAMES = 14, 40, 200  # the most classes for each
_MOST_LABEL = 170.0
_EDGE = 12.0
_DARK = 0.3  # from this part on white letters


def confusion(counts_KK: NDArray[np.int64], classes: Sequence[str]) -> bytes:
    """PNG of (K, K) counts of images; colour is the part of the row, so that rare classes count.

    Up to 14 classes a cell has the part and the count, up to 40 the count, up to 200 every class
    its name; beyond that numbers stand at the edge.
    """
    classes_K = len(classes)
    letters = lettering(classes)
    names = letters.class_names(classes)
    cell = _cell(classes_K)
    labelled = classes_K <= _WITH_NAMES
    # As high as the cell; a point is 0.72 of a hundredth of an inch.
    size = min(TEXT, cell * 0.72 * 0.72 + 1) if labelled else TEXT
    longest = max((letters.width(name, size) for name in names), default=0) if labelled else 30.0
    label = min(_MOST_LABEL, longest) + 12
    side = cell * classes_K
    left, above = label + 24, label + 28
    width, height = left + side + _EDGE, above + side + _EDGE
    figure = new_figure(width, height)
    axes = figure.add_axes((left / width, _EDGE / height, side / width, side / height))
    totals = counts_KK.sum(axis=1, keepdims=True)
    shares = counts_KK / np.maximum(1, totals)
    axes.imshow(shares, cmap=BLUES, norm=_shade(), interpolation="nearest", aspect="auto")
    for spine in axes.spines.values():
        spine.set_color(FAINT)
    _ticks(axes, names, letters, size, labelled)
    if cell >= 8:
        edges = np.arange(classes_K - 1) + 0.5
        axes.hlines(edges, -0.5, classes_K - 0.5, color=FAINT, linewidth=0.3)
        axes.vlines(edges, -0.5, classes_K - 0.5, color=FAINT, linewidth=0.3)
    if classes_K <= _WITH_COUNTS:
        _figures(axes, counts_KK, shares, cell)
    middle: dict[str, Any] = {"fontsize": TEXT, "color": MUTED, "horizontalalignment": "center"}
    figure.text(
        (left + side / 2) / width, 1 - 12 / height, "predicted class", va="center", **middle
    )
    figure.text(
        12 / width, (_EDGE + side / 2) / height, "true class", va="center", rotation=90, **middle
    )
    return png(figure)


def _shade() -> PowerNorm:
    """By the root of the part: one error in fifty must be seen beside a dark diagonal."""
    return PowerNorm(0.5, vmin=0, vmax=1)


def _cell(classes: int) -> float:
    """Side of a cell in hundredths of an inch."""
    if classes <= _WITH_SHARES:
        return float(np.clip(620 / classes, 44, 110))
    if classes <= _WITH_COUNTS:
        return float(np.clip(900 / classes, 22, 44))
    return 10.0 if classes <= _WITH_NAMES else max(1.25, 1500 / classes)


def _ticks(axes: Any, names: list[str], letters: Lettering, size: float, labelled: bool) -> None:
    if labelled:
        places = list(range(len(names)))
        words = [letters.fitted(name, _MOST_LABEL, size) for name in names]
    else:
        places = list(range(0, len(names), 10 ** int(np.log10(len(names)) - 1) or 1))
        words = [str(place) for place in places]
    style = {"fontsize": size, "fontfamily": list(letters.families), "color": INK}
    axes.xaxis.tick_top()
    axes.set_xticks(places)
    axes.set_yticks(places)
    axes.tick_params(length=0, pad=4)
    for axis, turned in ((axes.xaxis, 90), (axes.yaxis, 0)):
        axis.set_ticklabels(words, rotation=turned, **style, parse_math=False)


def _figures(
    axes: Any, counts_KK: NDArray[np.int64], shares: NDArray[np.float64], cell: float
) -> None:
    both = len(counts_KK) <= _WITH_SHARES
    for row, column in np.argwhere(counts_KK > 0):
        colour = PAPER if shares[row, column] > _DARK else INK
        # In points: 0.72 of a hundredth of an inch.
        size = min(10.0, cell * 0.72 * (0.28 if both else 0.38))
        count = f"{counts_KK[row, column]:,}"
        if both:
            share = f"{shares[row, column]:.0%}"
            axes.text(
                column, row - 0.04, share, fontsize=size, color=colour, ha="center", va="bottom"
            )
            axes.text(
                column, row + 0.08, count, fontsize=size * 0.8, color=colour, ha="center", va="top"
            )
        else:
            axes.text(
                column,
                row,
                count,
                fontsize=size,
                color=colour,
                ha="center",
                va="center_baseline",
            )
