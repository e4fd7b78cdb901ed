"""`kinsight search`: what looks like this?"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinsight.cli.options import ApiKey, Json, Url
from kinsight.cli.session import Session, open_session

if TYPE_CHECKING:
    from kinsight.cli.output import Output
    from kinsight.contracts.search import SearchAnswer

_REMOTE = ("http://", "https://")


class Space(enum.StrEnum):
    AUTO = "auto"
    SOFTMAX = "softmax"
    FEATURE = "feature"
    HASH = "hash"


class Routing(enum.StrEnum):
    ADAPTIVE = "adaptive"
    ARGMAX = "argmax"
    ALL = "all"


def search(
    context: typer.Context,
    library: Annotated[str, typer.Argument()],
    image: Annotated[str | None, typer.Argument(help="A file, or http(s)://…")] = None,
    image_id: Annotated[str | None, typer.Option(help="A stored image instead.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many hits.")] = 10,
    space: Annotated[Space, typer.Option()] = Space.AUTO,
    routing: Annotated[Routing, typer.Option()] = Routing.ADAPTIVE,
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="Only this class; may be repeated.")
    ] = None,
    min_similarity: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    crop: Annotated[str | None, typer.Option(metavar="X,Y,W,H", help="Part of the image.")] = None,
    crops: Annotated[int, typer.Option(help="1, or 10 to average over crops.")] = 1,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Find the pictures of a library that look like a picture."""
    if (image is None) == (image_id is None):
        raise typer.BadParameter("name a file or an address, or give --image-id.")
    if image and not image.startswith(_REMOTE) and not Path(image).is_file():
        raise typer.BadParameter(f"there is no file {image}.")
    options = {
        "k": k,
        "space": space.value,
        "routing": routing.value,
        "classes": classes,
        "min_similarity": min_similarity,
        "crop": _crop(crop),
        "crops": crops,
    }
    with open_session(context, url, api_key, json) as session:
        answer = _search(session, library, image, image_id, options)
        if session.out.json:
            session.out.document(answer)
        else:
            print_answer(session.out, answer)


def _search(
    session: Session,
    library: str,
    image: str | None,
    image_id: str | None,
    options: dict[str, Any],
) -> SearchAnswer:
    if image is None:
        return session.client.search_image(library, image_id or "", **options)
    if image.startswith(_REMOTE):
        return session.client.search_url(library, image, **options)
    return session.client.search(library, Path(image), **options)


def print_answer(out: Output, answer: SearchAnswer) -> None:
    """The hits as a table, and below it what was compared and how long it took."""
    out.table(
        [">#", ">similarity", ">distance", "class", "label", "file", "image"],
        [
            [
                number,
                f"{hit.similarity:.3f}",
                f"{hit.distance:.4g}",
                hit.class_,
                hit.label,
                hit.filename,
                hit.image_id,
            ]
            for number, hit in enumerate(answer.hits, 1)
        ],
    )
    routing = answer.routing
    if not answer.match:
        out.line("Nothing in this library is as near as a picture of its classes should be.")
    tables = ", ".join(routing.classes)
    out.line(
        f"{routing.compared:,} of {routing.library_size:,} compared, {routing.mode} routing to "
        f"{tables or 'no table'} ({routing.probability:.0%}), space {answer.space}, "
        f"{answer.timings_ms.get('total', 0.0):.1f} ms on {answer.device}"
    )


def _crop(text: str | None) -> tuple[int, int, int, int] | None:
    if text is None:
        return None
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter("--crop takes four whole numbers: X,Y,W,H.") from error
    return x, y, width, height
