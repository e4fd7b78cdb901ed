"""Job resources: poll, follow, cancel, the ledger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from gateway.state import GatewayState, State
from kinsight.contracts.jobs import IngestItemPage, ItemOutcome, Job, JobKind, JobPage, JobState
from kinsight.database.pool import CONNECTION_ERRORS

router = APIRouter(tags=["jobs"])
_LOOK_SECONDS = 0.4
_COMMENT_SECONDS = 15.0  # keeps proxies from closing a quiet stream


@router.get("/jobs")
async def list_jobs(
    state: GatewayState,
    kind: JobKind | None = None,
    job_state: Annotated[JobState | None, Query(alias="state")] = None,
    library: str | None = None,
    page_size: Annotated[int, Query(ge=1, le=1000)] = 50,
    page_token: str | None = None,
) -> JobPage:
    """Newest first."""
    return await state.jobs.page(
        kind=kind, state=job_state, library=library, page_size=page_size, page_token=page_token
    )


@router.get("/jobs/{job_id}")
async def get_job(state: GatewayState, response: Response, job_id: str) -> Job:
    job = await state.jobs.get(job_id)
    if not job.state.ended:
        response.headers["Retry-After"] = "1"
    return job


@router.post("/jobs/{job_id}/cancel")
async def cancel(state: GatewayState, job_id: str) -> Job:
    """What the job has committed by then stays."""
    return await state.jobs.cancel(job_id)


@router.get("/jobs/{job_id}/items")
async def items(
    state: GatewayState,
    job_id: str,
    outcome: ItemOutcome | None = None,
    page_size: Annotated[int, Query(ge=1, le=1000)] = 100,
    page_token: str | None = None,
) -> IngestItemPage:
    """What became of each file of a bulk ingest."""
    return await state.indexer.ledger(
        job_id, {"outcome": outcome, "page_size": page_size, "page_token": page_token}
    )


@router.get("/jobs/{job_id}/events", response_class=StreamingResponse)
async def events(state: GatewayState, request: Request, job_id: str) -> StreamingResponse:
    """Server-sent events: the whole job each time it changes, until it has ended."""
    await state.jobs.get(job_id)
    return StreamingResponse(
        _follow(state, request, job_id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _follow(state: State, request: Request, job_id: str) -> AsyncIterator[str]:
    told = ""
    quiet = 0.0
    while not await request.is_disconnected():
        try:
            job = await state.jobs.get(job_id)
        except CONNECTION_ERRORS:  # Postgres restarts; the stream outlives that
            await asyncio.sleep(_LOOK_SECONDS)
            continue
        text = json.dumps(job.model_dump(mode="json"), separators=(",", ":"))
        if text != told:
            yield f"event: job\ndata: {text}\n\n"
            told, quiet = text, 0.0
        if job.state.ended:
            return
        await asyncio.sleep(_LOOK_SECONDS)
        quiet += _LOOK_SECONDS
        if quiet >= _COMMENT_SECONDS:
            yield ": still here\n\n"
            quiet = 0.0
