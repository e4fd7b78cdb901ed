"""A rectangle of a picture, in pixels of the upright original."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image

from kinsight.errors import BadRequest

MIN_SIDE = 2


@dataclass(frozen=True, slots=True)
class Crop:
    """x, y of the top left corner, width and height, in pixels after EXIF rotation."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> Crop:
        """From `x,y,w,h`; raises BadRequest where it is not four whole numbers."""
        try:
            x, y, width, height = (int(part) for part in text.split(","))
        except ValueError as error:
            raise BadRequest(
                f"crop is {text[:60]!r}; send four whole numbers, crop=x,y,width,height."
            ) from error
        return cls(x, y, width, height)

    def check(self, width: int, height: int) -> None:
        """Raises BadRequest where the rectangle is not inside a picture of this size."""
        if self.width < MIN_SIDE or self.height < MIN_SIDE:
            raise BadRequest(
                f"The crop is {self.width}×{self.height} pixels; make it at least "
                f"{MIN_SIDE}×{MIN_SIDE}."
            )
        if self.x < 0 or self.y < 0 or self.x + self.width > width or self.y + self.height > height:
            raise BadRequest(
                f"The crop {self.x},{self.y},{self.width},{self.height} reaches beyond the "
                f"picture, which is {width}×{height} pixels once upright."
            )

    def cut(self, image: Image.Image, width: int, height: int) -> Image.Image:
        """The rectangle of an image that may be a reduced copy of a width×height original.

        Edges between pixels of the reduced copy are widened to whole ones.
        """
        across, down = image.width / width, image.height / height
        return image.crop(
            (
                math.floor(self.x * across),
                math.floor(self.y * down),
                math.ceil((self.x + self.width) * across),
                math.ceil((self.y + self.height) * down),
            )
        )
