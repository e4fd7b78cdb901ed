"""A job that waits for another one, and shows its progress as its own."""

from __future__ import annotations

import asyncio
import contextlib

from kinsight.contracts.jobs import Job, JobState
from kinsight.errors import Conflict, JobFinished, KinsightError
from kinsight.jobs import JobRows
from trainer.jobs.reporter import Reporter

_LOOK_SECONDS = 0.3


async def follow(rows: JobRows, job: Job, reporter: Reporter, phase: str) -> Job:
    """Returns the job as it has ended, well or not."""
    while not job.state.ended:
        _show(job, reporter, phase)
        await asyncio.sleep(_LOOK_SECONDS)
        job = await rows.get(job.id)
    _show(job, reporter, phase)
    return job


def reason(job: Job) -> KinsightError:
    """Why a job has not succeeded."""
    if job.state is JobState.CANCELLED:
        return Conflict(f"The {job.kind} job {job.id} that this one waited for was cancelled.")
    return KinsightError.from_problem(job.error or {})


async def cancel(rows: JobRows, job: Job | None) -> None:
    """Cancels a job that has been made, should it not have ended."""
    if job is not None:
        with contextlib.suppress(JobFinished):
            await rows.cancel(job.id)


def _show(job: Job, reporter: Reporter, phase: str) -> None:
    reporter.set(job.progress.model_copy(update={"phase": phase, "job": job.id}))
