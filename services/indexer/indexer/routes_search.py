"""Search routes: envelopes in, hits out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from indexer.search import SearchOptions
from indexer.state import IndexerState
from kinsight.contracts.embeddings import Embeddings
from kinsight.contracts.ingest import BatchAnswers
from kinsight.contracts.search import IndexAnswer, RoutingMode, SpaceName

router = APIRouter()

K = Annotated[int, Query(ge=1, le=1000)]


@router.post("/libraries/{name}/search")
async def search(
    state: IndexerState,
    request: Request,
    name: str,
    model: str,
    k: K = 10,
    space: SpaceName = SpaceName.AUTO,
    routing: RoutingMode = RoutingMode.ADAPTIVE,
    classes: Annotated[list[str], Query()] = [],  # noqa: B006  FastAPI copies it
    min_similarity: float | None = None,
    superseded: bool = False,
) -> IndexAnswer:
    embeddings = Embeddings.from_bytes(await request.body())
    options = SearchOptions(k, space, routing, classes, min_similarity)
    return await state.searcher.search(name, model, embeddings, options, superseded=superseded)


@router.post("/libraries/{name}/search-batch")
async def search_batch(
    state: IndexerState,
    request: Request,
    name: str,
    model: str,
    k: K = 10,
    space: SpaceName = SpaceName.AUTO,
    routing: RoutingMode = RoutingMode.ADAPTIVE,
    crops: Annotated[int | None, Query(description="Of the index, among several.")] = None,
) -> BatchAnswers:
    embeddings = Embeddings.from_bytes(await request.body())
    answers = await state.searcher.search_batch(
        name, model, embeddings, SearchOptions(k, space, routing), crops
    )
    return BatchAnswers(answers=answers)
