"""A stored report, as the service answers with it."""

from __future__ import annotations

from kinsight.contracts.models import ModelCard
from kinsight.contracts.reports import (
    DATA,
    PAGE,
    PICTURES,
    REPORT_FILES,
    ModelReport,
    report_key,
)
from kinsight.errors import BlobNotFound, NotFound, ReportNotFound
from kinsight.store import Store
from trainer.report.page import page


async def read(store: Store, card: ModelCard, file: str = PAGE) -> bytes:
    """A file of the model's report; the page with the newest evaluation of the card.

    Raises ReportNotFound where the model has none, NotFound for another file's name.
    """
    if file not in REPORT_FILES:
        raise NotFound(f"A report has no file {file!r}; it has {', '.join(REPORT_FILES)}.")
    data = await _get(store, card.id, DATA)
    if data is None:
        raise ReportNotFound(
            f"The model {card.id} has no report: it was trained before there were reports, or its "
            "report could not be made (the trainer's log says why). Train it again to get one."
        )
    if file == DATA:
        return data
    report = ModelReport.model_validate_json(data)
    if file == PAGE:
        found = {name: await _get(store, card.id, name) for name in PICTURES}
        pictures = {name: picture for name, picture in found.items() if picture is not None}
        return page(card, report, pictures).encode()
    picture = await _get(store, card.id, file)
    if picture is None:
        reason = report.missing.get(file, "It is not in the store.")
        raise NotFound(f"The report of {card.id} has no {file}: {reason}")
    return picture


async def _get(store: Store, model: str, file: str) -> bytes | None:
    try:
        return await store.get(report_key(model, file))
    except BlobNotFound:
        return None
