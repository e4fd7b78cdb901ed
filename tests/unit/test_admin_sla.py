"""Quantiles, counters that start anew, and the verdicts of the SLA report."""

from __future__ import annotations

import bisect
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from admin import sla
from admin.exposition import Reading, increase, read_gateway, read_indexer
from admin.histogram import quantile
from admin.samples import Measured
from kinsight.contracts.evaluation import Evaluation, EvaluationRow

BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, math.inf)


def buckets_of(values: list[float]) -> dict[float, float]:
    return {bound: float(sum(value <= bound for value in values)) for bound in BOUNDS}


def test_quantile_worked_by_hand() -> None:
    # 8 up to 0.1, then 2 in (0.1, 0.25]: rank 9 of 10 lies in the middle of those two.
    assert quantile(0.9, {0.1: 8, 0.25: 10, math.inf: 10}) == pytest.approx(0.175)
    assert quantile(0.4, {0.1: 8, 0.25: 10, math.inf: 10}) == pytest.approx(0.05)


def test_quantile_of_nothing_is_not_measured() -> None:
    assert quantile(0.99, {}) is None
    assert quantile(0.99, {0.1: 0, math.inf: 0}) is None


def test_quantile_beyond_the_last_bound_is_unbounded() -> None:
    assert quantile(0.99, {0.1: 1, math.inf: 2}) == math.inf


@given(
    values=st.lists(st.floats(0.001, 2.49), min_size=1, max_size=300),
    q=st.floats(0.01, 1.0),
)
def test_quantile_lies_in_the_bucket_of_the_true_one(values: list[float], q: float) -> None:
    true = sorted(values)[math.ceil(q * len(values) - 1e-9) - 1]
    index = bisect.bisect_left(BOUNDS, true)
    lower = BOUNDS[index - 1] if index else 0.0
    found = quantile(q, buckets_of(values))
    assert found is not None
    assert lower - 1e-9 <= found <= BOUNDS[index] + 1e-9


def test_increase_between_two_readings() -> None:
    before = Reading({"searches": 10, "failures": 1}, started=5.0)
    after = Reading({"searches": 14, "failures": 1, "bucket:0.1": 3}, started=5.0)
    assert increase(before, after) == {"searches": 4, "failures": 0, "bucket:0.1": 3}


def test_a_first_reading_says_nothing_of_the_time_before() -> None:
    assert increase(None, Reading({"searches": 10}, started=5.0)) == {}


def test_a_restarted_process_has_counted_from_zero() -> None:
    before = Reading({"searches": 10}, started=5.0)
    assert increase(before, Reading({"searches": 4}, started=5.0)) == {"searches": 4}
    # It may have overtaken the old count by then: its start gives it away.
    assert increase(before, Reading({"searches": 12}, started=9.0)) == {"searches": 12}


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=1, max_size=30))
def test_increases_add_up_over_restarts(steps: list[tuple[int, bool]]) -> None:
    """Whatever was counted between the first and the last reading is found again."""
    count, started, total = 100.0, 1.0, 0.0
    before, found = Reading({"searches": count}, started), 0.0
    for more, restart in steps:
        if restart:
            count, started = 0.0, started + 1
        count, total = count + more, total + more
        after = Reading({"searches": count}, started)
        found += increase(before, after)["searches"]
        before = after
    assert found == total


def test_gateway_metrics_count_searches_only() -> None:
    registry = CollectorRegistry()
    requests = Counter(
        "kinsight_http_requests_total",
        "",
        ["service", "method", "route", "status"],
        registry=registry,
    )
    latency = Histogram(
        "kinsight_http_request_seconds",
        "",
        ["service", "method", "route"],
        buckets=BOUNDS[:-1],
        registry=registry,
    )
    started = Gauge("kinsight_started_timestamp_seconds", "", ["service"], registry=registry)
    started.labels("gateway").set(77)
    started.labels("indexer").set(78)
    for route, status, seconds in [
        ("/search", "200", 0.05),
        ("/v1/search", "503", 0.3),
        ("/search", "404", 0.05),
        ("/train", "500", 9.0),
    ]:
        requests.labels("gateway", "POST", route, status).inc()
        latency.labels("gateway", "POST", route).observe(seconds)
    requests.labels("indexer", "POST", "/search", "500").inc()
    reading = read_gateway(generate_latest(registry).decode())
    assert reading.started == 77
    assert reading.counters["searches"] == 3
    assert reading.counters["failures"] == 1
    assert reading.counters["bucket:0.1"] == 2
    assert reading.counters["bucket:0.5"] == 3
    assert reading.counters["bucket:+Inf"] == 3


