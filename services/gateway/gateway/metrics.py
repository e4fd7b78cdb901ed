"""What the gateway measures beside its requests: the jobs, which only it watches as a whole."""

from __future__ import annotations

import asyncio
import logging

from prometheus_client import Gauge

from kinsight.contracts.jobs import JobKind, JobState
from kinsight.database.pool import CONNECTION_ERRORS
from kinsight.jobs import JobRows

JOBS = Gauge("kinsight_jobs", "Jobs by kind and state.", ["kind", "state"])
_EVERY_SECONDS = 5.0
_log = logging.getLogger(__name__)


async def watch_jobs(jobs: JobRows) -> None:
    """Keeps the gauge up to date until cancelled; queued jobs are the queue's depth."""
    while True:
        try:
            counts = await jobs.counts()
        except (*CONNECTION_ERRORS, TimeoutError) as error:
            _log.info("Counting jobs again later: %s", error)
        else:
            for kind in JobKind:
                for state in JobState:
                    JOBS.labels(kind, state).set(counts.get((kind, state), 0))
        await asyncio.sleep(_EVERY_SECONDS)
