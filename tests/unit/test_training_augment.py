"""Crops, mirror images and normalisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kinsight.contracts.models import Preprocessing
from kinsight.images.preprocess import centre
from trainer.training.augment import (
    Normaliser,
    Windows,
    centre_crops,
    cut,
    cut_on_device,
    windows,
)
from trainer.training.draws import Draws

RNG = np.random.default_rng(0)
CANVASES = RNG.integers(0, 256, size=(5, 12, 12, 3), dtype=np.uint8)
EVERY = np.arange(5)


def test_the_centre_crop_is_what_a_search_sees() -> None:
    crops = centre_crops(CANVASES, np.array([3, 1]), 9)
    np.testing.assert_array_equal(crops[0], centre(CANVASES[3], 9))
    np.testing.assert_array_equal(crops[1], centre(CANVASES[1], 9))


def _where(seed: int, side: int, *, canvas: int, padding: int, mirror: bool) -> Windows:
    drawn = Draws(seed, len(EVERY)).of(0, EVERY)
    mirrored = drawn.mirrored & mirror
    return windows(drawn.places, mirrored, canvas=canvas, side=side, padding=padding)


def _crop(seed: int, *, padding: int = 0, mirror: bool = False) -> np.ndarray:
    where = _where(seed, 8, canvas=12, padding=padding, mirror=mirror)
    return cut(CANVASES, EVERY, where)


def test_random_crops_are_parts_of_their_canvas_and_reach_all_of_it() -> None:
    seen = set()
    for seed in range(40):
        for crop, canvas in zip(_crop(seed), CANVASES, strict=True):
            places = [
                (y, x)
                for y in range(5)
                for x in range(5)
                if np.array_equal(canvas[y : y + 8, x : x + 8], crop)
            ]
            assert len(places) == 1
            seen.add(places[0])
    assert len(seen) == 25


def test_half_of_the_crops_are_mirrored() -> None:
    mirrored = 0
    for seed in range(40):
        plain, maybe = _crop(seed), _crop(seed, mirror=True)
        for one, other in zip(plain, maybe, strict=True):
            if np.array_equal(one[:, ::-1], other):
                mirrored += 1
            else:
                np.testing.assert_array_equal(one, other)
    assert 70 < mirrored < 130


@pytest.mark.parametrize("padding", [1, 3])
def test_padding_reflects_at_the_edges(padding: int) -> None:
    padded = np.pad(
        CANVASES, ((0, 0), (padding, padding), (padding, padding), (0, 0)), mode="reflect"
    )
    for seed in range(10):
        where = _where(seed, 8, canvas=12 + 2 * padding, padding=0, mirror=False)
        np.testing.assert_array_equal(_crop(seed, padding=padding), cut(padded, EVERY, where))


@pytest.mark.parametrize("padding", [0, 1, 3, 30])
@pytest.mark.parametrize("mirror", [False, True])
def test_canvases_on_a_device_are_cut_the_same(padding: int, mirror: bool) -> None:
    some = np.array([4, 0, 2, 2])
    for seed in range(10):
        drawn = Draws(seed, 4).of(1, np.arange(4))
        mirrored = drawn.mirrored & mirror
        where = windows(drawn.places, mirrored, canvas=12, side=8, padding=padding)
        there = cut_on_device(torch.from_numpy(CANVASES), some, where)
        np.testing.assert_array_equal(there.numpy(), cut(CANVASES, some, where))


def test_a_draw_depends_on_seed_epoch_and_image_only() -> None:
    draws = Draws(3, 10)
    whole = draws.of(2, np.arange(10))
    draws.of(5, np.arange(10))
    part = Draws(3, 10).of(2, np.array([7, 1]))
    for all_of, some_of in zip(whole, part, strict=True):
        np.testing.assert_array_equal(some_of, all_of[[7, 1]])
    for other in (Draws(4, 10).of(2, np.arange(10)), Draws(3, 10).of(3, np.arange(10))):
        assert not np.array_equal(other.places, whole.places)
        assert not np.array_equal(other.colours, whole.colours)
        assert not np.array_equal(other.holes, whole.holes)


def test_a_shift_of_colour_is_added_to_every_pixel() -> None:
    card = Preprocessing(mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0))
    normalise = Normaliser(card, torch.device("cpu"))
    grey = np.full((2, 4, 4, 3), 100, np.uint8)
    shifted = grey + np.array([51, 0, 102], np.uint8)
    added = normalise(grey) + normalise.shift(np.tile(np.float32([0.2, 0, 0.4]), (2, 1)))
    torch.testing.assert_close(added, normalise(shifted))


def test_normalisation_follows_the_card() -> None:
    card = Preprocessing(mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0))
    x = Normaliser(card, torch.device("cpu"))(CANVASES)
    assert x.shape == (5, 3, 12, 12)
    assert x.is_contiguous(memory_format=torch.channels_last)
    expected = (CANVASES / 255 - np.array(card.mean)) / np.array(card.std)
    np.testing.assert_allclose(x.numpy(), expected.transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-6)
