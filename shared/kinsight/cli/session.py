"""One command's run: its client, its way of printing, its exit code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from kinsight.cli.options import Global
from kinsight.cli.output import Output, refuse
from kinsight.errors import BadRequest, KinsightError

if TYPE_CHECKING:
    from kinsight.clients import Kinsight


@dataclass(frozen=True)
class Session:
    client: Kinsight
    out: Output


@contextmanager
def open_session(
    context: typer.Context, url: str | None, api_key: str | None, json: bool
) -> Iterator[Session]:
    """A client for the address asked for; an error of the system is printed and ends with 1."""
    # httpx and the wire models take longer to load than all the rest of `kinsight --help`.
    from kinsight.clients import Kinsight
    from kinsight.clients.public_connection import DEFAULT_URL

    before: Global = context.obj or Global()
    url = url or before.url or os.environ.get("KINSIGHT_URL") or DEFAULT_URL
    api_key = api_key or before.api_key or os.environ.get("KINSIGHT_API_KEY")
    with reporting(json or before.json) as out, Kinsight(url, api_key) as client:
        yield Session(client, out)


@contextmanager
def reporting(json: bool) -> Iterator[Output]:
    """Prints the problem object of an error and ends with exit code 1."""
    try:
        yield Output(json)
    except KinsightError as error:
        refuse(error, json)
        raise typer.Exit(1) from error
    except OSError as error:
        if error.filename is None:
            raise
        refuse(BadRequest(f"{error.filename}: {error.strerror}."), json)
        raise typer.Exit(1) from error
