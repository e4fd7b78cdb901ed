"""How large each scale is: pictures, networks and epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.reproduce.base import Scale
from trainer.reproduce.drawing import Most

# Pictures up to this side get AlexNet's stem for small pictures.
SMALL_PICTURES = 64
_HANDFUL = 200


def handful(scale: Scale, *, small: int, train: int = 8, test: int = 4) -> Most:
    """A few pictures of each class at `smoke` (two where there are many), all at `full`.

    small: training pictures in all at that scale. train, test: pictures of each class at `smoke`.
    """
    if scale == "smoke":
        return Most(train, test, total=_HANDFUL)
    return Most(total=small) if scale == "small" else Most()


def picture_network(scale: Scale, side: int) -> dict[str, Any]:
    """Options of `alexnet` for pictures of this side, in pixels.

    smoke and small: narrower, so that two cores can train it. full: the paper's widths.
    """
    small_pictures = side <= SMALL_PICTURES
    # Photographs are cropped as in the paper, even where the network is one for small pictures.
    framing = {} if small_pictures else {"framing": "crop"}
    if scale == "smoke":
        return {"input_size": 32, "width": 0.1, "fc_width": 64, **framing}
    if scale == "small":
        if small_pictures:
            return {"input_size": 32, "width": 0.25, "fc_width": 512}
        return {"input_size": 112, "width": 0.5, "fc_width": 1024, **framing}
    size = 32 if small_pictures else 224
    return {"input_size": size, "width": 1.0, "fc_width": 4096, **framing}


def described(network: Mapping[str, Any], side: int) -> list[str]:
    """In which ways such a network is not the paper's."""
    told = []
    if network["input_size"] < 224:
        stem = " with a first layer of 5x5, stride 1" if network["input_size"] <= 64 else ""
        told.append(
            f"The network's input is {network['input_size']} pixels wide{stem}; the paper's is 224."
        )
        if side <= SMALL_PICTURES:
            told.append(
                "Such small pictures leave no room for crops: random squares reach over the edge, "
                "and ten crops are the picture and its mirror image."
            )
    elif side < 224:
        told.append(f"The pictures, {side} pixels wide, are enlarged to the input of 224.")
    if network.get("width", 1) < 1:
        told.append(
            f"The convolutions have {network['width']:g} of the paper's channels and the hidden "
            f"layers {network['fc_width']:,} units."
        )
    return told
