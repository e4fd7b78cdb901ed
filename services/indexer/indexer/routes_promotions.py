"""Routes of what goes live: promotions, rollbacks, rebuilds, and the indexes of models."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query

from indexer import libraries, metrics, promotions, submission
from indexer.state import IndexerState
from kinsight.contracts.base import Wire
from kinsight.contracts.ingest import ModelUse
from kinsight.contracts.jobs import Job, JobKind
from kinsight.contracts.libraries import Library
from kinsight.contracts.promotions import Crops, Outcome, PromoteRequest, PromotionPage

router = APIRouter()


class RebuildRequest(Wire):
    crops: Crops | None = None


@router.post("/libraries/{name}/promote", status_code=202)
async def promote(
    state: IndexerState,
    name: str,
    request: PromoteRequest,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Job:
    return await submission.promote(
        state.pool, state.store, state.jobs, name, request, idempotency_key
    )


@router.get("/libraries/{name}/promotions")
async def history(
    state: IndexerState,
    name: str,
    page_size: Annotated[int, Query(ge=1, le=1000)] = 100,
    page_token: str | None = None,
) -> PromotionPage:
    library = await libraries.library_id(state.pool, name)
    return await promotions.page(state.pool, library, page_size=page_size, page_token=page_token)


@router.post("/libraries/{name}/rollback")
async def rollback(
    state: IndexerState,
    name: str,
    by: Annotated[str | None, Query(max_length=200)] = None,
    reason: Annotated[str | None, Query(max_length=1000)] = None,
) -> Library:
    library = await libraries.roll_back(state.pool, name, by, reason)
    metrics.PROMOTIONS.labels(Outcome.ROLLED_BACK).inc()
    if library.indexed < library.images:  # what came in since the other model went live
        await state.jobs.submit(JobKind.REINDEX, {"mode": "catch-up"}, library=name)
    return library


@router.post("/libraries/{name}/rebuild", status_code=202)
async def rebuild(state: IndexerState, name: str, request: RebuildRequest | None = None) -> Job:
    crops = request.crops if request else None
    return await submission.rebuild(state.pool, state.jobs, name, crops)


@router.get("/models/{model}/use")
async def model_use(state: IndexerState, model: str) -> ModelUse:
    return await libraries.model_use(state.pool, model)


@router.delete("/models/{model}/indexes", status_code=204)
async def drop_model(state: IndexerState, model: str) -> None:
    await libraries.drop_model(state.pool, model)
