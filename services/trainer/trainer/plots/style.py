"""How every picture looks: colours, sizes, and the way to PNG bytes.

Figures are made without pyplot, so nothing is shared between threads, and without the time of
drawing, so the same data give the same bytes.
"""

from __future__ import annotations

import io
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

# Okabe and Ito 2008: told apart by every kind of colour vision.
SERIES = ("#0072B2", "#D55E00", "#009E73", "#AA4499", "#E69F00", "#56B4E9", "#555555")
RIGHT, WRONG = "#009E73", "#D55E00"
INK, MUTED, FAINT, PAPER = "#1C1F23", "#5F6670", "#D9DCE0", "#FFFFFF"
BLUES = LinearSegmentedColormap.from_list("blues", ["#FFFFFF", "#9CC3E4", "#0072B2", "#06355C"])

# Lengths are hundredths of an inch, of which a PNG has 1.6 pixels each: sharp on dense screens.
UNIT = 0.01
DOTS_PER_INCH = 160
# Of sheets of photographs, which make large files.
PHOTO_DOTS_PER_INCH = 128
TITLE, TEXT, SMALL = 10.5, 9.0, 7.5  # points


def new_figure(width: float, height: float, dots: int = DOTS_PER_INCH) -> Figure:
    """A blank figure; lengths in hundredths of an inch."""
    size = (width * UNIT, height * UNIT)
    figure = Figure(figsize=size, dpi=dots, facecolor=PAPER, edgecolor=PAPER)
    FigureCanvasAgg(figure)
    return figure


def new_axes(figure: Figure, box: tuple[float, float, float, float]) -> Any:
    """Axes with a left and a bottom line only. box: left, bottom, width, height, as parts."""
    axes = figure.add_axes(box)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=MUTED, labelsize=SMALL, length=3, color=FAINT)
    axes.set_axisbelow(True)
    return axes


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # Without the name and version of the program: bytes must not change with them.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def series_colour(number: int) -> str:
    return SERIES[number % len(SERIES)]
