"""Training, weights and models."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gateway import uploads
from gateway.bodies import form_files, media_type, upload_body
from gateway.state import GatewayState, IdempotencyKey, State, accepted
from kinsight.contracts.jobs import Job
from kinsight.contracts.models import Model, ModelList, TrainRequest, WeightsInfo

router = APIRouter(tags=["models"])

_FILE = {
    "requestBody": {
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    }
}


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


@router.delete("/models/{model_id}", status_code=204)
async def delete_model(state: GatewayState, model_id: str) -> None:
    """Refused while a library is searched with it."""
    await state.admin.delete_model(model_id)


@router.post("/models/{model_id}/promote", status_code=202)
async def promote(
    state: GatewayState, response: Response, model_id: str, idempotency_key: IdempotencyKey = None
) -> Job:
    """Re-indexes the model's library beside the live index, then switches."""
    model = await state.trainer.model(model_id)
    job = await state.indexer.promote(model.library, model_id, idempotency_key)
    return accepted(response, job)


@router.post("/models/{model_id}/evaluate", status_code=202, openapi_extra=_FILE)
async def evaluate(state: GatewayState, request: Request, response: Response, model_id: str) -> Job:
    """Body: a zip or tar of class folders with query pictures; without one, the images held out
    from training. The job's result has a row for every space and routing mode."""
    await state.trainer.model(model_id)
    queries = await _queries(state, request)
    return accepted(response, await state.trainer.evaluate(model_id, queries))


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
