"""Reading request bodies within bounds."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.types import Message

from kinsight.errors import (
    BadRequest,
    EmptyBody,
    ImageTooLarge,
    KinsightError,
    TooLarge,
    UnsupportedMediaType,
)

# A client that is still sending when it is refused sees a broken connection, not the reason; so
# that much more is read and thrown away first.
_DRAINED_BYTES = 256 << 20
_FORM_OVERHEAD = 64 << 10
# curl --data-binary calls everything a form
_BINARY = ("", "application/octet-stream", "application/x-www-form-urlencoded")


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_image(request: Request, max_bytes: int) -> bytes:
    """The bytes of one image: the body itself, or the multipart field `image`.

    Raises EmptyBody, ImageTooLarge, UnsupportedMediaType.
    """
    kind = media_type(request)
    if kind == "multipart/form-data":
        return await _image_field(request, max_bytes)
    if not (kind in _BINARY or kind.startswith("image/")):
        raise UnsupportedMediaType(
            f"The content type is {kind}; send the bytes of one image as image/jpeg or"
            " application/octet-stream, or a multipart form with the field `image`."
        )
    body = bytearray()
    async for chunk in bounded(request, max_bytes, image_too_large(max_bytes)):
        body += chunk
    if not body:
        raise EmptyBody
    return bytes(body)


async def bounded(request: Request, max_bytes: int, error: KinsightError) -> AsyncIterator[bytes]:
    """The body in chunks; raises the error where there is more of it than `max_bytes`."""
    announced = request.headers.get("content-length", "0")
    seen = 0
    refused = announced.isdecimal() and int(announced) > max_bytes
    async for chunk in request.stream():
        seen += len(chunk)
        refused = refused or seen > max_bytes
        if refused and seen > _DRAINED_BYTES:
            break
        if chunk and not refused:
            yield chunk
    if refused:
        raise error


async def upload_body(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    """The body of a large upload in chunks; raises EmptyBody, TooLarge."""
    empty = True
    error = TooLarge(f"The upload is larger than {max_bytes >> 30} GB; send it in parts.")
    async for chunk in bounded(request, max_bytes, error):
        empty = False
        yield chunk
    if empty:
        raise EmptyBody("The request has no body; send the file's bytes.")


async def form_files(request: Request, max_bytes: int, field: str) -> list[UploadFile]:
    """The files of a multipart form's field, spooled to disk where they are large."""
    seen = 0

    async def receive() -> Message:
        nonlocal seen
        message = await request.receive()
        seen += len(message.get("body", b""))
        if seen > max_bytes + _FORM_OVERHEAD:
            raise TooLarge(f"The form is larger than {max_bytes >> 20} MB.")
        return message

    try:
        form = await Request(request.scope, receive).form(max_files=100_000)
    except MultiPartException as error:
        raise BadRequest(f"The multipart form cannot be read: {error.message}.") from error
    files = [part for part in form.getlist(field) if isinstance(part, UploadFile)]
    if not files:
        names = ", ".join(sorted(form)) or "nothing"
        raise BadRequest(f"The multipart form has {names}, but no file in the field `{field}`.")
    return files


async def _image_field(request: Request, max_bytes: int) -> bytes:
    try:
        [part, *_] = await form_files(request, max_bytes, "image")
    except TooLarge as error:
        raise image_too_large(max_bytes) from error
    data = await part.read()
    if not data:
        raise EmptyBody("The field `image` is empty; send the bytes of one image.")
    if len(data) > max_bytes:
        raise image_too_large(max_bytes)
    return data


def image_too_large(max_bytes: int) -> ImageTooLarge:
    return ImageTooLarge(
        f"The image has more than {max_bytes >> 20} MB, the most this server takes;"
        " send a smaller copy."
    )
