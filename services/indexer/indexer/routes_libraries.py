"""Routes of libraries, their images and their jobs."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from indexer import images, libraries
from indexer.ingest import ledger
from indexer.ingest.folders import allowed_folder
from indexer.state import IndexerState
from kinsight.archives import open_archive
from kinsight.contracts.ingest import IngestRequest
from kinsight.contracts.jobs import IngestItemPage, ItemOutcome, Job, JobKind
from kinsight.contracts.libraries import (
    Image,
    ImagePage,
    ImagePatch,
    Library,
    LibraryCreate,
    LibraryList,
    LibraryPatch,
)
from kinsight.errors import BadArchive, InvalidRequest

router = APIRouter()
IdempotencyKey = Annotated[str | None, Header()]


@router.post("/libraries", status_code=201)
async def create_library(state: IndexerState, request: LibraryCreate) -> Library:
    return await libraries.create(state.pool, request)


@router.get("/libraries")
async def list_libraries(state: IndexerState) -> LibraryList:
    return LibraryList(libraries=await libraries.all_of_them(state.pool))


@router.get("/libraries/{name}")
async def get_library(state: IndexerState, name: str) -> Library:
    return await libraries.get(state.pool, name)


@router.get("/libraries/{name}/live-model")
async def live_model(state: IndexerState, name: str) -> dict[str, str]:
    return {"model": await libraries.live_model(state.pool, name)}


@router.patch("/libraries/{name}")
async def patch_library(state: IndexerState, name: str, patch: LibraryPatch) -> Library:
    return await libraries.set_floor(state.pool, name, patch.floor)


@router.delete("/libraries/{name}", status_code=204)
async def delete_library(state: IndexerState, name: str) -> None:
    await libraries.delete(state.pool, name)


@router.get("/libraries/{name}/images")
async def list_images(
    state: IndexerState,
    name: str,
    label: str | None = None,
    class_: Annotated[str | None, Query(alias="class")] = None,
    unlabelled: bool = False,
    page_size: Annotated[int, Query(ge=1, le=1000)] = 100,
    page_token: str | None = None,
) -> ImagePage:
    return await images.page(
        state.pool,
        name,
        label=label,
        class_=class_,
        unlabelled=unlabelled,
        page_size=page_size,
        page_token=page_token,
    )


@router.get("/libraries/{name}/training-set")
async def training_set(state: IndexerState, name: str) -> StreamingResponse:
    await libraries.library_id(state.pool, name)  # an unknown name is a 404, not a broken stream
    return StreamingResponse(
        images.training_set(state.pool, name), media_type="application/x-ndjson"
    )


@router.get("/images/{image_id}")
async def get_image(state: IndexerState, image_id: str) -> Image:
    return await images.get(state.pool, image_id)


@router.patch("/images/{image_id}")
async def patch_image(state: IndexerState, image_id: str, patch: ImagePatch) -> Image:
    return await images.set_label(state.pool, image_id, patch.label)


@router.delete("/images/{image_id}", status_code=204)
async def delete_image(state: IndexerState, image_id: str) -> None:
    await images.delete(state.pool, image_id)


@router.post("/libraries/{name}/ingest", status_code=202)
async def ingest(
    state: IndexerState, name: str, request: IngestRequest, idempotency_key: IdempotencyKey = None
) -> Job:
    """Checks the source before there is a job; an unreadable upload is deleted at once.

    The library comes last: the gateway makes one that is missing, but not for a bad source.
    """
    if sum(source is not None for source in (request.upload, request.folder, request.urls)) != 1:
        raise InvalidRequest("Send exactly one of an archive, a folder and urls.")
    if request.upload is not None:
        await _check_upload(state, request.upload)
    if request.folder is not None:
        allowed_folder(request.folder, state.settings.ingest_roots)
    await libraries.library_id(state.pool, name)
    return await state.jobs.submit(
        JobKind.INGEST, request.model_dump(), library=name, idempotency_key=idempotency_key
    )


@router.get("/jobs/{job_id}/items")
async def ledger_page(
    state: IndexerState,
    job_id: str,
    outcome: ItemOutcome | None = None,
    page_size: Annotated[int, Query(ge=1, le=1000)] = 100,
    page_token: str | None = None,
) -> IngestItemPage:
    return await ledger.page(
        state.pool, job_id, outcome=outcome, page_size=page_size, page_token=page_token
    )


@router.post("/libraries/{name}/clear")
async def clear(state: IndexerState, name: str) -> dict[str, int]:
    return {"removed": await libraries.clear(state.pool, name)}


async def _check_upload(state: IndexerState, upload: str) -> None:
    try:
        async with state.store.local_file(upload) as path:
            await asyncio.to_thread(open_archive, path, "folders", state.settings.max_image_bytes)
    except BadArchive:
        await state.store.delete(upload)
        raise
