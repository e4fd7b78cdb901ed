"""Every mode, orientation and kind of damage a file may come with."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from kinsight.errors import BadImage, BadRequest, EmptyBody, ImageTooLarge, KinsightError
from kinsight.images.color import stretch
from kinsight.images.cropping import Crop
from kinsight.images.decode import DecodedImage, decode
from kinsight.images.limits import Limits

# Pillow remarks on the metadata of many of these files.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
LIMITS = Limits()
RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pixels(data: bytes, **options: Any) -> np.ndarray:
    return np.asarray(decode(data, limits=LIMITS, **options).image).astype(int)


def picture(width: int = 48, height: int = 32) -> Image.Image:
    """Smooth, without symmetry, so that a wrong turn or a wrong channel shows."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 255 / (width - 1), y * 255 / (height - 1), (x + y) * 255 / (width + height)]
    return Image.fromarray(np.stack(planes, axis=2).astype(np.uint8))


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}, 12),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}, 12),
        ("GIF", {}, 60),
    ],
)
def test_every_accepted_format(kind: str, options: dict[str, Any], tolerance: int) -> None:
    decoded = decode(encode(picture(), kind, **options), limits=LIMITS)
    assert (decoded.width, decoded.height, decoded.format) == (48, 32, kind.lower())
    assert decoded.image.mode == "RGB"
    difference = np.abs(np.asarray(decoded.image).astype(int) - np.asarray(picture()))
    assert difference.max() <= tolerance


def test_first_frame_of_a_gif_and_of_a_multi_picture_jpeg() -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, GREEN)]
    gif = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (pixels(gif) == RED).all()
    mpo = encode(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert decode(mpo, limits=LIMITS).format == "jpeg"
    assert np.abs(pixels(mpo) - RED).max() <= 3


def test_alpha_is_composited_over_white() -> None:
    half = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    assert np.abs(pixels(encode(half, "PNG")) - (255, 127, 127)).max() <= 1
    assert np.abs(pixels(encode(half, "WEBP", lossless=True)) - (255, 127, 127)).max() <= 1
    grey = Image.new("LA", (4, 4), (0, 0))
    assert (pixels(encode(grey, "PNG")) == 255).all()


def test_transparent_palette_entries_are_white() -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.putpixel((0, 0), 1)
    for data in (encode(image, "PNG", transparency=0), encode(image, "GIF", transparency=0)):
        found = pixels(data)
        assert tuple(found[0, 0]) == RED
        assert tuple(found[3, 3]) == WHITE


def test_transparent_colour_of_a_grey_picture_is_white() -> None:
    image = Image.new("L", (4, 4), 7)
    image.putpixel((0, 0), 9)
    found = pixels(encode(image, "PNG", transparency=7))
    assert tuple(found[0, 0]) == (9, 9, 9)
    assert tuple(found[3, 3]) == WHITE


def test_one_bit_grey_and_palette() -> None:
    checks = Image.fromarray(np.indices((8, 8)).sum(0) % 2 == 0)
    assert (pixels(encode(checks, "PNG"))[0, :2, 0] == [255, 0]).all()
    assert (pixels(encode(checks, "TIFF", compression="group4"))[0, :2, 0] == [255, 0]).all()
    grey = picture().convert("L")
    assert (pixels(encode(grey, "BMP"))[:, :, 1] == np.asarray(grey)).all()
    paletted = Image.new("RGB", (8, 8), GREEN).convert("P", palette=Image.Palette.ADAPTIVE)
    assert (pixels(encode(paletted, "PNG")) == GREEN).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_scale(kind: str) -> None:
    ramp = np.linspace(0, 65_535, 256).reshape(16, 16).astype(np.uint16)
    found = pixels(encode(Image.fromarray(ramp), kind))
    assert np.abs(found[:, :, 0] - ramp / 257).max() <= 0.5
    assert (found[:, :, 0] == found[:, :, 2]).all()


def test_12_bits_in_16_bit_samples_of_a_tiff_are_not_taken_for_darkness() -> None:
    ramp = np.linspace(0, 4095, 256).reshape(16, 16).astype(np.uint16)
    assert pixels(encode(Image.fromarray(ramp), "TIFF")).max() == 255
    assert pixels(encode(Image.fromarray(ramp), "PNG")).max() == 16


def test_16_bit_rgb() -> None:
    row = struct.pack(">B6H", 0, 0, 32_768, 65_535, 65_535, 32_768, 0)
    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(row * 2)), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    assert np.abs(pixels(png)[0] - [(0, 128, 255), (255, 128, 0)]).max() <= 1


