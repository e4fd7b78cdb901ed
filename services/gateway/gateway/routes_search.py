"""POST /search: bytes → extractor → embedding → indexer → hits."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request

from gateway import metrics
from gateway.bodies import read_image
from gateway.state import GatewayState, State
from kinsight.clients.http import Query as Parameters
from kinsight.contracts import search as contract
from kinsight.contracts.embeddings import read_meta
from kinsight.contracts.search import IndexAnswer, RoutingMode, SearchAnswer, SpaceName
from kinsight.errors import InvalidRequest, ModelNotFound, ModelNotLive
from kinsight.store import blob_key

router = APIRouter(tags=["search"])
_ATTEMPTS = 5  # models that may go live under one search

_BODY = {
    "requestBody": {
        "required": False,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"image": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}
_EXAMPLE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/json": {
                "example": {
                    "library": "shop",
                    "model": "3f0c5a52",
                    "space": "auto",
                    "match": True,
                    "query": {
                        "width": 640,
                        "height": 480,
                        "classes": [{"class": "hat", "probability": 0.93}],
                    },
                    "routing": {
                        "mode": "adaptive",
                        "classes": ["hat"],
                        "probability": 0.93,
                        "compared": 1204,
                        "library_size": 3068,
                    },
                    "hits": [
                        {
                            "image_id": "17",
                            "class": "hat",
                            "label": "hat",
                            "distance": 0.12,
                            "similarity": 0.893,
                            "filename": "hat/17.jpg",
                            "content_url": "/images/17/content",
                            "thumbnail_url": "/images/17/thumbnail",
                        }
                    ],
                    "timings_ms": {
                        "receive": 0.2,
                        "queue": 0.4,
                        "decode": 2.1,
                        "embed": 14.0,
                        "search": 2.9,
                        "transfer": 1.3,
                        "total": 20.9,
                    },
                    "device": "cpu",
                }
            }
        }
    }
}


@dataclass(frozen=True)
class _Found:
    answer: IndexAnswer
    meta: dict[str, Any]
    calls_ms: float


@router.post(
    "/search",
    summary="What looks like this?",
    openapi_extra=_BODY,
    responses=_EXAMPLE,
)
async def search(
    state: GatewayState,
    request: Request,
    library: str,
    k: Annotated[int, Query(ge=1, le=1000, description="How many hits.")] = 10,
    space: SpaceName = SpaceName.AUTO,
    routing: Annotated[
        RoutingMode, Query(description="Which class tables are scanned.")
    ] = RoutingMode.ADAPTIVE,
    classes: Annotated[
        list[str], Query(description="Scan these classes' tables instead; repeat, or use commas.")
    ] = [],  # noqa: B006  FastAPI copies it
    min_similarity: Annotated[float | None, Query(ge=0, le=1)] = None,
    crop: Annotated[str | None, Query(description="x,y,w,h in pixels of the picture.")] = None,
    # texts: pydantic reads no whole numbers for a Literal from a query
    crops: Annotated[Literal["1", "10"], Query(description="10: mean of ten crops.")] = "1",
    image_id: Annotated[str | None, Query(description="Search with an image of ours.")] = None,
    image_url: Annotated[str | None, Query(description="Fetch the picture from there.")] = None,
) -> SearchAnswer:
    """Send the bytes of one image as the body, or as the multipart field `image`; or name an
    image by `image_id` or `image_url`."""
    began = time.perf_counter()
    if routing is RoutingMode.NAMED and not any(classes):
        raise InvalidRequest("routing=named needs the names in `classes`.")
    image = await _image(state, request, image_id, image_url)
    received = time.perf_counter()
    query: Parameters = {
        "k": k,
        "space": space.value,
        "routing": routing.value,
        "classes": classes,
        "min_similarity": min_similarity,
    }
    found = await _find(state, library, image, query, crop=crop, crops=int(crops))
    answer, meta = found.answer, found.meta
    parts = {
        "receive": (received - began) * 1e3,
        **meta["timings_ms"],
        "search": answer.search_ms,
    }
    inside = sum(meta["timings_ms"].values()) + answer.search_ms
    parts["transfer"] = max(found.calls_ms - inside, 0.0)
    parts["total"] = (time.perf_counter() - began) * 1e3
    metrics.observe_search(parts)
    return SearchAnswer(
        library=library,
        model=answer.model,
        space=space,
        match=answer.match,
        query=contract.Query(width=meta["width"], height=meta["height"], classes=answer.classes),
        routing=answer.routing,
        hits=answer.hits,
        timings_ms={name: round(value, 2) for name, value in parts.items()},
        device=meta["device"],
    )


async def _image(
    state: State, request: Request, image_id: str | None, image_url: str | None
) -> bytes:
    if image_id is not None and image_url is not None:
        raise InvalidRequest("Send one of a body, `image_id` and `image_url`.")
    if image_id is not None:
        return await state.store.get(blob_key((await state.indexer.image(image_id)).sha256))
    if image_url is not None:
        return await state.fetcher.fetch(image_url)
    return await read_image(request, state.settings.max_image_bytes)


async def _find(
    state: State, library: str, image: bytes, query: Parameters, *, crop: str | None, crops: int
) -> _Found:
    """Embeds and searches under the live model; again where another went live in between.

    The first attempt goes by memory, so the indexer may know better. From then on the model was
    live during this very search, and may answer it even when it is overtaken by the next.
    """
    model, remembered = await state.live_models.of(library), True
    for _ in range(_ATTEMPTS):
        began = time.perf_counter()
        asked = {"model": model, "superseded": str(not remembered).lower(), **query}
        try:
            envelope = await state.extractor.embed(image, model, crop=crop, crops=crops)
            answer = await state.indexer.search(library, envelope, asked)
        except (ModelNotLive, ModelNotFound):
            model, remembered = await state.live_models.ask(library), False
            continue
        return _Found(answer, read_meta(envelope), (time.perf_counter() - began) * 1e3)
    raise ModelNotLive(f"The model of library {library!r} changes all the time; try again.")
