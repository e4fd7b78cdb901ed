"""The tables of a model's page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from kinsight.contracts.models import ModelCard
from kinsight.contracts.reports import ModelReport
from trainer.report.words import duration, megabytes, moment, part, settings

_OPEN_UP_TO = 30  # rows; longer tables are folded

# Of the evaluation's rows: field, heading, how it is written.
_MEASURES = (
    ("p_at_1", "P@1", "{:.3f}"),
    ("p_at_5", "P@5", "{:.3f}"),
    ("p_at_10", "P@10", "{:.3f}"),
    ("p_at_100", "P@100", "{:.3f}"),
    ("map", "mAP", "{:.3f}"),
    ("routing_recall", "kept by routing", "{:.3f}"),
    ("hash_recall", "kept by code", "{:.3f}"),
    ("compared_mean", "compared", "{:,.0f}"),
    ("milliseconds_mean", "ms", "{:.2f}"),
)


def facts(card: ModelCard) -> str:
    """What is known of the model."""
    unreadable = f"; {card.unreadable_images:,} unreadable" if card.unreadable_images else ""
    pairs = {
        "Library": card.library,
        "Network": card.network,
        "Network options": settings(card.network_options),
        "Parameters": f"{card.parameters:,} ({megabytes(card.bytes)})",
        "Outputs": f"{len(card.classes):,} probabilities; feature of {card.feature_dimensions:,} "
        f"dimensions ({card.feature_metric}); code of {card.code_bits} bits ({card.code_kind})",
        "Input": f"{card.preprocessing.mode} to {card.preprocessing.input_size} pixels",
        "Recipe": card.recipe,
        "Recipe options": settings(card.recipe_options),
        "Started from": card.weights,
        "Images": f"{card.training_images:,} training, {card.validation_images:,} "
        f"validation{unreadable}",
        "Seeds": f"{card.seed}; of the split {card.split_seed}",
        "Data": card.data_fingerprint,
        "Trained by": card.trained_by or "–",
        "Started": moment(card.started_at),
        "Time": f"{duration(card.seconds)}; {card.iterations:,} iterations, {card.epochs:g} epochs",
        "Device": f"{card.device} on {card.machine}",
        "Accuracy": f"{part(card.accuracy.training, digits=2)} training, "
        f"{part(card.accuracy.validation, digits=2)} validation",
        "Search": f"shortlist {card.retrieval.shortlist}, routing until "
        f"{card.retrieval.routing_threshold:g} in at most {card.retrieval.routing_limit} tables",
        "Versions": settings(dict(card.versions)),
    }
    rows = (f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in pairs.items())
    return f"<dl>{''.join(rows)}</dl>"


def confused(report: ModelReport) -> str:
    """The pairs of classes confused most."""
    if not report.confused:
        return '<p class="note">The network takes no validation image for another class.</p>'
    rows = (
        [pair.true, pair.predicted, f"{pair.count:,}", part(pair.part)] for pair in report.confused
    )
    return _table("Most confused pairs", ["true", "taken for", ">images", ">of its class"], rows)


def classes(report: ModelReport) -> str:
    """Every class with its accuracy, the worst first."""
    columns = [">no.", "class", ">training", ">validation", ">right", ">accuracy", ""]
    numbered = sorted(enumerate(report.classes), key=lambda item: (item[1].accuracy, item[0]))
    rows = []
    for number, one in numbered:
        # A meter is drawn by the browser: nothing of ours has to be allowed to style it.
        meter = f'<meter min="0" max="1" value="{one.accuracy:.4f}"></meter>'
        rows.append(
            [
                str(number),
                one.name,
                f"{one.training_images:,}",
                f"{one.validation_images:,}",
                f"{one.right:,}",
                part(one.accuracy),
                _Markup(meter),
            ]
        )
    return _table("Classes, the worst first", columns, rows)


def evaluation(found: Mapping[str, Any]) -> str:
    """The newest evaluation of the model: every space under every routing mode."""
    results: Sequence[Mapping[str, Any]] = found.get("results") or []
    shown = [m for m in _MEASURES if any(isinstance(r.get(m[0]), int | float) for r in results)]
    columns = ["space", "routing", *(f">{heading}" for _, heading, _ in shown)]
    rows = (
        [
            str(row.get("space", "")),
            str(row.get("routing", "")),
            *(_written(row.get(field), form) for field, _, form in shown),
        ]
        for row in results
    )
    said = f"{found.get('queries', 0):,} queries against the library as it was indexed then."
    for field, name in (("top1_error", "Top-1"), ("top5_error", "Top-5")):
        # The network's own, the same in every row.
        errors = [row[field] for row in results if isinstance(row.get(field), int | float)]
        if errors:
            said += f" {name} error of the network: {part(errors[0], digits=2)}."
    return f'<p class="note">{escape(said)}</p>' + _table("By space and routing", columns, rows)


class _Markup(str):
    """HTML already, of constants and figures only."""


def _written(value: Any, form: str) -> str:
    return form.format(value) if isinstance(value, int | float) else "–"


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns whose name begins with `>` are set to the right."""
    right = [column.startswith(">") for column in columns]
    head = "".join(
        f'<th scope="col"{_side(r)}>{escape(column.removeprefix(">"))}</th>'
        for column, r in zip(columns, right, strict=True)
    )
    lines = [
        "<tr>"
        + "".join(
            f"<td{_side(r)}>{cell if isinstance(cell, _Markup) else escape(cell)}</td>"
            for cell, r in zip(row, right, strict=True)
        )
        + "</tr>"
        for row in rows
    ]
    table = (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )
    open_ = " open" if len(lines) <= _OPEN_UP_TO else ""
    return f"<details{open_}><summary>{escape(title)}</summary>{table}</details>\n"


def _side(right: bool) -> str:
    return ' class="right"' if right else ""