def test_floating_point_and_32_bit_samples() -> None:
    unit = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    found = pixels(encode(Image.fromarray(unit), "TIFF"))
    assert (found.min(), found.max()) == (0, 255)
    wild = unit * 6000 - 3000
    wild[0, 0], wild[0, 1] = np.nan, np.inf
    found = pixels(encode(Image.fromarray(wild), "TIFF"))
    assert (found[0, 0, 0], found[0, 1, 0], found[15, 15, 0]) == (0, 255, 255)
    whole = pixels(encode(Image.fromarray(np.full((4, 4), 200, np.int32)), "TIFF"))
    assert (whole == 200).all()
    assert (stretch(np.full((2, 2), np.nan, np.float32)) == 0).all()


def test_cmyk_without_and_with_a_profile() -> None:
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    plain = pixels(encode(cyan, "JPEG", quality=95))
    assert np.abs(plain - (0, 255, 255)).max() <= 4
    # A profile that does not fit the mode is passed over, not obeyed and no error.
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert (pixels(encode(cyan, "JPEG", quality=95, icc_profile=profile)) == plain).all()
    assert (pixels(encode(cyan, "TIFF", icc_profile=b"broken")) == (0, 255, 255)).all()


def test_lab_and_ycbcr() -> None:
    red = Image.new("RGB", (4, 4), RED)
    convert = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(red, convert)
    assert lab is not None
    assert np.abs(pixels(encode(lab, "TIFF")) - RED).max() <= 6
    assert np.abs(pixels(encode(red.convert("YCbCr"), "TIFF")) - RED).max() <= 6


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(kind: str, orientation: int) -> None:
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = picture()
    stored = upright.transpose(turns[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(encode(stored, kind, exif=exif, quality=95), limits=LIMITS)
    assert (decoded.width, decoded.height) == upright.size == decoded.image.size
    difference = np.asarray(decoded.image).astype(int) - np.asarray(upright)
    assert np.abs(difference).mean() < 4


def test_orientation_that_makes_no_sense_is_passed_over() -> None:
    exif = Image.Exif()
    exif[0x0112] = 99
    assert decode(encode(picture(), "JPEG", exif=exif), limits=LIMITS).width == 48
    broken = encode(picture(), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode(broken, limits=LIMITS).width == 48


def test_reduced_decoding_stays_above_the_target_and_reports_the_original() -> None:
    data = encode(picture(1600, 1200), "JPEG")
    decoded = decode(data, limits=LIMITS, target=256)
    assert (decoded.width, decoded.height) == (1600, 1200)
    assert decoded.image.size == (400, 300)
    assert decode(data, limits=LIMITS, target=1200).image.size == (1600, 1200)
    assert decode(data, limits=LIMITS).image.size == (1600, 1200)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 900), st.integers(2, 900), st.integers(1, 300))
def test_reduced_decoding_never_goes_below_the_target(w: int, h: int, target: int) -> None:
    data = encode(Image.new("RGB", (w, h), GREEN), "JPEG")
    decoded = decode(data, limits=LIMITS, target=target)
    assert min(decoded.image.size) >= min(target, w, h)
    assert (decoded.width, decoded.height) == (w, h)


def cut(decoded: DecodedImage) -> np.ndarray:
    return np.asarray(decoded.image).astype(int)


def test_a_crop_is_in_pixels_of_the_upright_original() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = picture(640, 480)
    data = encode(upright.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)
    crop = Crop(100, 40, 400, 300)
    whole = decode(data, limits=LIMITS, crop=crop)
    assert whole.image.size == (400, 300)
    expected = np.asarray(upright.crop((100, 40, 500, 340))).astype(int)
    assert np.abs(cut(whole) - expected).mean() < 3
    reduced = decode(data, limits=LIMITS, crop=crop, target=150)
    assert reduced.image.size == (200, 150)
    resized = np.asarray(upright.crop((100, 40, 500, 340)).resize((200, 150))).astype(int)
    assert np.abs(cut(reduced) - resized).mean() < 3


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "1,2,3,4,5", "", "1.5,0,2,2"])
def test_a_crop_has_four_whole_numbers(text: str) -> None:
    with pytest.raises(BadRequest, match="four whole numbers"):
        Crop.parse(text)


@pytest.mark.parametrize("text", ["0,0,49,10", "-1,0,10,10", "47,31,2,2", "0,0,0,10", "0,0,10,1"])
def test_a_crop_lies_inside_the_picture(text: str) -> None:
    with pytest.raises(BadRequest, match=r"reaches beyond|at least"):
        decode(encode(picture(), "PNG"), limits=LIMITS, crop=Crop.parse(text))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"<!DOCTYPE html><html></html>", "an HTML page"),
        (b'{"image": "none"}', "JSON text"),
        ("Grüße".encode() * 1000, "text"),
        (b"PK\x03\x04" + bytes(30), "a zip archive"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC picture"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp41", "a video or another MPEG-4 file"),
        (b"8BPS\0\1", "a Photoshop document"),
        (bytes(range(1, 200)), "no picture of a known kind"),
        (b"\0", "no picture of a known kind"),
    ],
)
def test_other_files_are_named_and_the_accepted_formats_listed(data: bytes, found: str) -> None:
    with pytest.raises(BadImage) as refused:
        decode(data, limits=LIMITS)
    assert refused.value.detail.startswith(f"This is {found}; send JPEG")


