"""`kinsight ingest`: pictures into a library."""

from __future__ import annotations

import enum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinsight.cli.following import follow, succeeded
from kinsight.cli.options import ApiKey, Json, Url, Wait
from kinsight.cli.output import count, note
from kinsight.cli.progress import UploadBar
from kinsight.cli.session import Session, open_session

if TYPE_CHECKING:
    from kinsight.contracts.jobs import Job

OUTCOMES = ("indexed", "stored", "duplicate", "rejected")
_SHOWN = 20  # rejected files named at the end; `kinsight jobs JOB --items` names them all


class Labels(enum.StrEnum):
    FOLDERS = "folders"
    NONE = "none"


def ingest(
    context: typer.Context,
    library: Annotated[str, typer.Argument(help="The library; it is made when it is not there.")],
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            exists=True,
            help="Folders, pictures, and zip or tar archives.",
        ),
    ],
    labels: Annotated[
        Labels, typer.Option(help="`folders`: the last folder of a file's name is its label.")
    ] = Labels.FOLDERS,
    wait: Wait = True,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Send pictures to a library; sending the same ones again changes nothing."""
    with open_session(context, url, api_key, json) as session:
        jobs = [_send(session, library, batch, labels) for batch in batches(paths)]
        if wait:
            jobs = [succeeded(follow(session, job)) for job in jobs]
        answer = _answer(session, library, jobs, wait)
        if session.out.json:
            session.out.document(answer)
        else:
            _print(session, answer)


def batches(paths: list[Path]) -> list[list[Path]]:
    """Each archive is an upload of its own; folders and pictures are one together."""
    from kinsight.clients.public_body import archive_type

    rest = [path for path in paths if not archive_type(path)]
    return [[path] for path in paths if archive_type(path)] + ([rest] if rest else [])


def _send(session: Session, library: str, paths: list[Path], labels: Labels) -> Job:
    name = paths[0].name if len(paths) == 1 else f"{len(paths)} paths"
    with UploadBar(f"sending {name}") as bar:
        return session.client.index_batch(library, paths, labels.value, on_sent=bar.sent)


def _answer(session: Session, library: str, jobs: list[Job], ended: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "library": library,
        "jobs": [job.model_dump(mode="json") for job in jobs],
    }
    if ended:
        document["totals"] = {
            outcome: sum(int((job.result or {}).get(outcome, 0)) for job in jobs)
            for outcome in OUTCOMES
        }
        rejected = (item for job in jobs for item in session.client.items(job.id, "rejected"))
        document["rejected"] = [
            {"name": item.name, "reason": item.reason} for item in islice(rejected, _SHOWN)
        ]
    return document


def _print(session: Session, answer: dict[str, Any]) -> None:
    if "totals" not in answer:
        for job in answer["jobs"]:
            session.out.line(job["id"])
            note(f"Follow it with `kinsight jobs {job['id']} --wait`.")
        return
    totals = answer["totals"]
    session.out.table(
        ["library", *(f">{name}" for name in (*OUTCOMES, "files"))],
        [
            [
                answer["library"],
                *(count(totals[name]) for name in OUTCOMES),
                count(sum(totals.values())),
            ]
        ],
    )
    for item in answer["rejected"]:
        note(f"rejected {item['name']}: {item['reason']}")
    more = totals["rejected"] - len(answer["rejected"])
    if more > 0:
        note(f"… and {more:,} more; for all of them:")
        for job in answer["jobs"]:
            note(f"  kinsight jobs {job['id']} --items --outcome rejected")
