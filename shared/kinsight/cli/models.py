"""`kinsight models`: what has been trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kinsight.cli.evaluate import print_evaluation
from kinsight.cli.options import ApiKey, Json, PerClass, Url
from kinsight.cli.output import count, note, seconds
from kinsight.cli.session import open_session

if TYPE_CHECKING:
    from kinsight.cli.output import Output
    from kinsight.contracts.models import Model


def models(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(help="One model, with its card.")] = None,
    library: Annotated[str | None, typer.Option(help="Only this library's.")] = None,
    per_class: PerClass = False,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """List the models, or show one with its card."""
    with open_session(context, url, api_key, json) as session:
        if model is not None:
            one = session.client.model(model)
            if session.out.json:
                session.out.document(one)
            else:
                _print_card(session.out, one, per_class=per_class)
            return
        found = session.client.models(library)
        if session.out.json:
            session.out.document({"models": [m.model_dump(mode="json") for m in found]})
        elif found:
            _print(session.out, found)
        else:
            note("There is no model yet; `kinsight train LIBRARY` makes one.")


def _print(out: Output, found: list[Model]) -> None:
    out.table(
        ["model", "library", "live", "network", "recipe", ">classes", ">validation", ">time"],
        [
            [
                model.id,
                model.library,
                "live" if model.live else "",
                model.network,
                model.card.recipe,
                count(len(model.card.classes)),
                _share(model.card.accuracy.validation),
                seconds(model.card.seconds),
            ]
            for model in found
        ],
    )


def _print_card(out: Output, model: Model, *, per_class: bool) -> None:
    card = model.card.model_dump(mode="json")
    measured = card.pop("evaluation")
    del card["validation_image_ids"]
    out.facts({"id": card.pop("id"), "live": "yes" if model.live else "no", **card})
    if measured:
        out.line("")
        print_evaluation(out, measured, per_class=per_class)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"
