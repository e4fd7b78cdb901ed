"""How large a picture may be before it is decoded at all."""

from __future__ import annotations

from dataclasses import dataclass

from kinsight.errors import BadImage, EmptyBody, ImageTooLarge


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one picture; all are checked before the first pixel is decoded.

    max_bytes: size of the file. max_pixels: width times height, which bounds the memory that
    decoding takes. max_side, min_side: of each side, in pixels.
    """

    max_bytes: int = 33_554_432
    max_pixels: int = 100_000_000
    max_side: int = 65_535
    min_side: int = 2

    def check_bytes(self, count: int) -> None:
        """Raises EmptyBody or ImageTooLarge."""
        if count == 0:
            raise EmptyBody()
        if count > self.max_bytes:
            raise ImageTooLarge(
                f"The image has {count:,} bytes; this server accepts up to {self.max_bytes:,}. "
                "Send it smaller."
            )

    def check_size(self, width: int, height: int) -> None:
        """Raises BadImage where a side is too short to show anything, ImageTooLarge above."""
        if min(width, height) < self.min_side:
            raise BadImage(
                f"The picture is {width}×{height} pixels; send one with at least "
                f"{self.min_side} pixels on each side."
            )
        if max(width, height) > self.max_side:
            raise ImageTooLarge(
                f"The picture is {width:,}×{height:,} pixels; this server accepts up to "
                f"{self.max_side:,} on a side. Send it smaller."
            )
        if width * height > self.max_pixels:
            raise ImageTooLarge(
                f"The picture is {width:,}×{height:,} pixels; this server decodes up to "
                f"{self.max_pixels:,} in all. Send it smaller."
            )
