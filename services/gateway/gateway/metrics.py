"""What the gateway measures beside its requests: the stages of a search, and all jobs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from prometheus_client import Gauge, Histogram

from gateway.stalls import Stalls
from kinsight.contracts.jobs import JobKind, JobState
from kinsight.database.pool import CONNECTION_ERRORS
from kinsight.jobs import JobRows

JOBS = Gauge("kinsight_jobs", "Jobs by kind and state.", ["kind", "state"])
JOB_WAITING = Gauge(
    "kinsight_job_waiting_seconds",
    "How long the longest-waiting job could have been begun; 0 where none waits.",
    ["kind"],
)
JOB_STALLED = Gauge(
    "kinsight_job_stalled_seconds",
    "How long the running job that has stood still longest has made no progress.",
    ["kind"],
)
SEARCH_STAGE = Histogram(
    "kinsight_search_stage_seconds",
    "Parts of the time of a search, as its answer tells them in timings_ms.",
    ["stage"],
    buckets=(0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1, 2.5, 10),
)
_EVERY_SECONDS = 5.0
_log = logging.getLogger(__name__)


async def watch_jobs(jobs: JobRows) -> None:
    """Keeps the gauges up to date until cancelled; queued jobs are the queue's depth."""
    stalls = Stalls()
    while True:
        try:
            counts = await jobs.counts()
            waiting = await jobs.waiting()
            stalled = stalls.seconds(await jobs.positions(), time.monotonic())
        except (*CONNECTION_ERRORS, TimeoutError) as error:
            _log.info("Counting jobs again later: %s", error)
        else:
            for kind in JobKind:
                for state in JobState:
                    JOBS.labels(kind, state).set(counts.get((kind, state), 0))
                JOB_WAITING.labels(kind).set(waiting.get(kind, 0.0))
                JOB_STALLED.labels(kind).set(stalled.get(kind, 0.0))
        await asyncio.sleep(_EVERY_SECONDS)


def observe_search(timings_ms: Mapping[str, float]) -> None:
    """The stages of one answered search; its whole is a request of the route."""
    for stage, milliseconds in timings_ms.items():
        if stage != "total":
            SEARCH_STAGE.labels(stage).observe(milliseconds / 1e3)
