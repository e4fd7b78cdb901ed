"""`kinsight evaluate`: how well a library is searched, in every space and routing mode."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinsight.cli.following import follow, succeeded
from kinsight.cli.options import ApiKey, Json, PerClass, Url, Wait
from kinsight.cli.output import note
from kinsight.cli.progress import UploadBar
from kinsight.cli.session import Session, open_session
from kinsight.errors import KinsightError, NoModel, WrongLibrary

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
    ">P@100": "p_at_100",
    ">mAP": "map",
    ">routing keeps": "routing_recall",
    ">hash keeps": "hash_recall",
    ">bytes": "bytes_per_image",
    ">compared": "compared_mean",
    ">ms": "milliseconds_mean",
}
_FORMATS = {
    "routing_recall": ".1%",
    "hash_recall": ".1%",
    "bytes_per_image": "d",
    "compared_mean": ".1f",
    "milliseconds_mean": ".2f",
}
_SEARCHED_BY_DEFAULT = ("auto", "adaptive")
_MOST_CONFUSIONS = 5
_LEAST_CONFUSED = 2  # queries: one alone says little


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
    crops: Annotated[
        int, typer.Option(help="1, or 10 to average each query over crops and mirrors.")
    ] = 1,
    per_class: PerClass = False,
    wait: Wait = True,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Measure precision, mAP, error and cost of searching a library with a model.

    Queries that the library holds already, or nearly, are left out.
    """
    with open_session(context, url, api_key, json) as session:
        job = _start(session, _model_of(session, library, model), queries, crops)
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
            print_evaluation(session.out, evaluation.model_dump(), per_class=per_class)


def _model_of(session: Session, library: str, model: str | None) -> str:
    """Raises LibraryNotFound, NoModel, ModelNotFound, WrongLibrary."""
    if model is None:
        return live_model(session, library)
    own = session.client.model(model).library
    if own != library:
        raise WrongLibrary(
            f"The model {model} is of the library {own}, not of {library}; "
            f"`kinsight models --library {library}` lists those that can be evaluated here."
        )
    return model


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


def print_evaluation(out: Output, document: Mapping[str, Any], *, per_class: bool = False) -> None:
    """Prints an Evaluation as it travels; per class as it is searched by default."""
    from kinsight.contracts.evaluation import Evaluation  # pydantic: not for `kinsight --help`

    evaluation = Evaluation.model_validate(document)
    by_crops = f", {evaluation.crops} crops each" if evaluation.crops > 1 else ""
    out.line(
        f"{evaluation.queries:,} queries on {evaluation.library} with model "
        f"{evaluation.model}{by_crops}"
    )
    if evaluation.skipped:
        out.line(f"{evaluation.skipped:,} more could not be read, or have no label")
    if evaluation.near_duplicates:
        out.line(
            f"{evaluation.near_duplicates:,} more are left out: the library has nearly the same"
        )
    for label, queries in evaluation.unknown_labels.items():
        out.line(f"{queries:,} of them are of {label}, of which the library has no image")
    out.table(
        list(_COLUMNS),
        [[_cell(row, name) for name in _COLUMNS.values()] for row in evaluation.results],
    )
    out.line("")
    any_row = evaluation.results[0]
    out.line(
        f"The network's own error: {any_row.top1_error:.2%} top-1, {any_row.top5_error:.2%} top-5"
    )
    if evaluation.embed_milliseconds_mean is not None:
        out.line(f"Embedding took {evaluation.embed_milliseconds_mean:.1f} ms per query")
    if per_class:
        _print_classes(out, evaluation)
    _print_confusions(out, evaluation)


def _print_classes(out: Output, evaluation: Evaluation) -> None:
    """The worst first."""
    searched = {(row.space, row.routing): row for row in evaluation.results}
    row = searched.get(_SEARCHED_BY_DEFAULT, evaluation.results[-1])
    out.line("")
    out.line(f"Per class, in {row.space} under {row.routing}")
    columns = [">P@1", ">P@5", ">P@10", ">P@100", ">mAP"]
    lines = []
    for label, found in sorted(row.per_class.items(), key=lambda item: (item[1].p_at_10, item[0])):
        errors = evaluation.per_class[label]
        figures = [f"{getattr(found, _COLUMNS[column]):.4f}" for column in columns]
        wrong = [f"{errors.top1_error:.2%}", f"{errors.top5_error:.2%}"]
        lines.append([label, f"{found.queries:,}", *figures, *wrong])
    out.table(["class", ">queries", *columns, ">top-1 error", ">top-5 error"], lines)


def _print_confusions(out: Output, evaluation: Evaluation) -> None:
    """The pairs of classes that the network confuses most."""
    pairs = [
        (count, label, predicted)
        for label, row in evaluation.confusion.items()
        for predicted, count in row.items()
        if predicted != label and count >= _LEAST_CONFUSED
    ]
    if not pairs:
        return
    out.line("")
    out.line("Most often confused")
    out.table(
        ["label", "taken for", ">queries", ">of"],
        [
            [label, predicted, f"{count:,}", f"{evaluation.per_class[label].queries:,}"]
            for count, label, predicted in sorted(pairs, key=lambda pair: (-pair[0], pair[1:]))[
                :_MOST_CONFUSIONS
            ]
        ],
    )


def _cell(row: EvaluationRow, name: str) -> str:
    value = getattr(row, name)
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,{_FORMATS.get(name, '.4f')}}"


def _start(session: Session, model: str, queries: Path | None, crops: int) -> Job:
    with UploadBar("sending queries") as bar:
        return session.client.evaluate(model, queries, crops=crops, on_sent=bar.sent)
