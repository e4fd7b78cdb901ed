"""The canvas, the network's input, ten crops, the perceptual hash, thumbnails."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kinsight.contracts.models import Preprocessing
from kinsight.errors import BadOption, BadRequest
from kinsight.images.limits import Limits
from kinsight.images.perceptual import difference_hash, hamming
from kinsight.images.preprocess import canvas, decode_target, preprocess, ten_crops
from kinsight.images.thumbnail import thumbnail

CROP = Preprocessing(mode="crop", resize=64, input_size=56)
SQUASH = Preprocessing(mode="squash", input_size=32)


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 300), st.integers(2, 300))
def test_one_step_equals_resizing_the_short_side_and_cutting_the_centre(w: int, h: int) -> None:
    image = picture(w, h)
    scale = 64 / min(w, h)
    # Float boxes let the reference place its centre as exactly as the single step does.
    size = (max(64, round(w * scale)), max(64, round(h * scale)))
    whole = np.asarray(image.resize(size, Image.Resampling.BILINEAR)).astype(int)
    top, left = (size[1] - 64) // 2, (size[0] - 64) // 2
    expected = whole[top : top + 64, left : left + 64]
    found = canvas(image, CROP).astype(int)
    assert found.shape == (64, 64, 3)
    # Sub-pixel placement of the centre may differ by half a pixel of the result.
    assert np.abs(found - expected).mean() < 8


def test_even_sizes_are_exact() -> None:
    image = picture(128, 96)
    card = Preprocessing(mode="crop", resize=96, input_size=96)
    assert (canvas(image, card) == np.asarray(image)[:, 16:112]).all()


def test_the_input_is_the_centre_of_the_canvas() -> None:
    image = picture(200, 150)
    assert (preprocess(image, CROP) == canvas(image, CROP)[4:60, 4:60]).all()
    assert preprocess(image, SQUASH).shape == canvas(image, SQUASH).shape == (32, 32, 3)


def test_squash_keeps_the_whole_picture() -> None:
    image = Image.new("RGB", (100, 10), (255, 0, 0))
    image.paste((0, 0, 255), (50, 0, 100, 10))
    found = preprocess(image, SQUASH)
    assert tuple(found[16, 2]) == (255, 0, 0)
    assert tuple(found[16, 29]) == (0, 0, 255)


def test_a_long_thin_picture_needs_no_huge_intermediate() -> None:
    assert canvas(Image.new("RGB", (2, 60_000)), CROP).shape == (64, 64, 3)


def test_a_card_that_cannot_be_met() -> None:
    with pytest.raises(BadOption, match="resize is 200"):
        canvas(picture(9, 9), Preprocessing(mode="crop", resize=200, input_size=224))


def test_decode_target_is_at_least_what_the_hash_needs() -> None:
    assert decode_target() == decode_target(SQUASH) == decode_target(CROP) == 256
    assert decode_target(Preprocessing(resize=342, input_size=299)) == 342


def test_ten_crops_are_corners_centre_and_their_mirror_images() -> None:
    board = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    crops = ten_crops(board, 6)
    assert crops.shape == (10, 6, 6, 3)
    places = [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]
    for crop, (y, x) in zip(crops, places, strict=False):
        assert (crop == board[y : y + 6, x : x + 6]).all()
    assert (crops[5:] == crops[:5, :, ::-1]).all()


def test_hash_is_stable_under_size_and_compression() -> None:
    image = picture(640, 480)
    own = difference_hash(image)
    assert -(2**63) <= own < 2**63
    out = io.BytesIO()
    image.resize((320, 240)).save(out, "JPEG", quality=60)
    assert hamming(own, difference_hash(Image.open(out))) <= 4
    others = [hamming(own, difference_hash(picture(640, 480, seed))) for seed in range(1, 9)]
    assert min(others) > 12


def test_hash_bits_are_comparisons_of_neighbours() -> None:
    falling = Image.fromarray(np.tile(np.linspace(255, 0, 90, dtype=np.uint8), (80, 1)))
    assert difference_hash(falling) == -1
    assert difference_hash(falling.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) == 0
    assert hamming(-1, 0) == 64


def test_thumbnails_fit_and_do_not_enlarge() -> None:
    out = io.BytesIO()
    picture(600, 300).save(out, "PNG")
    small = Image.open(io.BytesIO(thumbnail(out.getvalue(), 128, limits=Limits())))
    assert (small.format, small.size) == ("WEBP", (128, 64))
    same = Image.open(io.BytesIO(thumbnail(out.getvalue(), 1024, limits=Limits())))
    assert same.size == (600, 300)
    with pytest.raises(BadRequest, match="from 16 to 1024"):
        thumbnail(out.getvalue(), 15, limits=Limits())
