"""`kinsight delete`: a library, a model, or an image."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kinsight.cli.options import ApiKey, Json, Url
from kinsight.cli.session import open_session


def delete(
    context: typer.Context,
    library: Annotated[str | None, typer.Argument(help="With all its images.")] = None,
    model: Annotated[str | None, typer.Option(help="A model that no library is live on.")] = None,
    image: Annotated[str | None, typer.Option(help="One image.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Delete a library with all its images, a model, or an image."""
    named = {"library": library, "model": model, "image": image}
    chosen = [(kind, name) for kind, name in named.items() if name is not None]
    if len(chosen) != 1:
        raise typer.BadParameter("name one LIBRARY, --model or --image.")
    ((kind, name),) = chosen
    if sys.stdin.isatty() and not yes:
        typer.confirm(f"Delete the {kind} {name} for good?", abort=True, err=True)
    with open_session(context, url, api_key, json) as session:
        calls = {
            "library": session.client.delete_library,
            "model": session.client.delete_model,
            "image": session.client.delete_image,
        }
        calls[kind](name)
        if session.out.json:
            session.out.document({"deleted": {kind: name}})
        else:
            session.out.line(f"The {kind} {name} is deleted.")
