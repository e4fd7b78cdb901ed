"""Mean, principal components and noise of a training set's colours."""

from __future__ import annotations

import numpy as np

from trainer.training.colours import colours_of


def _canvases(count: int = 60, side: int = 8) -> np.ndarray:
    """Pixels that vary most along (2, 1, 1), less along a direction across it."""
    rng = np.random.default_rng(0)
    along = rng.normal(0, 20, size=(count, side, side, 1)) * np.array([2, 1, 1])
    across = rng.normal(0, 10, size=(count, side, side, 1)) * np.array([0, 1, -1])
    return np.clip(along + across + np.array([120, 100, 140]), 0, 255).astype(np.uint8)


def test_mean_and_components_are_those_of_the_pixels() -> None:
    pixels = _canvases()
    indices = np.arange(10, 50)
    found = colours_of(pixels, indices)
    rows = pixels[indices].reshape(-1, 3) / 255
    np.testing.assert_allclose(found.mean, rows.mean(axis=0))
    covariance = np.cov(rows.T, bias=True)
    rebuilt = found.components @ np.diag(found.values) @ found.components.T
    np.testing.assert_allclose(rebuilt, covariance, atol=1e-12)
    assert found.values[0] > found.values[1] > found.values[2] >= 0
    first = found.components[:, 0] / found.components[0, 0]
    np.testing.assert_allclose(first, [1, 0.5, 0.5], atol=0.05)


def test_large_canvases_are_sampled_evenly() -> None:
    small = _canvases(side=16)
    large = small.repeat(10, axis=1).repeat(10, axis=2)
    found, expected = (colours_of(pixels, np.arange(60)) for pixels in (large, small))
    np.testing.assert_allclose(found.mean, expected.mean, atol=0.01)
    np.testing.assert_allclose(found.values, expected.values, rtol=0.1, atol=1e-4)


def test_noise_is_the_sum_of_components_by_alpha_and_value() -> None:
    colours = colours_of(_canvases(), np.arange(60))
    normal = np.random.default_rng(1).standard_normal((5, 3)).astype(np.float32)
    found = colours.noise(normal)
    for row, alphas in zip(found, 0.1 * normal, strict=True):
        expected = sum(colours.components[:, i] * alphas[i] * colours.values[i] for i in range(3))
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-9)


def test_grey_pictures_have_no_colour_noise() -> None:
    grey = np.random.default_rng(2).integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
    colours = colours_of(grey.repeat(3, axis=3), np.arange(20))
    noise = colours.noise(np.ones((1, 3), np.float32))
    np.testing.assert_allclose(noise[0], noise[0, 0], rtol=1e-4)
