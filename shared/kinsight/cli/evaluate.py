"""`kinsight evaluate`: how well a library is searched, in every space and routing mode."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinsight.cli.following import follow, succeeded
from kinsight.cli.options import ApiKey, Json, Url, Wait
from kinsight.cli.output import note
from kinsight.cli.progress import UploadBar
from kinsight.cli.session import Session, open_session
from kinsight.errors import KinsightError, NoModel

if TYPE_CHECKING:
    from kinsight.cli.output import Output
    from kinsight.contracts.evaluation import Evaluation, EvaluationRow
    from kinsight.contracts.jobs import Job

_COLUMNS = {
    "space": "space",
    "routing": "routing",
    ">P@1": "p_at_1",
    ">P@5": "p_at_5",
    ">P@10": "p_at_10",
    ">mAP": "map",
    ">top-1 error": "top1_error",
    ">compared": "compared_mean",
    ">ms per query": "milliseconds_mean",
}
_FORMATS = {"compared_mean": ".1f", "milliseconds_mean": ".2f"}


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
            print_evaluation(session.out, evaluation.model_dump())


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
    from kinsight.contracts.evaluation import Evaluation  # pydantic: not for `kinsight --help`

    if job.result is None:
        raise KinsightError(f"The evaluate job {job.id} ended without a result.")
    return Evaluation.model_validate(job.result)


def print_evaluation(out: Output, document: Mapping[str, Any]) -> None:
    """Prints an Evaluation as it travels."""
    from kinsight.contracts.evaluation import Evaluation  # pydantic: not for `kinsight --help`

    evaluation = Evaluation.model_validate(document)
    out.line(
        f"{evaluation.queries:,} queries on {evaluation.library} with model {evaluation.model}"
    )
    if evaluation.skipped:
        out.line(f"{evaluation.skipped:,} more could not be read, or lie in no class folder")
    for label, queries in evaluation.unknown_labels.items():
        out.line(f"{queries:,} of them are of {label}, of which the library has no image")
    out.table(
        list(_COLUMNS),
        [[_cell(row, name) for name in _COLUMNS.values()] for row in evaluation.results],
    )


def _cell(row: EvaluationRow, name: str) -> str:
    value = getattr(row, name)
    return f"{value:,{_FORMATS.get(name, '.4f')}}" if isinstance(value, float) else str(value)


def _start(session: Session, model: str, queries: Path | None) -> Job:
    with UploadBar("sending queries") as bar:
        return session.client.evaluate(model, queries, on_sent=bar.sent)
