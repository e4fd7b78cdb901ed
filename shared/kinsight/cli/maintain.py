"""`kinsight promote`, `rollback`, `clear` and `rebuild`."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from kinsight.cli.following import follow, refusal, succeeded
from kinsight.cli.options import ApiKey, Json, Url, Wait
from kinsight.cli.output import note
from kinsight.cli.session import Session, open_session

if TYPE_CHECKING:
    from kinsight.contracts.jobs import Job


class Crops(enum.StrEnum):
    ONE = "1"
    TEN = "10"


LibraryName = Annotated[str, typer.Argument(metavar="LIBRARY")]
By = Annotated[str | None, typer.Option(help="Who asks for it; kept in the history.")]
Reason = Annotated[str | None, typer.Option(help="Why; kept in the history.")]
CropsOption = Annotated[
    Crops | None,
    typer.Option(help="Per picture, in the index; left out: as many as it has."),
]


def promote(
    context: typer.Context,
    model: Annotated[str, typer.Argument()],
    override: Annotated[
        bool, typer.Option("--override", help="Whatever the gate says; the history keeps it.")
    ] = False,
    by: By = None,
    reason: Reason = None,
    crops: CropsOption = None,
    wait: Wait = True,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Search the model's library with this model from now on, if it measures no worse.

    It must not be worse than the live model on held-out images, nor below the library's floor;
    where it is, nothing changes and the exit code is 1.
    """
    with open_session(context, url, api_key, json) as session:
        job = session.client.promote(
            model,
            crops=int(crops) if crops else None,
            override=override,
            by=by,
            reason=reason,
        )
        if wait:
            job = succeeded(follow(session, job))
        refused = refusal(job)
        if refused is None:
            why = ((job.result or {}).get("gate") or {}).get("reason", "")
            _print(session, job, wait, f"{model} is live. {why}".rstrip())
            return
        if session.out.json:
            session.out.document(job)
        note(refused)
        raise typer.Exit(1)


def rollback(
    context: typer.Context,
    library: LibraryName,
    by: By = None,
    reason: Reason = None,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Go back to the model a library was searched with before."""
    with open_session(context, url, api_key, json) as session:
        now = session.client.rollback(library, by=by, reason=reason)
        if session.out.json:
            session.out.document(now)
        else:
            session.out.line(f"{library} is searched with {now.model} again.")


def clear(
    context: typer.Context,
    library: LibraryName,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Empty a library's class tables; its images stay, and `rebuild` fills the tables again."""
    with open_session(context, url, api_key, json) as session:
        answer = session.client.clear(library)
        if session.out.json:
            session.out.document(answer)
        else:
            session.out.line(f"{answer.removed:,} rows removed from the tables of {library}.")


def rebuild(
    context: typer.Context,
    library: LibraryName,
    crops: CropsOption = None,
    wait: Wait = True,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Index every image of a library again under its live model."""
    with open_session(context, url, api_key, json) as session:
        job = session.client.rebuild(library, crops=int(crops) if crops else None)
        if wait:
            job = succeeded(follow(session, job))
        _print(session, job, wait, f"{library} is rebuilt.")


def _print(session: Session, job: Job, wait: bool, done: str) -> None:
    if session.out.json:
        session.out.document(job)
    elif wait:
        session.out.line(done)
    else:
        session.out.line(job.id)
        note(f"Follow it with `kinsight jobs {job.id} --wait`.")