def test_indexer_metrics_add_up_over_spaces() -> None:
    registry = CollectorRegistry()
    rows = Counter("kinsight_rows_compared_total", "", ["space"], registry=registry)
    seconds = Histogram("kinsight_search_seconds", "", ["space"], registry=registry)
    for space in ("auto", "hash"):
        rows.labels(space).inc(50)
        seconds.labels(space).observe(0.25)
    reading = read_indexer(generate_latest(registry).decode())
    assert reading.counters == {"rows_compared": 100, "search_seconds": 0.5}


def measured(**changes: object) -> Measured:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    values = {
        "samples": 10,
        "since": at,
        "searching_since": at,
        "searches": 1000,
        "failures": 0,
        "rows_compared": 500_000.0,
        "search_seconds": 10.0,
        "buckets": {0.1: 995.0, 0.25: 1000.0, math.inf: 1000.0},
        "ready_share": 1.0,
    }
    return Measured(**{**values, **changes})  # type: ignore[arg-type]


def evaluation(p_at_10: float) -> Evaluation:
    row = EvaluationRow(
        space="auto",
        routing="adaptive",
        p_at_1=1,
        p_at_5=1,
        p_at_10=p_at_10,
        map=1,
        top1_error=0,
        compared_mean=1,
        milliseconds_mean=1,
    )
    return Evaluation(library="shop", model="m", queries=50, results=[row])


def test_report_is_well_when_everything_is_kept() -> None:
    precision = sla.precision("shop", "m", evaluation(0.9), None)
    report = sla.report(24, measured(), [precision])
    assert report.ok is True
    assert [requirement.ok for requirement in report.requirements] == [True] * 5
    assert all(requirement.advice is None for requirement in report.requirements)
    by_name = {requirement.name: requirement.value for requirement in report.requirements}
    assert by_name["p99 response"] == pytest.approx(0.099497, rel=1e-4)
    assert by_name["images matched per second"] == 50_000
    assert by_name["P@10 of shop"] == 0.9
    assert by_name["searches answered"] == 100
    assert by_name["uptime"] == 100


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("p99 response", {"buckets": {1.0: 900.0, 2.5: 1000.0, math.inf: 1000.0}}),
        ("p99 response", {"buckets": {60.0: 900.0, math.inf: 1000.0}}),
        ("images matched per second", {"rows_compared": 100.0}),
        ("searches answered", {"failures": 2}),
        ("uptime", {"ready_share": 0.99}),
    ],
)
def test_one_missed_promise_fails_the_report(name: str, changes: dict[str, object]) -> None:
    report = sla.report(
        24, measured(**changes), [sla.precision("shop", "m", evaluation(0.9), None)]
    )
    missed = [requirement for requirement in report.requirements if not requirement.ok]
    assert [requirement.name for requirement in missed] == [name]
    assert report.ok is False
    assert missed[0].advice


def test_low_precision_is_missed() -> None:
    requirement = sla.precision("shop", "m", evaluation(0.79), None)
    assert requirement.ok is False
    assert requirement.advice is not None and "shop" in requirement.advice


def test_nothing_measured_is_neither_kept_nor_missed() -> None:
    nothing = measured(
        samples=0,
        since=None,
        searching_since=None,
        searches=0,
        rows_compared=0.0,
        search_seconds=0.0,
        buckets={},
        ready_share=None,
    )
    report = sla.report(24, nothing, [sla.precision("shop", "m", None, None)])
    assert report.ok is None
    assert all(requirement.ok is None for requirement in report.requirements)
    assert all(requirement.value is None for requirement in report.requirements)
    assert all(requirement.advice for requirement in report.requirements)
