"""`kinsight train`: a network for a library."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinsight.cli.evaluate import print_evaluation
from kinsight.cli.following import follow, refusal, succeeded
from kinsight.cli.options import ApiKey, Json, Url, Wait
from kinsight.cli.output import count, note, seconds
from kinsight.cli.progress import UploadBar
from kinsight.cli.session import Session, open_session
from kinsight.cli.train_options import read_options

if TYPE_CHECKING:
    from kinsight.contracts.jobs import Job


class Then(enum.StrEnum):
    PROMOTE = "promote"
    EVALUATE = "evaluate"
    NOTHING = "nothing"


def train(
    context: typer.Context,
    library: Annotated[str, typer.Argument()],
    network: Annotated[
        str, typer.Option(help="alexnet, torchvision/NAME, or ensemble.")
    ] = "alexnet",
    recipe: Annotated[
        str, typer.Option(help="fine-tune, head, fast, paper-2012; average for an ensemble.")
    ] = "fine-tune",
    weights: Annotated[
        str, typer.Option(help="default (torchvision's download), none, sha256:…, or a file.")
    ] = "none",
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Of the recipe or the network; may be repeated."),
    ] = None,
    network_option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Of the network.")
    ] = None,
    recipe_option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Of the recipe.")
    ] = None,
    then: Annotated[
        Then, typer.Option(help="Make the model live, measure it beside the live one, or neither.")
    ] = Then.PROMOTE,
    min_images_per_class: Annotated[int, typer.Option(min=2)] = 100,
    seed: Annotated[int, typer.Option()] = 0,
    split_seed: Annotated[
        int, typer.Option(help="Which pictures are held out; an ensemble's is its models'.")
    ] = 0,
    crops: Annotated[
        int, typer.Option(help="1 or 10 per picture in the index that --then makes.")
    ] = 1,
    trained_by: Annotated[str | None, typer.Option(help="Kept in the model's card.")] = None,
    wait: Wait = True,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Train a network on the labelled pictures of a library."""
    options = read_options(option or [], network_option or [], recipe_option or [])
    with open_session(context, url, api_key, json) as session:
        with UploadBar("sending weights") as bar:
            job = session.client.train(
                library,
                network,
                options.network,
                recipe,
                options.recipe,
                weights,
                trained_by,
                min_images_per_class,
                seed,
                then.value,
                split_seed=split_seed,
                crops=crops,
                on_sent=bar.sent,
            )
        if wait:
            job = succeeded(follow(session, job))
        if session.out.json:
            session.out.document(job)
        elif not wait:
            session.out.line(job.id)
            note(f"Follow it with `kinsight jobs {job.id} --wait`.")
        else:
            _print(session, job)


def _print(session: Session, job: Job) -> None:
    result: dict[str, Any] = job.result or {}
    model_id = result.get("model")
    if model_id is None:
        session.out.line(f"Job {job.id} is done.")
        return
    model = session.client.model(model_id)
    card = model.card
    session.out.facts(
        {
            "model": model.id,
            "network": card.network,
            "recipe": card.recipe,
            "classes": count(len(card.classes)),
            "training images": count(card.training_images),
            "training accuracy": _share(card.accuracy.training),
            "validation accuracy": _share(card.accuracy.validation),
            "iterations": count(card.iterations),
            "time": seconds(card.seconds),
            "device": card.device,
            "live": "yes" if model.live else "no",
        }
    )
    refused = refusal(job)
    if refused:
        note(refused)
    if "evaluate_job" in result and card.evaluation:
        session.out.line("")
        print_evaluation(session.out, card.evaluation)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"
