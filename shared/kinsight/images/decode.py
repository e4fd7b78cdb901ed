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
    header_size,
    lacks_its_end,
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
_LABELS = {name: name for name in FORMATS} | {"WEBP": "WebP"}
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
    width, height = image.size
    if name == "JPEG" and target:
        _reduce(image, target, crop)
    rgb = _load(image, data, name)
    if (orientation := _orientation(image, name)) != 1:
        rgb = rgb.transpose(_UPRIGHT[orientation])
        if orientation >= 5:
            width, height = height, width
    if crop:
        crop.check(width, height)
        rgb = crop.cut(rgb, width, height)
    return DecodedImage(rgb, FORMATS[name], width, height)


def _open(data: bytes, name: str, limits: Limits) -> ImageFile.ImageFile:
    """Reads the header only."""
    size = header_size(data, name)
    # The frames of a GIF may be larger than the screen its header names; Pillow sees both.
    if size and name != "GIF":
        limits.check_size(*size)
    try:
        image = Image.open(io.BytesIO(data), formats=[name])
    # On damaged bytes the plugins raise almost anything: OSError, SyntaxError, ValueError,
    # struct.error, KeyError, zlib.error, …; whatever it is, the file is at fault.
    except Exception as error:
        if size:
            limits.check_size(*size)
        raise _damaged(data, name, error) from error
    limits.check_size(*image.size)
    return image


def _reduce(image: ImageFile.ImageFile, target: int, crop: Crop | None) -> None:
    """Lets the JPEG decoder leave out coefficients, as far as the target allows."""
    short = min(crop.width, crop.height) if crop else min(image.size)
    scale = next((s for s in (8, 4, 2) if short // s >= target), 1)
    width, height = image.size
    image.draft(None, (max(1, width // scale), max(1, height // scale)))


def _load(image: ImageFile.ImageFile, data: bytes, name: str) -> Image.Image:
    try:
        image.load()
        return to_rgb(image)
    except MemoryError as error:
        raise ImageTooLarge(
            "Decoding this picture takes more memory than this server allows; send it smaller.",
            reason="memory",
        ) from error
    # As in _open.
    except Exception as error:
        cause = EOFError("end of file") if _strips_missing(image, data) else error
        raise _damaged(data, name, cause) from error


def _strips_missing(image: ImageFile.ImageFile, data: bytes) -> bool:
    """Whether a TIFF's strips or tiles (TIFF 6.0, sections 3 and 15) lie beyond its end."""
    tags = getattr(image, "tag_v2", {})
    for offsets, counts in ((273, 279), (324, 325)):
        ends = zip(tags.get(offsets, ()), tags.get(counts, ()), strict=False)
        if any(start + count > len(data) for start, count in ends):
            return True
    return False


def _orientation(image: ImageFile.ImageFile, name: str) -> int:
    """EXIF orientation, 1 to 8 (CIPA DC-008 §4.6.5); 1 where there is none or it is unreadable."""
    if name == "TIFF":
        return 1  # its plugin has turned the pixels already
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    # Damaged EXIF is no reason to refuse the picture; parsing it raises half a dozen types.
    except Exception:  # noqa: BLE001
        return 1
    return value if isinstance(value, int) and value in _UPRIGHT else 1


def _damaged(data: bytes, name: str, error: Exception) -> BadImage:
    said = str(error).strip().rstrip(".")
    if lacks_its_end(data, name) or any(words in said.lower() for words in _CUT_SHORT):
        return BadImage(f"This {_LABELS[name]} file is cut short; send the whole file again.")
    reason = f" ({said[:120]})" if said and "cannot identify" not in said else ""
    return BadImage(
        f"This {_LABELS[name]} file is damaged or of a kind that cannot be decoded{reason}; "
        "save it again as JPEG or PNG and send that."
    )
