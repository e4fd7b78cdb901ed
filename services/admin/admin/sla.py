"""The SLA report: the requirements of the CBIR paper, each beside what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from admin import histogram
from admin.samples import Measured
from kinsight.contracts.admin import SlaReport, SlaRequirement
from kinsight.contracts.evaluation import Evaluation, EvaluationRow

RESPONSE_SECONDS = 1.0
MATCHED_PER_SECOND = 10_000.0
PRECISION = 0.80
SUCCESS_PERCENT = 99.9
UPTIME_PERCENT = 99.9

_SEARCH_FIRST = "Nothing was searched in this time; search a library, and look again."


def report(hours: float, measured: Measured, precisions: Sequence[SlaRequirement]) -> SlaReport:
    requirements = [
        response(measured),
        matched(measured),
        *precisions,
        success(measured),
        uptime(measured),
    ]
    verdicts = {requirement.ok for requirement in requirements}
    return SlaReport(
        window_hours=hours,
        ok=False if False in verdicts else None if None in verdicts else True,
        requirements=requirements,
    )


def response(measured: Measured) -> SlaRequirement:
    """The 99th percentile of the gateway's time for a search (paper: response < 1 s)."""
    p99 = histogram.quantile(0.99, measured.buckets)
    if p99 is not None and math.isinf(p99):  # beyond the last bucket: at least that
        p99 = max((bound for bound in measured.buckets if math.isfinite(bound)), default=None)
    return SlaRequirement(
        name="p99 response",
        target=f"< {RESPONSE_SECONDS:g} s",
        value=p99,
        unit="s",
        ok=None if p99 is None else p99 < RESPONSE_SECONDS,
        measured_from=measured.searching_since,
        measurements=measured.searches,
        advice=_advice(
            p99,
            p99 is not None and p99 < RESPONSE_SECONDS,
            "timings_ms of a search says where the time goes: queue and embed want a faster "
            "device or fewer searches at once, search wants space `auto` or routing `argmax`.",
        ),
    )


def matched(measured: Measured) -> SlaRequirement:
    """Rows compared per second spent on searching (paper: > 10,000 images per second)."""
    seconds = measured.search_seconds
    rate = measured.rows_compared / seconds if seconds > 0 else None
    kept = rate is not None and rate > MATCHED_PER_SECOND
    return SlaRequirement(
        name="images matched per second",
        target=f"> {MATCHED_PER_SECOND:,.0f} images/s",
        value=rate,
        unit="images/s",
        ok=None if rate is None else kept,
        measured_from=measured.searching_since,
        measurements=measured.searches,
        advice=_advice(
            rate,
            kept,
            "A search of few rows is mostly overhead, so a small library shows a low rate; with a "
            "large one give Postgres more memory, or processors.",
        ),
    )


def precision(
    library: str, model: str, evaluation: Evaluation | None, since: datetime | None
) -> SlaRequirement:
    """P@10 of a library's live model by its last evaluation (paper, table 2: 0.80)."""
    row = evaluated_row(evaluation)
    value = row.p_at_10 if row else None
    kept = value is not None and value >= PRECISION
    return SlaRequirement(
        name=f"P@10 of {library}",
        target=f">= {PRECISION:.2f}",
        value=value,
        unit="",
        ok=None if value is None else kept,
        measured_from=since if value is not None else None,
        measurements=evaluation.queries if evaluation else 0,
        advice=_advice(
            value,
            kept,
            f"Add labelled images of the classes that are mixed up, or train {library} with a "
            "stronger network.",
            f"Measure it with `kinsight evaluate {library}` or `POST /models/{model}/evaluate`.",
        ),
    )


def evaluated_row(evaluation: Evaluation | None) -> EvaluationRow | None:
    """The figures of a search that says nothing of space and routing."""
    return next(
        (
            row
            for row in (evaluation.results if evaluation else [])
            if (row.space, row.routing) == ("auto", "adaptive")
        ),
        None,
    )


def unmeasured_precision(advice: str) -> SlaRequirement:
    return SlaRequirement(
        name="P@10",
        target=f">= {PRECISION:.2f}",
        value=None,
        unit="",
        ok=None,
        measured_from=None,
        measurements=0,
        advice=advice,
    )


def success(measured: Measured) -> SlaRequirement:
    """Searches not answered with a 5xx; what a caller sent wrong is not held against us."""
    share = 100 * (1 - measured.failures / measured.searches) if measured.searches else None
    kept = share is not None and share >= SUCCESS_PERCENT
    return SlaRequirement(
        name="searches answered",
        target=f">= {SUCCESS_PERCENT:g} %",
        value=share,
        unit="%",
        ok=None if share is None else kept,
        measured_from=measured.searching_since,
        measurements=measured.searches,
        advice=_advice(share, kept, "The log of the gateway says what failed; run the doctor."),
    )


def uptime(measured: Measured) -> SlaRequirement:
    """Share of the time in which every service was ready (CBIR paper: 24 hours, 7 days)."""
    share = None if measured.ready_share is None else 100 * measured.ready_share
    kept = share is not None and share >= UPTIME_PERCENT
    return SlaRequirement(
        name="uptime",
        target=f">= {UPTIME_PERCENT:g} %",
        value=share,
        unit="%",
        ok=None if share is None else kept,
        measured_from=measured.since,
        measurements=measured.samples,
        advice=_advice(
            share,
            kept,
            "A service was not ready, or Kinsight was stopped, for the rest of the time; the logs "
            "say which, and the doctor says whether all is well now.",
            "The first samples are being taken; look again in a few seconds.",
        ),
    )


def _advice(
    value: float | None, kept: bool, if_missed: str, if_unmeasured: str = _SEARCH_FIRST
) -> str | None:
    if value is None:
        return if_unmeasured
    return None if kept else if_missed
