"""Crops, mirror images and normalisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kinsight.contracts.models import Preprocessing
from kinsight.images.preprocess import centre
from trainer.training.augment import Normaliser, centre_crops, random_crops

RNG = np.random.default_rng(0)
CANVASES = RNG.integers(0, 256, size=(5, 12, 12, 3), dtype=np.uint8)
EVERY = np.arange(5)


def test_the_centre_crop_is_what_a_search_sees() -> None:
    crops = centre_crops(CANVASES, np.array([3, 1]), 9)
    np.testing.assert_array_equal(crops[0], centre(CANVASES[3], 9))
    np.testing.assert_array_equal(crops[1], centre(CANVASES[1], 9))


def _crop(seed: int, *, padding: int = 0, mirror: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return random_crops(CANVASES, EVERY, 8, padding=padding, mirror=mirror, rng=rng)


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
        rng = np.random.default_rng(seed)
        expected = random_crops(padded, EVERY, 8, padding=0, mirror=False, rng=rng)
        np.testing.assert_array_equal(_crop(seed, padding=padding), expected)


def test_the_same_numbers_give_the_same_crops() -> None:
    np.testing.assert_array_equal(_crop(7, padding=2), _crop(7, padding=2))


def test_normalisation_follows_the_card() -> None:
    card = Preprocessing(mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0))
    x = Normaliser(card, torch.device("cpu"))(CANVASES)
    assert x.shape == (5, 3, 12, 12)
    assert x.is_contiguous(memory_format=torch.channels_last)
    expected = (CANVASES / 255 - np.array(card.mean)) / np.array(card.std)
    np.testing.assert_allclose(x.numpy(), expected.transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-6)
