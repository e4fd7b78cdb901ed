"""Following a job to its end from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from kinsight.cli.output import note
from kinsight.cli.progress import JobBar
from kinsight.errors import Conflict, KinsightError

if TYPE_CHECKING:
    from kinsight.cli.session import Session
    from kinsight.contracts.jobs import Job

_INTERRUPTED = 130  # what a shell reports for a process that Ctrl-C ended


def follow(session: Session, job: Job) -> Job:
    """Waits for the job. Ctrl-C leaves it running and says how to go on following it."""
    try:
        with JobBar() as bar:
            return session.client.wait(job.id, on_progress=bar.update)
    except KeyboardInterrupt as interrupt:
        note(
            f"The {job.kind} job goes on. Follow it with `kinsight jobs {job.id} --wait`, "
            f"end it with `kinsight jobs {job.id} --cancel`."
        )
        raise typer.Exit(_INTERRUPTED) from interrupt


def refusal(job: Job) -> str | None:
    """What the gate says where it did not let the job's model go live."""
    result = job.result or {}
    gate, model = result.get("gate"), result.get("model")
    if gate is None or gate["promoted"]:
        return None
    return (
        f"{model} does not go live. {gate['reason']} Its index stays, so that `kinsight promote "
        f"{model} --override` switches to it at once all the same."
    )


def succeeded(job: Job) -> Job:
    """The job itself; raises what made it fail, or Conflict where it was cancelled."""
    if job.state == "succeeded":
        return job
    if job.error is not None:
        raise KinsightError.from_problem({**job.error, "job": job.id})
    raise Conflict(f"The {job.kind} job {job.id} was cancelled before its end.", job=job.id)
