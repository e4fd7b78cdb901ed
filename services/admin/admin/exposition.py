"""What the SLA report needs of the other services' /metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

_SEARCH_ROUTES = ("/search", "/v1/search")
BUCKET = "bucket:"  # then the bucket's upper bound in seconds, as Prometheus writes it


@dataclass(frozen=True)
class Reading:
    """Counters of one process at one moment.

    Keys: `searches`, `failures` (answered with 5xx), `bucket:<le>` (cumulative), `rows_compared`,
    `search_seconds`. started: when the process was started, Unix seconds.
    """

    counters: Mapping[str, float] = field(default_factory=dict)
    started: float | None = None


def read_gateway(text: str) -> Reading:
    counters: dict[str, float] = defaultdict(float)
    started = None
    for family in text_string_to_metric_families(text):
        for name, labels, value, *_ in family.samples:
            if labels.get("service") != "gateway":
                continue
            if name == "kinsight_started_timestamp_seconds":
                started = value
            if labels.get("route") not in _SEARCH_ROUTES:
                continue
            if name == "kinsight_http_requests_total":
                counters["searches"] += value
                if labels.get("status", "").startswith("5"):
                    counters["failures"] += value
            elif name == "kinsight_http_request_seconds_bucket":
                counters[BUCKET + labels["le"]] += value
    return Reading(counters, started)


def read_indexer(text: str) -> Reading:
    counters: dict[str, float] = defaultdict(float)
    started = None
    for family in text_string_to_metric_families(text):
        for name, labels, value, *_ in family.samples:
            if name == "kinsight_rows_compared_total":
                counters["rows_compared"] += value
            elif name == "kinsight_search_seconds_sum":
                counters["search_seconds"] += value
            elif (
                name == "kinsight_started_timestamp_seconds" and labels.get("service") == "indexer"
            ):
                started = value
    return Reading(counters, started)


def increase(before: Reading | None, after: Reading) -> dict[str, float]:
    """What was counted between two readings; nothing where there is no earlier one.

    A process that was started anew, or a counter that fell, has counted from zero.
    """
    if before is None:
        return {}
    counted = {} if before.started != after.started else before.counters
    return {
        key: value - counted[key] if value >= counted.get(key, float("inf")) else value
        for key, value in after.counters.items()
    }
