"""Training, weights and models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from gateway import uploads
from gateway.bodies import form_files, media_type, upload_body
from gateway.state import GatewayState, IdempotencyKey, State, accepted
from kinsight.contracts.jobs import Job
from kinsight.contracts.models import Model, ModelList, TrainRequest, WeightsInfo
from kinsight.contracts.promotions import Crops, PromoteOptions
from kinsight.contracts.reports import PAGE, REPORT_FILES
from kinsight.errors import NotFound, WrongLibrary

router = APIRouter(tags=["models"])

_FILE = {
    "requestBody": {
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    }
}

_REPORT_HEADERS = {
    # Class names are anyone's text: nothing in the page may run, load or send.
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


def _content(*media_types: str) -> dict[int | str, dict[str, Any]]:
    """For the OpenAPI page: what a route that answers with bytes answers with."""
    return {200: {"content": {kind.partition(";")[0]: {} for kind in media_types}}}


@router.post("/train", status_code=202, summary="Train a network on a library's labels")
async def train(
    state: GatewayState,
    response: Response,
    request: TrainRequest,
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """With `then: promote` the library is re-indexed beside the live index and switched."""
    return accepted(response, await state.trainer.train(request, idempotency_key))


@router.post("/weights", summary="Upload weights to start training from", openapi_extra=_FILE)
async def weights(state: GatewayState, request: Request) -> WeightsInfo:
    """Body: a safetensors file or a PyTorch state dict. Name the answer's `weights` in /train."""
    limit = state.settings.max_upload_bytes
    if media_type(request) == "multipart/form-data":
        files = await form_files(request, limit, "file")
        key = await uploads.keep(state.store, uploads.content(files[0]))
    else:
        key = await uploads.keep(state.store, upload_body(request, limit))
    return await state.trainer.add_weights(key)


@router.get("/models")
async def list_models(state: GatewayState, library: str | None = None) -> ModelList:
    models = await state.trainer.models(library)
    live = {found.model for found in (await state.indexer.libraries()).libraries}
    return ModelList(
        models=[model.model_copy(update={"live": model.id in live}) for model in models.models]
    )


@router.get("/models/{model_id}")
async def get_model(state: GatewayState, model_id: str) -> Model:
    model = await state.trainer.model(model_id)
    use = await state.indexer.model_use(model_id)
    return model.model_copy(update={"live": bool(use.live)})


@router.get(
    "/models/{model_id}/report", response_class=Response, responses=_content(REPORT_FILES[PAGE])
)
async def get_report(state: GatewayState, model_id: str) -> Response:
    """How the model was trained and what it confuses, with pictures: one page of HTML."""
    return await get_report_file(state, model_id, PAGE)


@router.get(
    "/models/{model_id}/report/{file}",
    response_class=Response,
    responses=_content(*REPORT_FILES.values()),
)
async def get_report_file(state: GatewayState, model_id: str, file: str) -> Response:
    """`index.html`, `report.json`, `curves.png`, `kernels.png`, `confusion.png`, `top5.png` or
    `retrieval.png`."""
    if file not in REPORT_FILES:
        raise NotFound(f"A report has no file {file!r}; it has {', '.join(REPORT_FILES)}.")
    data = await state.trainer.report(model_id, file)
    # The page changes with every evaluation; the rest is as training left it.
    kept = "no-cache" if file == PAGE else "max-age=86400"
    headers = {**_REPORT_HEADERS, "Cache-Control": f"private, {kept}"}
    return Response(data, media_type=REPORT_FILES[file], headers=headers)


@router.delete("/models/{model_id}", status_code=204)
async def delete_model(state: GatewayState, model_id: str) -> None:
    """Refused while a library is searched with it."""
    await state.admin.delete_model(model_id)


@router.post("/models/{model_id}/promote", status_code=202)
async def promote(
    state: GatewayState,
    response: Response,
    model_id: str,
    body: PromoteOptions | None = None,
    library: Annotated[str | None, Query(description="As in the body.")] = None,
    crops: Annotated[Literal["1", "10"] | None, Query()] = None,
    override: bool | None = None,
    by: Annotated[str | None, Query(max_length=200)] = None,
    reason: Annotated[str | None, Query(max_length=1000)] = None,
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Re-indexes the model's library beside the live index, then switches, if the gate lets it.

    The gate measures both models on the same held-out images, and lets the new one through when
    its P@10 is not worse and not below the library's floor. The job succeeds either way: its
    result says `promoted`, and in `gate` why. A refused model's index stays beside the live one;
    promoting it again with `override` does not build it anew. The options may be sent in the
    body or in the query; where both are sent the query holds.
    """
    model = await state.trainer.model(model_id)
    options = body or PromoteOptions()
    wanted = library or options.library
    if wanted is not None and wanted != model.library:
        raise WrongLibrary(
            f"Model {model_id} was trained for library {model.library!r}, not for {wanted!r}; "
            "a model goes live in its own library."
        )
    job = await state.indexer.promote(
        model.library,
        model_id,
        idempotency_key,
        crops=_crops(crops) or options.crops,
        override=options.override if override is None else override,
        by=by or options.by,
        reason=reason or options.reason,
    )
    return accepted(response, job)


@router.post("/models/{model_id}/evaluate", status_code=202, openapi_extra=_FILE)
async def evaluate(
    state: GatewayState,
    request: Request,
    response: Response,
    model_id: str,
    crops: Annotated[
        Literal["1", "10"],
        Query(description="10: each query is the mean of four corners, the centre and mirrors."),
    ] = "1",
) -> Job:
    """Body: a zip or tar of class folders with query pictures; without one, the images held out
    from training. Queries that the library holds already, or nearly, are left out. The job's
    result has a row for every space and routing mode, and is kept with the model."""
    await state.trainer.model(model_id)
    queries = await _queries(state, request)
    return accepted(response, await state.trainer.evaluate(model_id, queries, crops=int(crops)))


def _crops(text: Literal["1", "10"] | None) -> Crops | None:
    """pydantic reads no whole numbers for a Literal from a query."""
    return None if text is None else 10 if text == "10" else 1


async def _queries(state: State, request: Request) -> str | None:
    if media_type(request) == "multipart/form-data":
        files = await form_files(request, state.settings.max_upload_bytes, "files")
        return await uploads.keep(state.store, uploads.archive_of(files))
    has_body = request.headers.get("content-length", "0") != "0" or (
        "transfer-encoding" in request.headers
    )
    if not has_body:
        return None
    return await uploads.keep(state.store, upload_body(request, state.settings.max_upload_bytes))
