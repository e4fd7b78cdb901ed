"""`kinsight models report MODEL`: a model's page and pictures as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from kinsight.cli.models import models
from kinsight.cli.options import ApiKey, Json, Url
from kinsight.cli.output import note
from kinsight.cli.session import open_session

if TYPE_CHECKING:
    from kinsight.clients import Kinsight


class _Models(TyperGroup):
    """`kinsight models` and `kinsight models MODEL` are `kinsight models show`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)


group = typer.Typer(
    cls=_Models,
    help="List the models, show one with its card, or fetch its report.",
    rich_markup_mode=None,
)
group.command("show", help="List the models, or show one; `show` may be left out.")(models)


@group.command("report")
def report(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="The model's id.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; else one named after the model.")
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Fetch a model's page, pictures and figures as files."""
    with open_session(context, url, api_key, json) as session:
        folder = out or Path(f"{model}-report")
        written = _fetch(session.client, model, folder)
        page = folder / written[0]
        if session.out.json:
            session.out.document(
                {"model": model, "page": str(page), "files": [str(folder / f) for f in written]}
            )
        else:
            session.out.line(str(page))


def _fetch(client: Kinsight, model: str, folder: Path) -> list[str]:
    """Writes the files that there are; the page first."""
    from kinsight.contracts.reports import REPORT_FILES

    # Asked for before the folder is made: there may be no such model.
    missing = client.report(model).missing
    files = [file for file in REPORT_FILES if file not in missing]
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file).write_bytes(client.report_file(model, file))
    for file, reason in missing.items():
        note(f"There is no {file}: {reason}")
    return files
