"""Makes a model's report when training ends, and stores it beside the model."""

from __future__ import annotations

import logging

import numpy as np

from kinsight.contracts.models import ModelCard
from kinsight.contracts.reports import (
    DATA,
    PAGE,
    ClassProbability,
    ModelReport,
    Neighbour,
    Neighbours,
    TopFive,
    report_key,
)
from trainer.report import figures
from trainer.report.choice import chosen
from trainer.report.measured import Embedded, Results
from trainer.report.nearest import nearest
from trainer.report.page import page
from trainer.training.run import Run
from trainer.training.seeds import generator
from trainer.training.store_access import StoreAccess

TOP5, TOP5_WRONG = 12, 4
QUERIES, QUERIES_WRONG, HITS = 6, 2, 10
_BEST = 5
_log = logging.getLogger(__name__)


def write(run: Run, card: ModelCard, results: Results, store: StoreAccess) -> None:
    """Stores the report's files; what goes wrong is logged and costs the report only."""
    try:
        for name, data in _files(run, card, results).items():
            store.put(report_key(card.id, name), data)
    # A report is never worth a model.
    except Exception:  # noqa: BLE001
        _log.exception("The report of %s could not be made", card.id)


def _files(run: Run, card: ModelCard, results: Results) -> dict[str, bytes]:
    # matplotlib takes half a second to load.
    from trainer.report import drawing

    validation = results.validation
    probabilities = validation.images.outputs.probabilities
    labels, predicted = validation.images.labels, probabilities.argmax(axis=1)
    counts = figures.confusion_counts(labels, predicted, len(card.classes))
    training = np.bincount(run.data.labels[run.data.split.training], minlength=len(card.classes))
    rng = generator(run.seed, "report")
    shown = chosen(labels, predicted, count=TOP5, wrong=TOP5_WRONG, rng=rng)
    queries = chosen(labels, predicted, count=QUERIES, wrong=QUERIES_WRONG, rng=rng)
    report = ModelReport(
        model=card.id,
        classes=figures.class_results(
            counts, card.classes, dict(zip(card.classes, training.tolist(), strict=True))
        ),
        confusion=figures.cells(counts),
        confused=figures.confused_pairs(counts, card.classes),
        curve=figures.thinned(results.curve),
        top5=[_top5(run, card, validation, row) for row in shown],
        retrieval=[_neighbours(run, card, results, row) for row in queries],
        searched=len(results.training.indices),
        numbered=drawing.numbered(card.classes),
    )
    pictures, missing = drawing.draw(run, report, counts, [probabilities[row] for row in shown])
    report = report.model_copy(update={"missing": missing})
    return {
        **pictures,
        PAGE: page(card, report, pictures).encode(),
        # Last: a report is complete when its data are there.
        DATA: report.model_dump_json().encode(),
    }


def _top5(run: Run, card: ModelCard, validation: Embedded, row: int) -> TopFive:
    probabilities = validation.images.outputs.probabilities[row]
    best = np.argsort(-probabilities, kind="stable")[:_BEST]
    return TopFive(
        image_id=_image_id(run, validation, row),
        label=card.classes[validation.images.labels[row]],
        classes=[
            ClassProbability(name=card.classes[i], probability=float(probabilities[i]))
            for i in best
        ],
    )


def _neighbours(run: Run, card: ModelCard, results: Results, row: int) -> Neighbours:
    query, database = results.validation, results.training
    hits = nearest(
        query.images.outputs.rows(row),
        database.images.outputs,
        card.retrieval,
        card.feature_metric,
        HITS,
    )
    return Neighbours(
        image_id=_image_id(run, query, row),
        label=card.classes[query.images.labels[row]],
        hits=[
            Neighbour(
                image_id=_image_id(run, database, hit),
                label=card.classes[database.images.labels[hit]],
                distance=distance,
            )
            for hit, distance in hits
        ],
    )


def _image_id(run: Run, embedded: Embedded, row: int) -> int:
    return run.data.images[int(embedded.indices[row])].image_id
