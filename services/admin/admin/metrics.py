"""What only the admin service knows: how good each library is, who is ready, how much room is left.

Labels: libraries that are searched with a model, three routings, two places on disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client import Gauge

from admin.precision import LiveEvaluation
from admin.sla import evaluated_row

SERVICE_READY = Gauge(
    "kinsight_service_ready", "1 where the service said so when it was last asked.", ["service"]
)
PRECISION = Gauge(
    "kinsight_evaluation_precision_at_10",
    "P@10 of the library's live model in space auto, by its last evaluation.",
    ["library", "routing"],
)
MEAN_AVERAGE_PRECISION = Gauge(
    "kinsight_evaluation_mean_average_precision",
    "mAP over the first 100 hits of the same, under adaptive routing.",
    ["library"],
)
ROUTING_RECALL = Gauge(
    "kinsight_evaluation_routing_recall",
    "Share of the ten nearest of all class tables that lie in those that adaptive routing scans.",
    ["library"],
)
EVALUATED = Gauge(
    "kinsight_evaluation_timestamp_seconds",
    "When the library's live model was last evaluated.",
    ["library"],
)
DISK_FREE = Gauge("kinsight_disk_free_bytes", "Room left.", ["place"])
DISK_WANTED = Gauge(
    "kinsight_disk_wanted_bytes",
    "Room below which it is time to make some (KINSIGHT_FREE_BYTES_WANTED).",
)


def show_evaluations(live: Sequence[LiveEvaluation]) -> None:
    """Takes the place of all shown before, so that a library that is gone is gone here, too."""
    for gauge in (PRECISION, MEAN_AVERAGE_PRECISION, ROUTING_RECALL, EVALUATED):
        gauge.clear()
    for one in live:
        row = evaluated_row(one.evaluation)
        if row is None or one.evaluation is None:
            continue
        for under in one.evaluation.results:
            if under.space == row.space:
                PRECISION.labels(one.library, under.routing).set(under.p_at_10)
        MEAN_AVERAGE_PRECISION.labels(one.library).set(row.map)
        if row.routing_recall is not None:
            ROUTING_RECALL.labels(one.library).set(row.routing_recall)
        if one.evaluation.measured_at is not None:
            EVALUATED.labels(one.library).set(one.evaluation.measured_at.timestamp())


def show_rooms(rooms: Mapping[str, int], wanted: int) -> None:
    for place, free in rooms.items():
        DISK_FREE.labels(place).set(free)
    DISK_WANTED.set(wanted)
