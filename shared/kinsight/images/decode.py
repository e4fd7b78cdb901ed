"""From the bytes of a file to an upright 8-bit RGB picture, or to a sentence saying why not.

The extractor and the trainer call the same function, so that a network sees the same pixels when
it is trained and when it is searched with.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import ExifTags, Image, ImageFile

from kinsight.errors import BadImage, ImageTooLarge
from kinsight.images.color import to_rgb
from kinsight.images.cropping import Crop
from kinsight.images.limits import Limits
from kinsight.images.sniff import (
    ACCEPTED,
    FORMATS,
    accepted_format,
    describe,
    lacks_its_end,
    webp_size,
)

# Limits are checked here, before decoding; Pillow's own check warns, or stops at its own number.
Image.MAX_IMAGE_PIXELS = None

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_CUT_SHORT = ("truncated", "end of file", "not enough", "unexpected end", "eof", "no more data")


@dataclass(frozen=True)
class DecodedImage:
    """image: RGB, upright, cropped where a crop was asked for, perhaps a reduced copy.

    format: subtype of the media type (`jpeg`, `png`, …). width, height: of the whole upright
    original, in pixels.
    """

    image: Image.Image
    format: str
    width: int
    height: int


def decode(
    data: bytes, *, limits: Limits, target: int | None = None, crop: Crop | None = None
) -> DecodedImage:
    """Decodes the first frame of one file.

    target: the caller will scale down to this short side, in pixels, so a JPEG may be decoded at
    a half, quarter or eighth (ITU-T T.81 coefficients), never below the target. crop: cut this
    out; the target then holds for the cut-out.

    Raises EmptyBody, ImageTooLarge (bytes, sides or pixels above the limits), BadImage (not one
    of the accepted formats, damaged, cut short, a side too short) and, for a crop outside the
    picture, BadRequest.
    """
    limits.check_bytes(len(data))
    name = accepted_format(data)
    if name is None:
        raise BadImage(f"This is {describe(data)}; send {ACCEPTED}.")
    image = _open(data, name, limits)
    if crop:
        crop.check(*_upright_size(image))
    original = image.size
    if name == "JPEG" and target:
        _reduce(image, target, crop)
    pixels = _load(image, data, name)
    orientation = _orientation(image)
    rgb = _to_rgb(pixels, name)
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
    width, height = original[::-1] if orientation >= 5 else original
    if crop:
        rgb = crop.cut(rgb, width, height)
    return DecodedImage(rgb, FORMATS[name], width, height)
