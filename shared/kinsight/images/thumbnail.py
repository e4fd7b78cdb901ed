"""Small previews for result lists."""

from __future__ import annotations

import io

from PIL import Image

from kinsight.errors import BadRequest
from kinsight.images.decode import decode
from kinsight.images.limits import Limits

MIN_SIZE, MAX_SIZE = 16, 1024
_QUALITY = 80


def thumbnail(data: bytes, size: int, *, limits: Limits) -> bytes:
    """A WebP whose longer side is `size` pixels at most; a smaller picture keeps its size.

    Raises what `decode` raises, and BadRequest for a size outside 16…1024.
    """
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise BadRequest(f"size is {size}; send one from {MIN_SIZE} to {MAX_SIZE} pixels.")
    image = decode(data, limits=limits, target=size).image
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=_QUALITY, method=2)
    return out.getvalue()
