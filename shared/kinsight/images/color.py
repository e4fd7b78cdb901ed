"""Any Pillow mode to 8-bit sRGB: alpha over white, deep samples scaled, profiles applied."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_ALPHA_MODES = {"LA", "La", "PA", "RGBA", "RGBa"}
_MAX_SAMPLE_VALUE = 281  # TIFF 6.0, section 8
_PHOTOMETRIC = 262
_BITS_PER_SAMPLE = 258
_WHITE_IS_ZERO = 0


def to_rgb(image: Image.Image) -> Image.Image:
    """A loaded picture of any mode as RGB, 8 bits per channel, in sRGB."""
    if image.mode.startswith("I;16"):
        rgb = _from_16_bit(image)
    elif image.mode in ("I", "F"):
        rgb = Image.fromarray(stretch(np.asarray(image))).convert("RGB")
    elif image.mode == "LAB":
        return _apply(_lab_transform(), image) or image.convert("L").convert("RGB")
    elif image.mode == "CMYK":
        profile = image.info.get("icc_profile")
        transform = _transform(profile, "CMYK") if profile else None
        return _apply(transform, image) or image.convert("RGB")
    elif image.mode in _ALPHA_MODES or "transparency" in image.info:
        rgb = over_white(image if image.mode == "RGBA" else image.convert("RGBA"))
    else:
        rgb = image if image.mode == "RGB" else image.convert("RGB")
    profile = image.info.get("icc_profile")
    return (_apply(_transform(profile, "RGB"), rgb) if profile else None) or rgb


def over_white(rgba: Image.Image) -> Image.Image:
    """An RGBA picture composited over white: α·colour + (1 − α)·255."""
    canvas = Image.new("RGB", rgba.size, (255, 255, 255))
    canvas.paste(rgba, mask=rgba.getchannel("A"))
    return canvas


def stretch(samples: NDArray[np.generic]) -> NDArray[np.uint8]:
    """32-bit samples as 8-bit grey, (H, W).

    Such files do not say what white is. Ranges that are in use are taken as they stand: 0…1 of
    floating point, 0…255, 0…65535; anything else is stretched from its least to its greatest
    finite value.
    """
    values = samples.astype(np.float32)
    finite = np.isfinite(values)
    low, high = (
        (float(values[finite].min()), float(values[finite].max())) if finite.any() else (0.0, 0.0)
    )
    if low >= 0 and high <= 1 and samples.dtype.kind == "f":
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    elif low >= 0 and high <= 65_535:
        low, high = 0.0, 65_535.0
    np.nan_to_num(values, copy=False, nan=low, posinf=high, neginf=low)
    values -= low
    values *= 255 / max(high - low, 1e-30)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _from_16_bit(image: Image.Image) -> Image.Image:
    samples = np.asarray(image)
    white = _white_of(image, samples)
    table = np.clip(np.rint(np.arange(65_536) * (255 / white)), 0, 255).astype(np.uint8)
    tags = getattr(image, "tag_v2", {})
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        table = 255 - table
    grey = table[samples]
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[samples == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _white_of(image: Image.Image, samples: NDArray[np.generic]) -> int:
    """The sample value of white in a 16-bit grey picture."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return 65_535
    bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    declared = tags.get(_MAX_SAMPLE_VALUE)
    declared = declared[0] if isinstance(declared, tuple) else declared
    if isinstance(declared, int) and 0 < declared < 65_535:
        return declared
    # Cameras and scanners store 10 to 14 bits in 16-bit samples without saying so.
    if bits == 16 and int(samples.max(initial=0)) < 4096:
        bits = 12
    return int(2 ** min(bits, 16) - 1)


def _apply(transform: ImageCms.ImageCmsTransform | None, image: Image.Image) -> Image.Image | None:
    return ImageCms.applyTransform(image, transform) if transform else None


@lru_cache(maxsize=1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")


# A shop's pictures carry a handful of profiles; building a transform costs more than using it.
@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From an embedded profile to sRGB; None where nothing is to be done or it is unusable."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != mode:
            return None
        if mode == "RGB" and ImageCms.getProfileDescription(source).startswith("sRGB"):
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    # A damaged profile is no reason to refuse the picture; the binding raises half a dozen types.
    except Exception:  # noqa: BLE001
        return None
