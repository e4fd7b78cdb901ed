"""`kinsight`: the command line, on the public client."""

from __future__ import annotations

from typing import Annotated

import typer

from kinsight import __version__
from kinsight.cli import (
    delete,
    demo,
    doctor,
    evaluate,
    gate,
    ingest,
    jobs,
    libraries,
    maintain,
    report,
    reproduce,
    search,
    train,
    up,
)
from kinsight.cli.options import ApiKey, Global, Json, Url

app = typer.Typer(
    name="kinsight",
    help="Visual search that learns your own categories.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _global(
    context: typer.Context,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    context.obj = Global(url, api_key, json)


app.command("up")(up.up)
app.command("demo")(demo.demo)
app.command("ingest")(ingest.ingest)
app.command("train")(train.train)
app.command("search")(search.search)
app.command("evaluate")(evaluate.evaluate)
app.command("libraries")(libraries.libraries)
app.add_typer(report.group, name="models")
app.command("jobs")(jobs.jobs)
app.command("doctor")(doctor.doctor)
app.command("sla")(doctor.sla)
app.command("promote")(maintain.promote)
app.command("rollback")(maintain.rollback)
app.command("promotions")(gate.promotions)
app.command("floor")(gate.floor)
app.command("clear")(maintain.clear)
app.command("rebuild")(maintain.rebuild)
app.command("delete")(delete.delete)
app.command("reproduce")(reproduce.reproduce)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
