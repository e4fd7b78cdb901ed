"""Pictures: they decode, are as large as their content asks, and the same every time."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image

from trainer.plots import lettering as lettering_module
from trainer.plots.bars import bars
from trainer.plots.confusion import confusion
from trainer.plots.curves import Panel, Series, curves
from trainer.plots.first_layer import first_kernels
from trainer.plots.kernels import kernels
from trainer.plots.lettering import lettering
from trainer.plots.retrieval import Found, Retrieved, retrieval
from trainer.plots.style import RIGHT, WRONG
from trainer.plots.top5 import Classified, top5

ODD_NAMES = ["帽子", "قبعة", "$x^2$ & <b>", "two\nlines\tand\x00more", "", "w" * 300]


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """A glyph that a font lacks is a warning of matplotlib's for every time it is drawn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def decoded(png: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def noise(side: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def counts(classes: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.random.default_rng(0).integers(0, 3, (classes, classes)) + 20 * np.eye(
        classes, dtype=np.int64
    )


def classified(classes: int, *labels: int) -> list[Classified]:
    """The network is always for class 0."""
    probabilities = np.full(classes, 0.4 / max(1, classes - 1), np.float32)
    probabilities[0] = 0.6
    return [Classified(noise(32, seed), label, probabilities) for seed, label in enumerate(labels)]


def retrieved(classes: int) -> list[Retrieved]:
    found = [Found(noise(40, i), i % classes, i / 3) for i in range(10)]
    return [Retrieved(noise(300), 0, found), Retrieved(noise(8), 1, found[:3])]


PICTURES: dict[str, Callable[[], bytes]] = {
    "curves": lambda: curves([Panel("Loss", "iteration", [Series("a", [1, 2, 3], [3, 2, 1])])]),
    "kernels": lambda: kernels(
        np.linspace(-1, 1, 4 * 3 * 25, dtype=np.float32).reshape(4, 3, 5, 5)
    ),
    "confusion": lambda: confusion(counts(4), list("abcd")),
    "top5": lambda: top5(classified(6, 0, 3), list("abcdef")),
    "retrieval": lambda: retrieval(retrieved(3), list("abc")),
    "bars": lambda: bars(["x", "y"], ["paper", "ours"], [[1, 2], [3, None]], title="error"),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_the_same_data_give_the_same_bytes(kind: str) -> None:
    first, second = PICTURES[kind](), PICTURES[kind]()
    assert first == second
    assert b"Software" not in first
    assert len(np.unique(decoded(first).reshape(-1, 3), axis=0)) > 3


@pytest.mark.parametrize(
    "points", [[], [(5, 0.5)], [(1, 0.5), (2, float("nan")), (3, 0.7)], [(1, 0.2), (2, 0.2)]]
)
def test_curves_of_few_points(points: list[tuple[float, float]]) -> None:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    one = Panel("Accuracy", "epoch", [Series("validation", xs, ys)], percent=True)
    other = Panel("Loss", "seconds", [Series("training", xs, ys)], from_zero=True, level=(0.3, "L"))
    assert decoded(curves([one, other])).shape[0] == 480


def test_labels_at_the_ends_of_lines_do_not_overlap() -> None:
    """Six lines that end in one point: their words lie below each other, in their colours."""
    together = [Series(f"run {i}", [0, 1], [i, 1.0]) for i in range(6)]
    picture = decoded(curves([Panel("Loss", "iteration", together)]))
    right = picture[:, -70:]
    rows = []
    for colour in ("#0072B2", "#D55E00", "#009E73", "#AA4499", "#E69F00", "#56B4E9"):
        wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
        rows.append(np.flatnonzero((right == wanted).all(axis=2).any(axis=1)))
    middles = sorted(float(row.mean()) for row in rows)
    assert np.diff(middles).min() > 15


@pytest.mark.parametrize(
    ("classes", "least", "most"),
    [(1, 200, 700), (2, 300, 700), (30, 1200, 2600), (150, 2400, 4000)],
)
def test_a_confusion_matrix_grows_with_its_classes(classes: int, least: int, most: int) -> None:
    names = [f"some kind of bird {i}" for i in range(classes)]
    height, width, _ = decoded(confusion(counts(classes), names)).shape
    assert least <= height <= most
    assert least <= width <= most


def test_a_confusion_matrix_of_very_many_classes_stays_a_picture() -> None:
    height, _, _ = decoded(confusion(counts(400), [str(i) for i in range(400)])).shape
    assert height < 4000


def test_a_class_without_images_is_an_empty_row() -> None:
    empty = counts(3)
    empty[1] = 0
    assert decoded(confusion(empty, ["a", "b", "c"])).size


def test_any_class_name_can_be_drawn() -> None:
    names = ODD_NAMES
    assert decoded(confusion(counts(len(names)), names)).size
    assert decoded(top5(classified(len(names), *range(6)), names)).size
    assert decoded(retrieval(retrieved(len(names)), names)).size
    assert decoded(bars(names, names[:2], [[1.0, 2.0]] * len(names), title=names[0])).size
    assert decoded(curves([Panel(names[0], names[1], [Series(n, [1], [1]) for n in names])])).size


def test_names_that_no_font_can_write_become_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering_module, "_system_fonts", lambda: ())
    lettering_module._for_characters.cache_clear()
    try:
        letters = lettering(["hat", "帽子"])
        assert letters.families == ("DejaVu Sans",)
        assert letters.missing == frozenset("帽子")
        assert letters.class_names(["hat", "帽子", "", "a\nb"]) == [
            "hat",
            "class 1",
            "class 2",
            "a b",
        ]
        assert letters.text("hat 帽") == "hat □"
        assert decoded(confusion(counts(2), ["hat", "帽子"])).size
    finally:
        lettering_module._for_characters.cache_clear()


