"""The page of a model: one HTML file with everything in it, from the card and the report."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping
from html import escape

from PIL import Image

from kinsight.contracts.models import ModelCard
from kinsight.contracts.reports import ModelReport
from trainer.report import tables
from trainer.report.layout import STYLE
from trainer.report.words import duration, part

# The browser holds to this wherever the file is opened; there is nothing to run in it.
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; img-src data:; style-src 'sha256-{_STYLE_HASH}'"

# The pictures' own unit is a hundredth of an inch; a little larger than 96 is easier to read.
_CSS_PIXELS_PER_INCH = 100


def page(card: ModelCard, report: ModelReport, pictures: Mapping[str, bytes]) -> str:
    """The document. pictures: PNG by file name; what is missing is said in its place."""
    figure = _Figures(report, pictures)
    evaluation = tables.evaluation(card.evaluation) if card.evaluation else ""
    validation = part(card.accuracy.validation)
    sections = [
        _section("Training", figure("curves.png", _curve_words(card, report))),
        _section(
            "Confusion on the validation images",
            _note(
                f"{card.validation_images:,} images that training never saw. A row is the true "
                "class, a column what the network took it for; the darker, the larger the part of "
                "the row."
            )
            + figure("confusion.png", _confusion_words(report))
            + _numbered_note(report)
            + tables.confused(report)
            + tables.classes(report),
        ),
        _section(
            "Five most probable classes",
            _note(
                "Validation images with what the network thinks they show; the true class is "
                "green. Chosen by chance from as many classes as there is room for, some of them "
                "mistakes."
            )
            + figure("top5.png", _top5_words(report)),
        ),
        _section(
            "Ten nearest",
            _note(
                f"Validation images as queries, and what a search for them finds among "
                f"{report.searched:,} training images (space auto, adaptive routing). Green: of "
                "the query's class; the figure is the distance between the features."
            )
            + figure("retrieval.png", _retrieval_words(report)),
        ),
        evaluation and _section("Evaluation", evaluation),
        _section(
            "First-layer kernels",
            (_note("Of the first of its members.") if card.network == "ensemble" else "")
            + figure("kernels.png", f"The kernels of the first convolution of {card.network}."),
        ),
        _section("Card", tables.facts(card)),
    ]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(card.id)} · Kinsight</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<p class="kind">Model report</p>
<h1>{escape(card.id)}</h1>
<ul class="tiles">
{_tile(validation, "validation accuracy")}
{_tile(part(card.accuracy.training), "training accuracy")}
{_tile(f"{len(card.classes):,}", "classes")}
{_tile(f"{card.training_images:,}", "training images")}
{_tile(duration(card.seconds), f"on {card.device}")}
</ul>
</header>
<main>
{"".join(sections)}
</main>
</body>
</html>
"""


class _Figures:
    def __init__(self, report: ModelReport, pictures: Mapping[str, bytes]) -> None:
        self._report, self._pictures = report, pictures

    def __call__(self, name: str, words: str) -> str:
        """The picture with these words for who cannot see it."""
        data = self._pictures.get(name)
        if data is None:
            reason = self._report.missing.get(name, "This picture is not there.")
            return f'<p class="missing">{escape(reason)}</p>'
        width, height = _size(data)
        encoded = base64.b64encode(data).decode()
        return (
            f'<figure><img width="{width}" height="{height}" alt="{escape(words)}" '
            f'src="data:image/png;base64,{encoded}"></figure>'
        )


def _size(picture: bytes) -> tuple[int, int]:
    """In CSS pixels: the pictures have more, for dense screens."""
    with Image.open(io.BytesIO(picture)) as image:
        scale = _CSS_PIXELS_PER_INCH / image.info.get("dpi", (_CSS_PIXELS_PER_INCH,))[0]
        return round(image.width * scale), round(image.height * scale)


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>\n"


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>\n'


def _tile(figure: str, words: str) -> str:
    return f"<li><strong>{escape(figure)}</strong> <span>{escape(words)}</span></li>"


def _curve_words(card: ModelCard, report: ModelReport) -> str:
    first, last = (report.curve[0], report.curve[-1]) if report.curve else (None, None)
    words = f"Loss and accuracy over {card.iterations:,} iterations."
    if first and last and first.loss is not None and last.loss is not None:
        words += f" The loss goes from {first.loss:.3g} to {last.loss:.3g}."
    return f"{words} Validation accuracy in the end: {part(card.accuracy.validation)}."


def _confusion_words(report: ModelReport) -> str:
    words = f"Confusion matrix of {len(report.classes)} classes."
    if report.confused:
        most = report.confused[0]
        words += (
            f" The most frequent mistake: {most.true} taken for {most.predicted}, "
            f"{most.count} times."
        )
    return words


def _top5_words(report: ModelReport) -> str:
    listed = (
        f"{one.label}: "
        + ", ".join(f"{c.name} {part(c.probability, digits=0)}" for c in one.classes)
        for one in report.top5
    )
    return "; ".join(listed) + "."


def _retrieval_words(report: ModelReport) -> str:
    listed = (
        f"{one.label}: {sum(hit.label == one.label for hit in one.hits)} of {len(one.hits)} found "
        "are of its class"
        for one in report.retrieval
    )
    return "; ".join(listed) + "."


def _numbered_note(report: ModelReport) -> str:
    if not report.numbered:
        return ""
    named = ", ".join(f"class {i} is {report.classes[i].name}" for i in report.numbered[:20])
    return _note(
        f"The server has no font for some class names, and its pictures write numbers: {named}"
        f"{', …' if len(report.numbered) > 20 else ''}. Fonts such as Noto Sans mend that for the "
        "next model."
    )
