"""The extractor's routes: internal, for the gateway, the indexer, the trainer and the admin."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from feature_extractor.state import State, state_of
from kinsight.contracts.base import Wire
from kinsight.contracts.embeddings import MEDIA_TYPE
from kinsight.contracts.extraction import DeviceReport, Inspections, StoredImages
from kinsight.errors import BadRequest
from kinsight.images.cropping import Crop

router = APIRouter(tags=["extraction"])
ServiceState = Annotated[State, Depends(state_of)]


class ThumbnailRequest(Wire):
    key: str
    size: int


@router.post("/embed", summary="Embed the picture in the body")
async def embed(
    request: Request,
    state: ServiceState,
    model: str,
    crop: str | None = None,
    crops: Annotated[Literal["1", "10"], Query(description="10: mean of ten crops.")] = "1",
) -> Response:
    area = Crop.parse(crop) if crop else None
    async with state.intake.body(request) as data:
        embeddings = await state.extractor.embed(data, model, area, int(crops))
    return Response(embeddings.to_bytes(), media_type=MEDIA_TYPE)


@router.post("/embed-stored", summary="Embed pictures of the store")
async def embed_stored(state: ServiceState, images: StoredImages) -> Response:
    if images.model is None:
        raise BadRequest('Name the model to embed with: {"model": …}.')
    embeddings = await state.extractor.embed_stored(images.keys, images.model, images.crops)
    return Response(embeddings.to_bytes(), media_type=MEDIA_TYPE)


@router.post("/inspect-stored", summary="Facts of pictures of the store, without a model")
async def inspect_stored(state: ServiceState, images: StoredImages) -> Inspections:
    return Inspections(items=await state.extractor.inspect_stored(images.keys))


@router.post("/thumbnail", summary="A small WebP of a stored picture")
async def thumbnail(state: ServiceState, wanted: ThumbnailRequest) -> Response:
    preview = await state.extractor.thumbnail(wanted.key, wanted.size)
    return Response(preview, media_type="image/webp")


@router.put("/models/{model_id}", status_code=204, summary="Load a model now")
async def load_model(state: ServiceState, model_id: str) -> None:
    await (await state.engine()).models.get(model_id)


@router.delete("/models/{model_id}", status_code=204, summary="Forget a model")
async def forget_model(state: ServiceState, model_id: str) -> None:
    (await state.engine()).models.forget(model_id)


@router.get("/device", summary="What the networks run on")
async def device(
    state: ServiceState, measure: bool = False, model: str | None = None
) -> DeviceReport:
    return await (await state.engine()).report(model, measure=measure)
