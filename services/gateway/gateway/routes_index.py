"""POST /index/batch: pictures in, a job out."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from gateway import uploads
from gateway.bodies import form_files, media_type, upload_body
from gateway.state import GatewayState, IdempotencyKey, State, accepted
from kinsight.contracts.ingest import IngestRequest
from kinsight.contracts.jobs import Job
from kinsight.contracts.libraries import LIBRARY_NAME, LibraryCreate
from kinsight.errors import BadRequest, InvalidRequest, LibraryExists, LibraryNotFound

router = APIRouter(tags=["index"])

_BODY = {
    "requestBody": {
        "content": {
            "application/zip": {"schema": {"type": "string", "format": "binary"}},
            "application/x-tar": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "files": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                        }
                    },
                }
            },
            "application/json": {
                "examples": {
                    "folder": {"value": {"folder": "/srv/pictures/clothing"}},
                    "urls": {"value": {"urls": ["https://example.com/hat.jpg"]}},
                }
            },
        }
    }
}


@router.post(
    "/index/batch",
    status_code=202,
    summary="Add many pictures to a library",
    openapi_extra=_BODY,
)
async def index_batch(
    state: GatewayState,
    request: Request,
    response: Response,
    library: Annotated[str, Query(pattern=LIBRARY_NAME)],
    labels: Literal["folders", "none"] = "folders",
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Body: a zip or tar archive; or a multipart form with `files`; or JSON with `folder` (inside
    KINSIGHT_INGEST_ROOTS) or `urls`. With `labels=folders` a picture's label is its last folder.
    The library is made if there is none. The job's items tell what became of each file."""
    if idempotency_key and (job := await state.jobs.by_idempotency_key(idempotency_key)):
        async for _ in request.stream():  # the client sends it all before it reads the answer
            pass
        return accepted(response, job)
    kind = media_type(request)
    if kind == "application/json":
        source = _json_source(await request.body(), labels)
    elif kind == "multipart/form-data":
        files = await form_files(request, state.settings.max_upload_bytes, "files")
        key = await uploads.keep(state.store, uploads.archive_of(files))
        source = IngestRequest(upload=key, labels=labels)
    else:
        body = upload_body(request, state.settings.max_upload_bytes)
        source = IngestRequest(upload=await uploads.keep(state.store, body), labels=labels)
    return accepted(response, await _submit(state, library, source, idempotency_key))


async def _submit(
    state: State, library: str, source: IngestRequest, idempotency_key: str | None
) -> Job:
    """Makes the library only once the source is known to be good."""
    try:
        return await state.indexer.ingest(library, source, idempotency_key)
    except LibraryNotFound:
        with suppress(LibraryExists):  # somebody else made it since
            await state.indexer.create_library(LibraryCreate(name=library))
    return await state.indexer.ingest(library, source, idempotency_key)


def _json_source(body: bytes, labels: Literal["folders", "none"]) -> IngestRequest:
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise BadRequest("The body is not JSON, though its content type says so.") from error
    if not isinstance(fields, dict) or fields.keys() not in ({"folder"}, {"urls"}):
        raise InvalidRequest('Send {"folder": "…"} or {"urls": ["…"]}, or an archive.')
    try:
        return IngestRequest(labels=labels, **fields)
    except ValidationError as error:
        raise InvalidRequest(f"{error.errors()[0]['msg']}: folder is text, urls a list.") from error
