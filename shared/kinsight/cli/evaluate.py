"""`kinsight evaluate`: how well a library is searched, in every space and routing mode."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinsight.cli.following import follow, succeeded
from kinsight.cli.options import ApiKey, Json, Url, Wait
from kinsight.cli.output import note
from kinsight.cli.progress import UploadBar
from kinsight.cli.session import Session, open_session
from kinsight.errors import KinsightError, NoModel

if TYPE_CHECKING:
    from kinsight.cli.output import Output
    from kinsight.contracts.jobs import Job
    from kinsight.contracts.models import Evaluation


def evaluate(
    context: typer.Context,
    library: Annotated[str, typer.Argument()],
    queries: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            help="A folder or archive of class folders; else the images kept for validation.",
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Another model than the live one.")] = None,
    wait: Wait = True,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Measure P@1, P@5, P@10 and mAP of a library's live model."""
    with open_session(context, url, api_key, json) as session:
        job = _start(session, model or live_model(session, library), queries)
        if not wait:
            if session.out.json:
                session.out.document(job)
            else:
                session.out.line(job.id)
                note(f"Follow it with `kinsight jobs {job.id} --wait`.")
            return
        evaluation = result_of(succeeded(follow(session, job)))
        if session.out.json:
            session.out.document(evaluation)
        else:
            print_evaluation(session.out, evaluation)


def live_model(session: Session, library: str) -> str:
    """Raises LibraryNotFound, NoModel."""
    model = session.client.library(library).model
    if model is None:
        raise NoModel(
            f"The library {library} has no model yet; train one with `kinsight train {library}`."
        )
    return model


def result_of(job: Job) -> Evaluation:
    """The Evaluation that an evaluate job ended with."""
    from kinsight.contracts.models import Evaluation  # pydantic: not for `kinsight --help`

    if job.result is None:
        raise KinsightError(f"The evaluate job {job.id} ended without a result.")
    return Evaluation.model_validate(job.result)


def print_evaluation(out: Output, evaluation: Evaluation) -> None:
    out.line(
        f"{evaluation.queries:,} queries on {evaluation.library} with model {evaluation.model}"
    )
    out.table(
        [
            "space",
            "routing",
            ">P@1",
            ">P@5",
            ">P@10",
            ">mAP",
            ">top-1 error",
            ">compared",
            ">ms per query",
        ],
        [
            [
                row.space,
                row.routing,
                f"{row.p_at_1:.4f}",
                f"{row.p_at_5:.4f}",
                f"{row.p_at_10:.4f}",
                f"{row.map:.4f}",
                f"{row.top1_error:.4f}",
                f"{row.compared_mean:,.1f}",
                f"{row.milliseconds_mean:.2f}",
            ]
            for row in evaluation.results
        ],
    )


def _start(session: Session, model: str, queries: Path | None) -> Job:
    with UploadBar("sending queries") as bar:
        return session.client.evaluate(model, queries, on_sent=bar.sent)
