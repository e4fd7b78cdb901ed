"""Queries with the nearest pictures of the database (AlexNet, figure 4, right)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.plots.lettering import lettering
from trainer.plots.sheet import Sheet
from trainer.plots.style import FAINT, MUTED, PHOTO_DOTS_PER_INCH, RIGHT, SMALL, WRONG

_SIDE, _GAP, _AFTER_QUERY = 88.0, 12.0, 34.0
_TEXT, _BETWEEN, _HEAD, _EDGE = 34.0, 14.0, 24.0, 6.0


@dataclass(frozen=True)
class Found:
    """A picture (H, W, 3) uint8 with the number of its class and how far it is from the query."""

    pixels: NDArray[np.uint8]
    label: int
    distance: float


@dataclass(frozen=True)
class Retrieved:
    """A query, its class, and what was found, nearest first."""

    pixels: NDArray[np.uint8]
    label: int
    found: Sequence[Found]


def retrieval(queries: Sequence[Retrieved], classes: Sequence[str]) -> bytes:
    """PNG with a line for every query: the picture, then its nearest, with class and distance.

    A found picture of the query's class has a green frame and a tick, any other a red frame and a
    cross.
    """
    letters = lettering(["✓✗", *classes])
    names = letters.class_names(classes)
    most = max((len(query.found) for query in queries), default=0)
    line = _SIDE + _TEXT + _BETWEEN
    width = 2 * _EDGE + _SIDE + (_AFTER_QUERY + most * (_SIDE + _GAP) - _GAP if most else 0)
    sheet = Sheet(width, _HEAD + len(queries) * line, letters, PHOTO_DOTS_PER_INCH)
    sheet.text(_EDGE, _HEAD / 2, "query", size=SMALL, colour=MUTED)
    digits = _digits([found.distance for query in queries for found in query.found])
    first = _EDGE + _SIDE + _AFTER_QUERY
    if most:
        sheet.text(first, _HEAD / 2, "nearest first", size=SMALL, colour=MUTED)
    for row, query in enumerate(queries):
        y = _HEAD + row * line
        sheet.picture(_EDGE, y, _SIDE, query.pixels)
        sheet.text(_EDGE, y + _SIDE + 11, names[query.label], size=SMALL, most=_SIDE)
        sheet.bar(_EDGE + _SIDE + _AFTER_QUERY / 2, y, 1, _SIDE + _TEXT - 6, FAINT)
        for column, found in enumerate(query.found):
            x = first + column * (_SIDE + _GAP)
            good = found.label == query.label
            colour = RIGHT if good else WRONG
            sheet.picture(x, y, _SIDE, found.pixels)
            sheet.frame(x, y, _SIDE, _SIDE, colour)
            sheet.text(
                x, y + _SIDE + 11, "✓" if good else "✗", size=SMALL, colour=colour, bold=True
            )
            sheet.text(x + 12, y + _SIDE + 11, names[found.label], size=SMALL, most=_SIDE - 12)
            sheet.text(
                x + 12, y + _SIDE + 24, f"{found.distance:.{digits}f}", size=SMALL, colour=MUTED
            )
    return sheet.png()


def _digits(distances: Sequence[float]) -> int:
    """After the point, the same on the whole sheet: about four figures; none for whole numbers."""
    if all(float(distance).is_integer() for distance in distances):
        return 0
    return int(np.clip(3 - np.floor(np.log10(max(distances))), 0, 5))
