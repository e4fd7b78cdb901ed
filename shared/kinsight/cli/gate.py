"""`kinsight promotions` and `kinsight floor`: what went live, and what must be reached for it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from kinsight.cli.options import ApiKey, Json, Url
from kinsight.cli.output import note
from kinsight.cli.session import open_session

if TYPE_CHECKING:
    from kinsight.contracts.promotions import Promotion

_DEFAULT = "default"


def promotions(
    context: typer.Context,
    library: Annotated[str, typer.Argument(metavar="LIBRARY")],
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """List what went live in a library, what was refused, and who asked for it."""
    with open_session(context, url, api_key, json) as session:
        found = list(islice(session.client.promotions(library, page_size=min(limit, 1000)), limit))
        if session.out.json:
            session.out.document({"promotions": [one.model_dump(mode="json") for one in found]})
        elif found:
            session.out.table(
                ["at", "model", "outcome", ">P@10", ">live P@10", ">floor", "by", "why"],
                [_row(one) for one in found],
            )
        else:
            note(f"No model has gone live in {library} yet; `kinsight train {library}` makes one.")


def floor(
    context: typer.Context,
    library: Annotated[str, typer.Argument(metavar="LIBRARY")],
    value: Annotated[
        str | None,
        typer.Argument(metavar="[P@10]", help="0 to 1, or `default`; left out: shown."),
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Show or set the P@10 below which no model goes live in a library."""
    least = _least(value)
    with open_session(context, url, api_key, json) as session:
        found = (
            session.client.library(library)
            if value is None
            else session.client.set_floor(library, least)
        )
        if session.out.json:
            session.out.document(found)
        else:
            kind = " (the default: a first model goes live below it, too)"
            session.out.line(f"{found.floor:g}{kind if found.floor_is_default else ''}")


def _least(value: str | None) -> float | None:
    if value in (None, _DEFAULT):
        return None
    try:
        return float(value or "")
    except ValueError as error:
        raise typer.BadParameter(f"{value!r} is neither a number nor `{_DEFAULT}`.") from error


def _row(one: Promotion) -> list[str]:
    gate = one.gate
    return [
        f"{one.at.astimezone():%Y-%m-%d %H:%M}",
        one.model,
        one.outcome,
        _figure(gate.p_at_10 if gate else None),
        _figure(gate.live_p_at_10 if gate else None),
        f"{gate.floor:g}" if gate else "",
        one.by or "",
        one.reason or (gate.reason if gate and not gate.passed else ""),
    ]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
