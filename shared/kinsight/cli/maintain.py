"""`kinsight promote`, `rollback`, `clear` and `rebuild`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kinsight.cli.following import follow, succeeded
from kinsight.cli.options import ApiKey, Json, Url, Wait
from kinsight.cli.output import note
from kinsight.cli.session import Session, open_session

if TYPE_CHECKING:
    from kinsight.contracts.jobs import Job

LibraryName = Annotated[str, typer.Argument(metavar="LIBRARY")]


def promote(
    context: typer.Context,
    model: Annotated[str, typer.Argument()],
    wait: Wait = True,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Search the model's library with this model from now on."""
    with open_session(context, url, api_key, json) as session:
        _end(session, session.client.promote(model), wait, f"{model} is live.")


def rollback(
    context: typer.Context,
    library: LibraryName,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Go back to the model a library was searched with before."""
    with open_session(context, url, api_key, json) as session:
        now = session.client.rollback(library)
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
    wait: Wait = True,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Index every image of a library again under its live model."""
    with open_session(context, url, api_key, json) as session:
        _end(session, session.client.rebuild(library), wait, f"{library} is rebuilt.")


def _end(session: Session, job: Job, wait: bool, done: str) -> None:
    if wait:
        job = succeeded(follow(session, job))
    if session.out.json:
        session.out.document(job)
    elif wait:
        session.out.line(done)
    else:
        session.out.line(job.id)
        note(f"Follow it with `kinsight jobs {job.id} --wait`.")
