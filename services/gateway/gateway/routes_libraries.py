"""Libraries and images."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from gateway.state import GatewayState
from kinsight.contracts.libraries import (
    Image,
    ImagePage,
    ImagePatch,
    Library,
    LibraryCreate,
    LibraryList,
    LibraryPatch,
)
from kinsight.contracts.promotions import PromotionPage
from kinsight.errors import BlobNotFound
from kinsight.store import blob_key

router = APIRouter(tags=["libraries"])

_IMMUTABLE = {
    "Cache-Control": "private, max-age=31536000, immutable",
    # the bytes are a stranger's: never more than a picture to the browser
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


@router.get("/libraries")
async def list_libraries(state: GatewayState) -> LibraryList:
    return await state.indexer.libraries()


@router.post("/libraries", status_code=201)
async def create_library(
    state: GatewayState, response: Response, request: LibraryCreate
) -> Library:
    library = await state.indexer.create_library(request)
    response.headers["Location"] = f"/libraries/{library.name}"
    return library


@router.get("/libraries/{name}")
async def get_library(state: GatewayState, name: str) -> Library:
    return await state.indexer.library(name)


@router.patch("/libraries/{name}")
async def patch_library(state: GatewayState, name: str, patch: LibraryPatch) -> Library:
    """Sets the floor: the P@10 below which no model goes live. The live one stays live."""
    return await state.indexer.patch_library(name, patch)


@router.delete("/libraries/{name}", status_code=204)
async def delete_library(state: GatewayState, name: str) -> None:
    """Deletes the library with its images and indexes; its models stay."""
    await state.indexer.delete_library(name)
    state.live_models.forget(name)


@router.get("/libraries/{name}/images")
async def list_images(
    state: GatewayState,
    name: str,
    label: str | None = None,
    class_: Annotated[
        str | None, Query(alias="class", description="Predicted class under the live model.")
    ] = None,
    unlabelled: bool = False,
    page_size: Annotated[int, Query(ge=1, le=1000)] = 100,
    page_token: str | None = None,
) -> ImagePage:
    return await state.indexer.images(
        name,
        {
            "label": label,
            "class": class_,
            "unlabelled": str(unlabelled).lower(),
            "page_size": page_size,
            "page_token": page_token,
        },
    )


@router.get("/libraries/{name}/promotions", summary="What went live, and what was refused")
async def promotions(
    state: GatewayState,
    name: str,
    page_size: Annotated[int, Query(ge=1, le=1000)] = 100,
    page_token: str | None = None,
) -> PromotionPage:
    """Newest first, with the figures that the gate measured and who overrode it."""
    return await state.indexer.promotions(name, {"page_size": page_size, "page_token": page_token})


@router.post("/libraries/{name}/rollback")
async def rollback(
    state: GatewayState,
    name: str,
    by: Annotated[str | None, Query(max_length=200, description="Who asks for it.")] = None,
    reason: Annotated[str | None, Query(max_length=1000)] = None,
) -> Library:
    """Goes back to the model that was live before, at once."""
    library = await state.indexer.rollback(name, by, reason)
    state.live_models.forget(name)
    return library


@router.get("/images/{image_id}")
async def get_image(state: GatewayState, image_id: str) -> Image:
    return await state.indexer.image(image_id)


@router.patch("/images/{image_id}")
async def patch_image(state: GatewayState, image_id: str, patch: ImagePatch) -> Image:
    """Corrects the label; the next training learns from it."""
    return await state.indexer.patch_image(image_id, patch)


@router.delete("/images/{image_id}", status_code=204)
async def delete_image(state: GatewayState, image_id: str) -> None:
    await state.indexer.delete_image(image_id)


@router.get("/images/{image_id}/content", response_class=Response)
async def content(state: GatewayState, request: Request, image_id: str) -> Response:
    """The bytes as they were sent."""
    image = await state.indexer.image(image_id)
    if _unchanged(request, image.sha256):
        return Response(status_code=304)
    data = await state.store.get(blob_key(image.sha256))
    return _picture(data, f"image/{image.format}", image.sha256)


@router.get("/images/{image_id}/thumbnail", response_class=Response)
async def thumbnail(
    state: GatewayState,
    request: Request,
    image_id: str,
    size: Annotated[int, Query(ge=16, le=1024, description="Longer side in pixels.")] = 256,
) -> Response:
    """A small WebP, made once and kept."""
    image = await state.indexer.image(image_id)
    tag = f"{image.sha256}-{size}"
    if _unchanged(request, tag):
        return Response(status_code=304)
    key = f"thumbnails/{image.sha256[:2]}/{tag}.webp"
    try:
        data = await state.store.get(key)
    except BlobNotFound:
        data = await state.extractor.thumbnail(blob_key(image.sha256), size)
        await state.store.put(key, data)
    return _picture(data, "image/webp", tag)


def _unchanged(request: Request, tag: str) -> bool:
    return request.headers.get("if-none-match") == f'"{tag}"'


def _picture(data: bytes, kind: str, tag: str) -> Response:
    return Response(data, media_type=kind, headers={**_IMMUTABLE, "ETag": f'"{tag}"'})
