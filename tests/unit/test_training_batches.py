"""Augmented batches: the same wherever the canvases lie, the same for the same image and epoch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from kinsight.contracts.models import Preprocessing
from trainer.training.augment import Normaliser, centre_crops
from trainer.training.batches import Augmentation, PictureBatches, usual_padding
from trainer.training.colours import colours_of
from trainer.training.embedding import Pictures
from trainer.training.inputs import Moment

CANVASES = np.random.default_rng(0).integers(0, 256, (9, 15, 15, 3), dtype=np.uint8)
TRAINING = np.array([1, 2, 4, 5, 7, 8])
CARD = Preprocessing(resize=15, input_size=12, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
EVERYTHING = Augmentation(padding=1, colours=colours_of(CANVASES, TRAINING), cutout=5)
PLAIN = Augmentation(crops=False, mirror=False)


def _batches(augmentation: Augmentation, *, resident: bool = False) -> PictureBatches:
    pictures = Pictures(CANVASES, 12, Normaliser(CARD, torch.device("cpu")))
    if resident:
        # As on a device that holds all canvases.
        pictures.__dict__["resident"] = torch.from_numpy(CANVASES)
    return PictureBatches(pictures, TRAINING, augmentation, seed=5)


def _batch(
    batches: PictureBatches, positions: list[int], epoch: int = 0, done: float = 0.0
) -> torch.Tensor:
    moment = Moment(iteration=0, epoch=epoch, done=done)
    return batches.to_device(batches.prepare(np.array(positions), moment))


@pytest.mark.parametrize(
    "augmentation",
    [PLAIN, Augmentation(), EVERYTHING, dataclasses.replace(EVERYTHING, sizes=lambda done: 8)],
)
def test_canvases_in_memory_and_on_the_device_give_the_same(augmentation: Augmentation) -> None:
    here, there = _batches(augmentation), _batches(augmentation, resident=True)
    for epoch in range(3):
        x = _batch(here, [0, 5, 3], epoch)
        torch.testing.assert_close(_batch(there, [0, 5, 3], epoch), x, rtol=0, atol=0)


def test_an_image_looks_the_same_in_any_batch_of_its_epoch() -> None:
    together = _batch(_batches(EVERYTHING), [4, 1, 2])
    alone = _batch(_batches(EVERYTHING), [1])
    torch.testing.assert_close(alone[0], together[1], rtol=0, atol=0)
    later = _batch(_batches(EVERYTHING), [1], epoch=1)
    assert not torch.equal(later, alone)


def test_without_augmentation_it_is_what_a_search_sees() -> None:
    expected = Normaliser(CARD, torch.device("cpu"))(centre_crops(CANVASES, TRAINING, 12))
    torch.testing.assert_close(_batch(_batches(PLAIN), list(range(6))), expected)


@pytest.mark.parametrize("switched_off", ["crops", "mirror", "colours", "cutout"])
def test_each_augmentation_can_be_left_out_alone(switched_off: str) -> None:
    off = {"colours": None, "cutout": 0}.get(switched_off, False)
    reduced = dataclasses.replace(EVERYTHING, **{switched_off: off})
    moment = Moment(0, 0, 0.0)
    whole = _batches(EVERYTHING).prepare(np.arange(6), moment)
    without = _batches(reduced).prepare(np.arange(6), moment)
    if switched_off == "mirror":
        assert whole.where.mirrored.any()
        assert not without.where.mirrored.any()
    else:
        np.testing.assert_array_equal(without.where.mirrored, whole.where.mirrored)
    if switched_off == "crops":
        assert (without.where.corners == 1).all()
    else:
        np.testing.assert_array_equal(without.where.corners, whole.where.corners)
    if switched_off == "colours":
        assert without.noise is None
    else:
        np.testing.assert_array_equal(without.noise, whole.noise)  # type: ignore[arg-type]
    if switched_off == "cutout":
        assert without.holes is None
    else:
        np.testing.assert_array_equal(without.holes, whole.holes)  # type: ignore[arg-type]


def test_a_square_of_each_picture_is_blanked_wherever_its_centre_lies() -> None:
    batches = _batches(dataclasses.replace(PLAIN, cutout=5))
    blanked = torch.stack([(_batch(batches, [0], e)[0] == 0).all(dim=0) for e in range(300)])
    rows, columns = blanked.any(dim=2).sum(dim=1), blanked.any(dim=1).sum(dim=1)
    assert (blanked.sum(dim=(1, 2)) == rows * columns).all()
    # Whole in the middle, cut off at the edge, where centres are as likely.
    assert (rows.max(), columns.max()) == (5, 5)
    assert (rows.min(), columns.min()) == (3, 3)
    share = blanked.float().mean(dim=0)
    assert share.min() > 0.02
    assert share[6, 6] == pytest.approx(25 / 144, abs=0.07)


def test_the_side_follows_the_run() -> None:
    growing = dataclasses.replace(PLAIN, sizes=lambda done: 6 if done < 0.5 else 12)
    batches = _batches(growing)
    assert _batch(batches, [0, 1], done=0.2).shape == (2, 3, 6, 6)
    assert _batch(batches, [0, 1], done=0.5).shape == (2, 3, 12, 12)


def test_padding_is_for_canvases_without_room() -> None:
    assert usual_padding(side=32, canvas=32) == 4
    assert usual_padding(side=224, canvas=256) == 0