def test_an_empty_body() -> None:
    with pytest.raises(EmptyBody):
        decode(b"", limits=LIMITS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF", "GIF"])
@pytest.mark.parametrize("share", [0.55, 0.97])
def test_a_truncated_file_is_said_to_be_cut_short(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), kind)
    with pytest.raises(BadImage, match="cut short"):
        decode(data[: int(len(data) * share)], limits=LIMITS)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1)])
def test_a_picture_too_thin_to_show_anything(size: tuple[int, int]) -> None:
    with pytest.raises(BadImage, match=rf"{size[0]}×{size[1]} pixels; send one with at least 2"):
        decode(encode(Image.new("RGB", size), "PNG"), limits=LIMITS)


def test_sides_of_zero() -> None:
    png = bytearray(encode(picture(), "PNG"))
    png[16:24] = bytes(8)
    gif = bytearray(encode(picture().convert("L"), "GIF"))
    at = gif.index(b",", 781)  # the image descriptor behind the colour table
    gif[6:10] = bytes(4)
    gif[at + 5 : at + 9] = bytes(4)
    for data in (png, gif):
        with pytest.raises(BadImage, match="0×0 pixels"):
            decode(bytes(data), limits=LIMITS)


def test_limits_are_read_from_the_header_before_decoding() -> None:
    bomb = bytearray(encode(Image.new("1", (64, 64)), "PNG"))
    bomb[16:24] = struct.pack(">II", 60_000, 60_000)
    with pytest.raises(ImageTooLarge, match="60,000×60,000"):
        decode(bytes(bomb), limits=LIMITS)
    webp = bytearray(encode(Image.new("RGBA", (64, 64)), "WEBP", lossless=True))
    at = webp.index(b"VP8L") + 9
    webp[at : at + 4] = (16_382 | 16_382 << 14 | 1 << 28).to_bytes(4, "little")
    with pytest.raises(ImageTooLarge, match="16,383×16,383"):
        decode(bytes(webp), limits=LIMITS)
    data = encode(picture(), "PNG")
    with pytest.raises(ImageTooLarge, match="decodes up to 1,000"):
        decode(data, limits=Limits(max_pixels=1000))
    with pytest.raises(ImageTooLarge, match="on a side"):
        decode(data, limits=Limits(max_side=47))
    with pytest.raises(ImageTooLarge, match="bytes"):
        decode(data, limits=Limits(max_bytes=len(data) - 1))
    assert decode(data, limits=Limits(max_bytes=len(data), max_pixels=48 * 32, max_side=48))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_bytes_decode_or_are_refused(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]))
    good = bytearray(encode(picture(24, 16), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode(bytes(good), limits=Limits(max_pixels=4_000_000))
    except (BadImage, ImageTooLarge) as refused:
        assert refused.detail.endswith(".")
    else:
        assert decoded.image.mode == "RGB"


def test_odd_files_decode_or_are_refused_with_a_sentence(test_data: Path) -> None:
    decoded, refused = {}, {}
    with zipfile.ZipFile(test_data / "odd.zip") as archive:
        for name in archive.namelist():
            if name.endswith("/") or "/fixtures/expected/" in name:
                continue
            try:
                image = decode(archive.read(name), limits=LIMITS, target=256)
            except KinsightError as error:
                assert isinstance(error, BadImage | ImageTooLarge | EmptyBody), name
                assert error.detail.endswith(".") and len(error.detail) > 40, name
                refused[name.rsplit("/")[-1]] = error.detail
            else:
                assert image.image.mode == "RGB", name
                assert min(image.image.size) >= min(2, image.width, image.height), name
                decoded[name.rsplit("/")[-1]] = image
    assert len(decoded) > 650
    assert len(refused) > 150
    assert "3,000,000×2,000,000" in refused["reallybig.bmp"]
    assert "cut short" in refused["truncated_jpeg.jpg"]
    assert "an SVG drawing" in refused["circle.svg"]
    assert "0×32 pixels" in refused["zero_width.gif"]
    for number in range(1, 9):
        assert decoded[f"Portrait_{number}.jpg"].image.size == (450, 600), number
        assert decoded[f"Landscape_{number}.jpg"].image.size == (600, 450), number
