"""Options that every command takes, before its name and after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="Address of the gateway; else KINSIGHT_URL, else http://localhost:8000.",
    ),
]
ApiKey = Annotated[
    str | None, typer.Option("--api-key", metavar="KEY", help="API key; else KINSIGHT_API_KEY.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Wait = Annotated[
    bool,
    typer.Option("--wait/--no-wait", help="Follow the job to its end, or return it at once."),
]
PerClass = Annotated[
    bool, typer.Option("--per-class", help="Show the figures of each class, the worst first.")
]


@dataclass(frozen=True)
class Global:
    """What stood before the command's name."""

    url: str | None = None
    api_key: str | None = None
    json: bool = False
