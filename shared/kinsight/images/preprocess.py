"""From a decoded picture to a network's input, before mean and deviation are applied.

`canvas` is what training caches and takes its random crops from, `preprocess` its centre, so the
pixels of both agree exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kinsight.contracts.models import Preprocessing
from kinsight.errors import BadOption

# Pictures are decoded at least so large whatever the network's input is, so that the perceptual
# hash of a file is the same under every usual model.
_LEAST_TARGET = 256


def canvas_size(card: Preprocessing) -> int:
    """S, the side of the canvas in pixels; raises BadOption where the card cannot be met."""
    if card.mode == "squash":
        return card.input_size
    if card.resize < card.input_size:
        raise BadOption(
            f"preprocessing.resize is {card.resize}, smaller than input_size {card.input_size}; "
            "make it at least as large."
        )
    return card.resize


def decode_target(card: Preprocessing | None = None) -> int:
    """The `target` to decode with for this card, or for the perceptual hash alone."""
    return max(_LEAST_TARGET, canvas_size(card) if card else 0)


def canvas(image: Image.Image, card: Preprocessing) -> NDArray[np.uint8]:
    """An RGB picture as (S, S, 3).

    Mode `crop`: short side to S, centre square (AlexNet §2), in one step, so that a long thin
    picture never becomes a huge intermediate. Mode `squash`: the whole picture, S = input_size.
    Bilinear with anti-aliasing, as torchvision's standard preprocessing.
    """
    side = canvas_size(card)
    box: tuple[float, float, float, float] = (0, 0, image.width, image.height)
    if card.mode == "crop":
        short = min(image.size)
        left, top = (image.width - short) / 2, (image.height - short) / 2
        box = (left, top, left + short, top + short)
    resized = image.resize((side, side), Image.Resampling.BILINEAR, box=box)
    return np.asarray(resized)


def preprocess(image: Image.Image, card: Preprocessing) -> NDArray[np.uint8]:
    """An RGB picture as (input_size, input_size, 3): the centre of its canvas."""
    return centre(canvas(image, card), card.input_size)


def centre(canvas_SS3: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:  # noqa: N803
    """The middle (side, side, 3) of a canvas."""
    start = (canvas_SS3.shape[0] - side) // 2
    return canvas_SS3[start : start + side, start : start + side]


def ten_crops(canvas_SS3: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:  # noqa: N803
    """(10, side, side, 3): four corners and the centre, then the same mirrored (AlexNet §4.1).

    Where the canvas is no larger than the input (mode `squash`) the five positions coincide, and
    the average over the ten is the average of the picture and its mirror image.
    """
    last = canvas_SS3.shape[0] - side
    positions = ((0, 0), (0, last), (last, 0), (last, last), (last // 2, last // 2))
    crops = [canvas_SS3[y : y + side, x : x + side] for y, x in positions]
    return np.stack([*crops, *(crop[:, ::-1] for crop in crops)])
