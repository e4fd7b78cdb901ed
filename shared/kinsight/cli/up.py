"""`kinsight up`: the whole system on this machine."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinsight.cli.beside import beside
from kinsight.cli.output import Output, note, refuse
from kinsight.cli.sample_loop import SampleLoop, Stopped
from kinsight.cli.search import print_answer
from kinsight.cli.session import reporting
from kinsight.errors import KinsightError

if TYPE_CHECKING:
    from kinsight.local.instance import Instance


def up(
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Where everything is kept; else KINSIGHT_DATA_DIR, else your home's."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the gateway; 0 for any that is free.")
    ] = 8000,
    host: Annotated[str, typer.Option(help="Where the gateway listens.")] = "127.0.0.1",
    sample: Annotated[
        bool, typer.Option(help="Load the built-in sample when there is no library yet.")
    ] = True,
) -> None:
    """Start Kinsight here, and run it until Ctrl-C."""
    # The embedded run brings asyncpg, aiohttp and pydantic-settings: not for `kinsight --help`.
    from kinsight.local.instance import UpOptions, run_up

    async def ready(instance: Instance) -> None:
        note(f"Kinsight runs at {instance.url}")
        if sample:
            await beside(lambda stop: load_sample(instance.url, stop))
        print_addresses(instance)

    options = UpOptions(data_dir=data_dir, host=host, port=port)
    with reporting(json=False):
        note("Starting PostgreSQL and the services")
        asyncio.run(run_up(options, ready))
        note("Kinsight has stopped; everything is kept in the data folder")


def load_sample(url: str, stop: threading.Event) -> None:
    """Loads the sample where there is no library; what goes wrong is told, and Kinsight runs on."""
    from kinsight.clients import Kinsight  # after the start, which imports it anyway

    try:
        with Kinsight(url, first_key()) as client:
            loop = SampleLoop(client, stop)
            library = loop.wanted()
            if library is not None:
                print_answer(Output(json=False), loop.load(library))
    except Stopped:
        return
    except KinsightError as error:
        if not stop.is_set():
            note("The sample could not be loaded; everything else works.")
            refuse(error, as_json=False)


def print_addresses(instance: Instance) -> None:
    lines = {
        "Kinsight": instance.url,
        "REST, to try": f"{instance.url}/docs",
        "Data": str(instance.data_dir),
        "Logs": str(instance.logs),
    }
    typer.echo()
    for name, value in lines.items():
        typer.echo(f"{name + ':':14}{value}")
    typer.echo("Stop it with Ctrl-C.")


def first_key() -> str | None:
    """A key of the server started here, where it asks for one."""
    keys = os.environ.get("KINSIGHT_API_KEYS", "").split(",")
    return next((key.strip() for key in keys if key.strip()), None)
