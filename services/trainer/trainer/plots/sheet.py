"""A sheet of pictures, boxes and texts, placed by hand."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from trainer.plots.lettering import Lettering
from trainer.plots.style import DOTS_PER_INCH, INK, PAPER, TEXT, UNIT, new_figure

_SHARP_UP_TO = 64  # pixels; scans smaller than this are shown pixel by pixel


class Sheet:
    """Lengths are hundredths of an inch from the upper left corner."""

    def __init__(
        self, width: float, height: float, letters: Lettering, dots: int = DOTS_PER_INCH
    ) -> None:
        self._dots, self._scale = dots, dots * UNIT
        # Whole pixels, so that pictures lie where boxes do.
        columns, rows = round(width * self._scale), round(height * self._scale)
        self.width, self.height = columns / self._scale, rows / self._scale
        self._letters = letters
        self._figure = new_figure(self.width, self.height, dots)
        self._canvas = FigureCanvasAgg(self._figure)
        self._axes = self._figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self._axes.set_axis_off()
        self._axes.set(xlim=(0, self.width), ylim=(self.height, 0))
        self._ground = Image.new("RGB", (columns, rows), PAPER)

    def picture(self, x: float, y: float, side: float, pixels_HW3: NDArray[np.uint8]) -> None:
        """The picture within a square, in its own proportions."""
        image = Image.fromarray(pixels_HW3)
        room = round(side * self._scale)
        factor = room / max(image.size)
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        crisp = max(image.size) <= _SHARP_UP_TO
        way = Image.Resampling.NEAREST if crisp and factor >= 1 else Image.Resampling.LANCZOS
        corner = (
            round(x * self._scale) + (room - size[0]) // 2,
            round(y * self._scale) + (room - size[1]) // 2,
        )
        self._ground.paste(image.resize(size, way), corner)

    def frame(
        self, x: float, y: float, width: float, height: float, colour: str, line: float = 2.0
    ) -> None:
        """A line around a box; its thickness in points."""
        self._axes.add_patch(
            Rectangle((x, y), width, height, fill=False, edgecolor=colour, linewidth=line)
        )

    def bar(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        self._axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, linewidth=0))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = TEXT,
        colour: str = INK,
        bold: bool = False,
        align: str = "left",
        most: float | None = None,
    ) -> None:
        """One line, its middle at y; shortened where it is wider than `most`."""
        shown = self._letters.text(text)
        self._axes.text(
            x,
            y,
            shown if most is None else self._letters.fitted(shown, most, size),
            fontsize=size,
            color=colour,
            fontweight="bold" if bold else "normal",
            fontfamily=list(self._letters.families),
            horizontalalignment=align,
            verticalalignment="center_baseline",
            parse_math=False,
        )

    def png(self) -> bytes:
        # Texts and boxes as a layer of their own: matplotlib takes long over large pictures.
        self._figure.patch.set_alpha(0)
        self._canvas.draw()  # type: ignore[no-untyped-call]
        layer = self._canvas.buffer_rgba()  # type: ignore[no-untyped-call]
        drawn = Image.fromarray(np.asarray(layer))
        self._ground.paste(drawn, mask=drawn)
        buffer = io.BytesIO()
        self._ground.save(buffer, "PNG", dpi=(self._dots, self._dots))
        return buffer.getvalue()
