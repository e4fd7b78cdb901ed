"""`kinsight jobs`: what runs, what ran, and what became of it."""

from __future__ import annotations

import enum
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from kinsight.cli.evaluate import print_evaluation
from kinsight.cli.following import follow, succeeded
from kinsight.cli.options import ApiKey, Json, Url
from kinsight.cli.output import seconds
from kinsight.cli.progress import job_facts
from kinsight.cli.session import Session, open_session

if TYPE_CHECKING:
    from kinsight.contracts.jobs import Job


class Outcome(enum.StrEnum):
    INDEXED = "indexed"
    STORED = "stored"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


class State(enum.StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Kind(enum.StrEnum):
    INGEST = "ingest"
    TRAIN = "train"
    EVALUATE = "evaluate"
    REINDEX = "reindex"


def jobs(
    context: typer.Context,
    job: Annotated[str | None, typer.Argument(help="One job.")] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="End the job.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the job to its end.")] = False,
    items: Annotated[
        bool, typer.Option("--items", help="The ledger of an ingest, file by file.")
    ] = False,
    outcome: Annotated[Outcome | None, typer.Option(help="With --items: only these.")] = None,
    kind: Annotated[Kind | None, typer.Option(help="Of the list: only these.")] = None,
    state: Annotated[State | None, typer.Option(help="Of the list: only these.")] = None,
    library: Annotated[str | None, typer.Option(help="Of the list: only this library's.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """List the jobs; show, follow or cancel one; show the ledger of an ingest."""
    if job is None and (cancel or wait or items):
        raise typer.BadParameter("name the job.")
    with open_session(context, url, api_key, json) as session:
        if job is None:
            found = session.client.jobs(
                kind=kind, state=state, library=library, page_size=min(limit, 1000)
            )
            _list(session, list(islice(found, limit)))
        elif items:
            _items(session, job, outcome)
        elif cancel:
            _show(session, session.client.cancel(job))
        elif wait:
            _show(session, succeeded(follow(session, session.client.job(job))))
        else:
            _show(session, session.client.job(job))


def _list(session: Session, found: list[Job]) -> None:
    if session.out.json:
        session.out.document({"jobs": [one.model_dump(mode="json") for one in found]})
        return
    session.out.table(
        ["job", "kind", "state", "library", "progress", ">time", "begun"],
        [
            [
                one.id,
                one.kind,
                _state(one),
                one.library,
                job_facts(one),
                _time(one),
                f"{one.started_at.astimezone():%Y-%m-%d %H:%M}" if one.started_at else "",
            ]
            for one in found
        ],
    )


def _show(session: Session, job: Job) -> None:
    if session.out.json:
        session.out.document(job)
        return
    result = dict(job.result or {})
    measured = result if "results" in result else None  # an evaluation
    session.out.facts(
        {
            "job": job.id,
            "kind": job.kind,
            "state": _state(job),
            "library": job.library,
            "progress": job_facts(job),
            "time": _time(job),
            **({} if measured else result),
            **({"error": job.error.get("detail")} if job.error else {}),
        }
    )
    if measured:
        session.out.line("")
        print_evaluation(session.out, measured)


def _items(session: Session, job: str, outcome: Outcome | None) -> None:
    found = session.client.items(job, outcome)
    if session.out.json:
        session.out.document({"items": [item.model_dump(mode="json") for item in found]})
        return
    # Line by line as the pages come: a ledger may have millions of them.
    for item in found:
        facts = (str(item.number), item.outcome, item.name, item.reason or item.image_id or "")
        session.out.line("\t".join(facts))


def _state(job: Job) -> str:
    return "cancelling" if job.cancel_requested and not job.state.ended else str(job.state)


def _time(job: Job) -> str:
    if job.started_at is None or job.finished_at is None:
        return ""
    return seconds((job.finished_at - job.started_at).total_seconds())
