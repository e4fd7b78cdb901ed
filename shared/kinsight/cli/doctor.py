"""`kinsight doctor` and `kinsight sla`: is everything well, and is what was promised kept?"""

from __future__ import annotations

from typing import Annotated

import typer

from kinsight.cli.options import ApiKey, Json, Url
from kinsight.cli.output import figure
from kinsight.cli.session import open_session


def doctor(
    context: typer.Context, url: Url = None, api_key: ApiKey = None, json: Json = False
) -> None:
    """Check every part of the system; ends with 1 where one is not ok."""
    with open_session(context, url, api_key, json) as session:
        report = session.client.doctor()
        if session.out.json:
            session.out.document(report)
        else:
            rows = [
                [check.check, _word(check.ok), check.detail, check.advice]
                for check in report.checks
            ]
            session.out.table(["check", "", "found", "what to do"], rows)
        if not report.ok:
            raise typer.Exit(1)


def sla(
    context: typer.Context,
    hours: Annotated[float, typer.Option(help="Measured over the last hours.")] = 24.0,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Compare what is promised with what was measured; ends with 1 where a promise is missed."""
    with open_session(context, url, api_key, json) as session:
        report = session.client.sla(hours)
        if session.out.json:
            session.out.document(report)
        else:
            rows = [
                [
                    one.name,
                    one.target,
                    "" if one.value is None else f"{figure(one.value)} {one.unit}",
                    _word(one.ok),
                    one.advice,
                ]
                for one in report.requirements
            ]
            session.out.table(["promise", "target", "measured", "", "what to do"], rows)
        if report.ok is False:
            raise typer.Exit(1)


def _word(ok: bool | None) -> str:
    return "not measured" if ok is None else "ok" if ok else "NOT OK"
