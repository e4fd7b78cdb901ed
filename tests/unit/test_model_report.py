"""The report of a model: its figures, its choice of pictures, its page; on a real tiny run too."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from training_set import QUICK, prepare, train

from kinsight.contracts.models import (
    Accuracies,
    CurvePoint,
    ModelCard,
    Preprocessing,
    RetrievalSettings,
)
from kinsight.contracts.reports import DATA, PAGE, PICTURES, REPORT_FILES, ModelReport, report_key
from kinsight.errors import NotFound, ReportNotFound
from kinsight.networks import EmbeddingArrays
from kinsight.store import LocalStore
from trainer.report import drawing, figures
from trainer.report.choice import chosen
from trainer.report.nearest import nearest
from trainer.report.page import page
from trainer.report.reading import read
from trainer.training.curve_log import CurveLog
from trainer.training.events import Reporter

EVIL = '<script>alert(1)</script>"& 帽子'


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def point(iteration: int, **facts: Any) -> CurvePoint:
    return CurvePoint(
        iteration=iteration, seconds=iteration / 10, loss=1 / (iteration + 1), **facts
    )


class _Page(HTMLParser):
    """What a browser would make of it: tags, texts, and what is never closed."""

    VOID = ("meta", "img", "link", "br")

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def card(*classes: str, **changes: Any) -> ModelCard:
    values: dict[str, Any] = {
        "id": "shop-alexnet-1",
        "library": "shop",
        "network": "alexnet",
        "preprocessing": Preprocessing(),
        "classes": list(classes),
        "feature_dimensions": 4,
        "code_bits": 8,
        "code_kind": "projection",
        "recipe": "head",
        "weights": "none",
        "seed": 0,
        "data_fingerprint": "0",
        "class_counts": dict.fromkeys(classes, 10),
        "training_images": 18,
        "validation_images": 2,
        "started_at": datetime(2026, 1, 1, tzinfo=UTC),
        "seconds": 3725,
        "iterations": 1234,
        "epochs": 1,
        "device": "cpu",
        "machine": "test",
        "accuracy": Accuracies(training=0.9, validation=0.8),
        "retrieval": RetrievalSettings(),
        "parameters": 1,
        "bytes": 1,
    }
    return ModelCard(**{**values, **changes})


def report_of(*classes: str, **changes: Any) -> ModelReport:
    counts = np.array([[9, 1], [0, 10]])
    values: dict[str, Any] = {
        "model": "shop-alexnet-1",
        "classes": figures.class_results(counts, classes, {}),
        "confusion": figures.cells(counts),
        "confused": figures.confused_pairs(counts, classes),
        "curve": [],
        "top5": [],
        "retrieval": [],
        "searched": 18,
    }
    return ModelReport(**{**values, **changes})


def test_confusion_and_accuracies() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 1, 1, 1, 0, 2])
    counts = figures.confusion_counts(labels, predicted, 4)
    assert counts.tolist() == [[1, 2, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert figures.cells(counts) == [(0, 0, 1), (0, 1, 2), (1, 0, 1), (1, 1, 1), (2, 2, 1)]
    results = figures.class_results(counts, list("abcd"), {"a": 27})
    assert [(r.right, r.validation_images) for r in results] == [(1, 3), (1, 2), (1, 1), (0, 0)]
    assert results[0].accuracy == pytest.approx(1 / 3)
    assert (results[0].training_images, results[3].accuracy) == (27, 0)
    pairs = figures.confused_pairs(counts, list("abcd"))
    assert [(p.true, p.predicted, p.count) for p in pairs] == [("a", "b", 2), ("b", "a", 1)]
    assert pairs[1].part == 0.5


def test_points_are_thinned_but_both_ends_and_validations_stay() -> None:
    points = [point(i, validation_accuracy=0.5 if i % 100 == 0 else None) for i in range(1, 10_001)]
    kept = figures.thinned(points)
    assert len(kept) == 600
    assert kept == sorted(kept, key=lambda p: p.iteration)
    assert sum(p.validation_accuracy is not None for p in kept) == 100
    assert (kept[0].iteration, kept[-1].iteration) == (1, 10_000)
    assert figures.thinned(points[:7]) == points[:7]


def test_pictures_are_chosen_of_all_classes_with_some_mistakes() -> None:
    labels = np.repeat(np.arange(5), 20)
    predicted = labels.copy()
    predicted[::7] = (labels[::7] + 1) % 5
    rows = chosen(labels, predicted, count=10, wrong=3, rng=rng())
    assert len(set(rows.tolist())) == 10
    assert (labels[rows] != predicted[rows]).sum() == 3
    assert np.bincount(labels[rows], minlength=5).tolist() == [2, 2, 2, 2, 2]
    assert np.all(np.diff(labels[rows]) >= 0)
    assert rows.tolist() == chosen(labels, predicted, count=10, wrong=3, rng=rng()).tolist()


def test_where_there_are_few_pictures_all_are_chosen() -> None:
    labels = np.array([0, 1, 1])
    assert chosen(labels, labels, count=12, wrong=4, rng=rng()).tolist() == [0, 1, 2]
    # All wrong: no right ones to prefer.
    assert chosen(labels, 1 - labels, count=2, wrong=1, rng=rng()).tolist() in ([0, 1], [0, 2])
    assert len(chosen(labels[:0], labels[:0], count=12, wrong=4, rng=rng())) == 0


def embeddings(count: int, classes: int) -> EmbeddingArrays:
    draw = np.random.default_rng(count)
    odds = draw.exponential(size=(count, classes)) ** 3
    return EmbeddingArrays(
        (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32),
        draw.normal(size=(count, 6)).astype(np.float32),
        draw.integers(0, 256, (count, 2), dtype=np.uint8),
    )


def test_neighbours_are_what_a_search_finds() -> None:
    """Against the definition, spelled out row by row."""
    database, queries = embeddings(300, 5), embeddings(10, 5)
    settings = RetrievalSettings(routing_threshold=0.8, routing_limit=3, shortlist=20)
    for number in range(10):
        query = queries.rows(number)
        tables: list[int] = []
        for table in np.argsort(-query.probabilities):
            if len(tables) == 3 or query.probabilities[tables].sum() >= 0.8:
                break
            tables.append(int(table))
        rows = [i for i in range(300) if database.probabilities[i].argmax() in tables]
        bits = {i: int(np.unpackbits(database.code[i] ^ query.code).sum()) for i in rows}
        border = sorted(bits.values())[:20][-1]
        far = {
            i: float(np.linalg.norm(database.feature[i].astype(float) - query.feature))
            for i in rows
            if bits[i] <= border
        }
        expected = sorted(far, key=lambda i: far[i])[:10]
        found = nearest(query, database, settings, "euclidean", 10)
        assert [row for row, _ in found] == expected
        assert [d for _, d in found] == pytest.approx([far[i] for i in expected])


def test_nothing_is_found_in_empty_tables() -> None:
    database = embeddings(50, 3)
    keep = database.probabilities.argmax(axis=1) != 0
    query = EmbeddingArrays(
        np.array([0.99, 0.005, 0.005], np.float32), database.feature[0], database.code[0]
    )
    assert nearest(query, database.rows(keep), RetrievalSettings(), "cosine", 10) == []


def test_a_page_is_one_document_with_nothing_to_load_or_run() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (320, 160)).save(buffer, "PNG", dpi=(160, 160))
    pictures = dict.fromkeys(PICTURES, buffer.getvalue())
    document = page(card("hat", EVIL, trained_by=EVIL), report_of("hat", EVIL), pictures)
    parsed = _Page(document)
    assert parsed.open == []
    assert parsed.all("script") == []
    assert EVIL in parsed.text
    images = parsed.all("img")
    assert len(images) == 5
    for image in images:
        assert str(image["src"]).startswith("data:image/png;base64,")
        assert image["alt"]
        assert (image["width"], image["height"]) == ("200", "100")
    assert [name for name, _ in parsed.tags if name in ("link", "iframe", "a")] == []
    assert not any(name.startswith("on") or name == "style" for _, a in parsed.tags for name in a)
    assert "default-src 'none'" in str(parsed.all("meta"))
    for words in ("80.0 %", "1 h 2 min", "1,234 iterations", "2026-01-01 00:00 UTC", "10.0 %"):
        assert words in parsed.text, words


def test_what_is_missing_is_said() -> None:
    missing = {"kernels.png": "This network has no convolution."}
    document = page(card("a", "b"), report_of("a", "b", missing=missing, numbered=[1]), {})
    assert "This network has no convolution." in document
    assert "class 1 is b" in document
    assert "<img" not in document


def test_the_evaluation_is_shown_when_there_is_one() -> None:
    row = {"space": "auto", "routing": "all", "p_at_1": 0.875, "p_at_10": None, "top1_error": 0.125}
    measured = {"queries": 40, "results": [row]}
    without = page(card("a", "b"), report_of("a", "b"), {})
    shown = _Page(page(card("a", "b", evaluation=measured), report_of("a", "b"), {})).text
    assert "Evaluation" not in without
    assert "Evaluation" in shown and "0.875" in shown and "12.50 %" in shown


def test_the_curve_of_a_resumed_run_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "curve.ndjson"
    first = CurveLog(path)
    for iteration in (10, 20, 30):
        first.add(point(iteration))
    with path.open("a") as file:
        file.write('{"iteration": 4')  # killed while it wrote
    second = CurveLog(path)
    assert [p.iteration for p in second.points] == [10, 20, 30]
    second.add(point(20, validation_accuracy=0.5))
    assert [p.iteration for p in second.points] == [10, 20]
    third = CurveLog(path)
    assert third.points == second.points
    assert third.points[1].validation_accuracy == 0.5


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelCard]:
    folder = tmp_path_factory.mktemp("trained")
    options = {**QUICK, "epochs": 3}
    return folder / "store", train(prepare(folder, recipe_options=options))


async def test_a_trained_model_has_a_report(trained: tuple[Path, ModelCard]) -> None:
    folder, card = trained
    store = LocalStore(folder)
    data = await read(store, card, DATA)
    report = ModelReport.model_validate_json(data)
    assert report.missing == {}
    assert report.model == card.id
    assert [one.name for one in report.classes] == card.classes
    assert sum(one.validation_images for one in report.classes) == card.validation_images
    assert sum(one.training_images for one in report.classes) == card.training_images
    right = sum(one.right for one in report.classes)
    assert right / card.validation_images == pytest.approx(card.accuracy.validation)
    assert sum(count for _, _, count in report.confusion) == card.validation_images
    assert report.curve[-1].iteration == card.iterations
    assert report.curve[-1].training_accuracy is not None
    assert report.curve[-1].validation_accuracy is not None

    held = set(card.validation_image_ids)
    shown = {one.image_id for one in (*report.top5, *report.retrieval)}
    assert shown <= held
    for one in report.top5:
        assert len(one.classes) == 3
        assert sum(c.probability for c in one.classes) == pytest.approx(1, abs=1e-4)
    for query in report.retrieval:
        assert 0 < len(query.hits) <= 10
        assert not held & {hit.image_id for hit in query.hits}
        distances = [hit.distance for hit in query.hits]
        assert distances == sorted(distances)

    for name in PICTURES:
        with Image.open(io.BytesIO(await read(store, card, name))) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 100
    document = (await read(store, card)).decode()
    stored = (folder / report_key(card.id, PAGE)).read_text()
    assert document == stored
    assert _Page(document).open == []
    assert set(REPORT_FILES) == {p.name for p in (folder / f"models/{card.id}/report").iterdir()}


async def test_reports_that_are_not_there(trained: tuple[Path, ModelCard], tmp_path: Path) -> None:
    folder, card = trained
    with pytest.raises(NotFound, match=r"no file 'card\.json'; it has index\.html"):
        await read(LocalStore(folder), card, "card.json")
    with pytest.raises(ReportNotFound, match="Train it again"):
        await read(LocalStore(tmp_path), card)


def test_a_report_is_the_same_for_the_same_run(
    trained: tuple[Path, ModelCard], tmp_path: Path
) -> None:
    folder, card = trained
    train(prepare(tmp_path, recipe_options={**QUICK, "epochs": 3}))
    for name in ("kernels.png", "confusion.png", "top5.png", "retrieval.png"):
        key = report_key(card.id, name)
        assert (tmp_path / "store" / key).read_bytes() == (folder / key).read_bytes(), name


async def test_a_picture_that_fails_costs_itself_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError("no ink")

    monkeypatch.setattr(drawing, "confusion", fail)
    reporter = Reporter(io.StringIO())
    monkeypatch.setattr(reporter, "keep_curve", lambda _: None)
    card = await asyncio.to_thread(train, prepare(tmp_path), reporter)
    store = LocalStore(tmp_path / "store")
    report = ModelReport.model_validate_json(await read(store, card, DATA))
    assert set(report.missing) == {"confusion.png", "curves.png"}
    assert "no ink" in caplog.text
    with pytest.raises(NotFound, match="RuntimeError"):
        await read(store, card, "confusion.png")
    document = (await read(store, card)).decode()
    assert "could not be drawn" in document
    assert "told no points" in document


def test_a_report_that_fails_does_not_cost_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr("trainer.report.writing.chosen", fail)
    card = train(prepare(tmp_path))
    folder = tmp_path / f"store/models/{card.id}"
    assert json.loads((folder / "card.json").read_text())["id"] == card.id
    assert not (folder / "report").exists()
    assert "the disk is gone" in caplog.text


async def test_an_ensemble_has_a_report_without_a_curve(tmp_path: Path) -> None:
    for job in ("a", "b"):
        await asyncio.to_thread(train, prepare(tmp_path, job=job, seed=ord(job)))
    members = {"models": ["model-a", "model-b"]}
    spec = prepare(
        tmp_path,
        job="both",
        network="ensemble",
        network_options=members,
        recipe="average",
        recipe_options={},
    )
    card = await asyncio.to_thread(train, spec)
    store = LocalStore(tmp_path / "store")
    report = ModelReport.model_validate_json(await read(store, card, DATA))
    assert set(report.missing) == {"curves.png"}
    assert "its members" in report.missing["curves.png"]
    assert "Of the first of its members." in (await read(store, card)).decode()
