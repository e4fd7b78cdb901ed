"""Pictures with their five most probable classes as bars (AlexNet, figure 4, left)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.plots.lettering import lettering
from trainer.plots.sheet import Sheet
from trainer.plots.style import MUTED, PHOTO_DOTS_PER_INCH, RIGHT, SMALL, WRONG

_BARS = 5
_COLUMNS = 4
_PICTURE = 150.0
_CARD_WIDTH, _GAP = 190.0, 22.0
_LINE = 17.0
_NAME = 22.0
_TRUE_BAR, _FALSE_BAR = "#6CC7AB", "#D3DAE1"


@dataclass(frozen=True)
class Classified:
    """pixels: (H, W, 3) uint8; label: number of the true class; probabilities: (K,)."""

    pixels: NDArray[np.uint8]
    label: int
    probabilities: NDArray[np.float32]


def top5(pictures: Sequence[Classified], classes: Sequence[str]) -> bytes:
    """PNG of the pictures, four in a row; the bar of the true class is coloured.

    Under each picture its true class, with a cross where the network says otherwise.
    """
    letters = lettering(["✓✗", *classes])
    names = letters.class_names(classes)
    columns = max(1, min(_COLUMNS, len(pictures)))
    bars = min(_BARS, len(classes))
    card = _PICTURE + _NAME + bars * _LINE + 8
    rows = max(1, math.ceil(len(pictures) / columns))
    width = columns * (_CARD_WIDTH + _GAP) - _GAP + 8
    height = rows * (card + _GAP) - _GAP + 8
    sheet = Sheet(width, height, letters, PHOTO_DOTS_PER_INCH)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        _card(
            sheet, 4 + column * (_CARD_WIDTH + _GAP), 4 + row * (card + _GAP), picture, names, bars
        )
    return sheet.png()


def _card(
    sheet: Sheet, x: float, y: float, picture: Classified, names: Sequence[str], bars: int
) -> None:
    order = np.argsort(-picture.probabilities, kind="stable")[:bars]
    right = int(order[0]) == picture.label
    sheet.picture(x + (_CARD_WIDTH - _PICTURE) / 2, y, _PICTURE, picture.pixels)
    y += _PICTURE + _NAME / 2 + 2
    sheet.text(x, y, "✓" if right else "✗", colour=RIGHT if right else WRONG, bold=True)
    sheet.text(x + 15, y, names[picture.label], most=_CARD_WIDTH - 16)
    y += _NAME / 2 + 2
    for line, number in enumerate(order):
        top, part = y + line * _LINE, float(picture.probabilities[number])
        true = int(number) == picture.label
        room = _CARD_WIDTH - 38
        # The name lies on the bar and runs beyond it: legible on both.
        sheet.bar(x, top, max(1.0, part * room), _LINE - 3, _TRUE_BAR if true else _FALSE_BAR)
        sheet.text(x + 4, top + (_LINE - 3) / 2, names[number], size=SMALL, most=room - 6)
        sheet.text(
            x + _CARD_WIDTH,
            top + (_LINE - 3) / 2,
            _percent(part),
            size=SMALL,
            colour=MUTED,
            align="right",
        )


def _percent(part: float) -> str:
    return f"{part:.0%}" if part >= 0.0095 or part == 0 else "<1%"