def test_long_names_are_shortened_to_the_room_there_is() -> None:
    letters = lettering(["m"])
    for width in (30, 100, 400):
        short = letters.fitted("m" * 200, width, 9)
        assert short.endswith("…")
        assert letters.width(short, 9) <= width < letters.width(short[:-1] + "m…", 9)
    assert letters.fitted("mm", 100, 9) == "mm"


def test_the_bar_of_the_true_class_is_coloured() -> None:
    wrong, right = (decoded(top5(classified(6, label), list("abcdef"))) for label in (3, 0))
    green = np.array([0x6C, 0xC7, 0xAB])
    # The true class is certain to 0.6 in one, to 0.08 in the other.
    assert (right == green).all(axis=2).sum() > 3 * (wrong == green).all(axis=2).sum() > 0


def test_right_and_wrong_hits_are_framed_in_their_colours() -> None:
    def framed(label: int, colour: str) -> int:
        rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
        white = np.full((50, 50, 3), 255, np.uint8)
        sheet = retrieval([Retrieved(white, 0, [Found(white, label, 1.0)])], ["a", "b"])
        return int((decoded(sheet) == rgb).all(axis=2).sum())

    assert framed(0, RIGHT) > 500 > framed(0, WRONG)
    assert framed(1, WRONG) > 500 > framed(1, RIGHT)


@pytest.mark.parametrize("shape", [(1, 3, 3, 3), (96, 3, 11, 11), (7, 1, 5, 5), (768, 3, 16, 16)])
def test_kernels_of_any_number(shape: tuple[int, ...]) -> None:
    weights = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert decoded(kernels(weights)).size


def test_each_kernel_has_its_own_range() -> None:
    weak = np.zeros((2, 3, 2, 2), np.float32)
    weak[0, :, 0, 0] = 1e-6
    picture = decoded(kernels(weak))
    assert (picture[60:] == 0).all(axis=2).any(), "the weak kernel's darkest is black"
    assert (picture == 128).all(axis=2).any(), "a kernel without a range is grey"


def test_the_first_convolution_is_found_in_any_network() -> None:
    from torch import nn

    found = first_kernels(nn.Sequential(nn.ReLU(), nn.Conv2d(3, 8, 5), nn.Conv2d(8, 4, 3)))
    assert found is not None and found.shape == (8, 3, 5, 5)
    assert first_kernels(nn.Linear(2, 2)) is None
