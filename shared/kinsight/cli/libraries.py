"""`kinsight libraries`: what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kinsight.cli.options import ApiKey, Json, Url
from kinsight.cli.output import count, note
from kinsight.cli.session import open_session

if TYPE_CHECKING:
    from kinsight.cli.output import Output
    from kinsight.contracts.libraries import Library


def libraries(
    context: typer.Context,
    library: Annotated[str | None, typer.Argument(help="One library, with its labels.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """List the libraries, or show one with its labels."""
    with open_session(context, url, api_key, json) as session:
        if library is not None:
            one = session.client.library(library)
            if session.out.json:
                session.out.document(one)
            else:
                _print(session.out, [one])
                _print_labels(session.out, one)
            return
        found = session.client.libraries()
        if session.out.json:
            session.out.document(
                {"libraries": [one.model_dump(mode="json", by_alias=True) for one in found]}
            )
        elif found:
            _print(session.out, found)
        else:
            note("There is no library yet; `kinsight ingest LIBRARY FOLDER` makes one.")


def _print(out: Output, found: list[Library]) -> None:
    out.table(
        ["library", ">images", ">searchable", ">labels", "model"],
        [
            [one.name, count(one.images), count(one.indexed), count(len(one.labels)), one.model]
            for one in found
        ],
    )


def _print_labels(out: Output, library: Library) -> None:
    rows = [[label, count(images)] for label, images in sorted(library.labels.items())]
    unlabelled = library.images - sum(library.labels.values())
    if unlabelled:
        rows.append(["(none)", count(unlabelled)])
    out.table(["label", ">images"], rows)
