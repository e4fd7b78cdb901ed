"""How much the extractor takes in hand at once, so that its memory stays bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request

from kinsight.errors import BadRequest, EmptyBody, ImageTooLarge, Overloaded


class Intake:
    """Bodies of searches: so many at once, and so many bytes together."""

    def __init__(self, *, requests: int, total_bytes: int, image_bytes: int) -> None:
        self._most_requests = requests
        self._most_bytes = total_bytes
        self._image_bytes = image_bytes
        self._requests = 0
        self._bytes = 0

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """The body, held until the context ends.

        Raises ImageTooLarge before it is all read, EmptyBody, and Overloaded where others already
        hold as much as the server allows.
        """
        if self._requests >= self._most_requests:
            raise _busy()
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self._image_bytes:
            raise self._too_large()
        self._requests += 1
        held = bytearray()
        try:
            async for chunk in request.stream():
                self._bytes += len(chunk)
                held += chunk
                if len(held) > self._image_bytes:
                    raise self._too_large()
                if self._bytes > self._most_bytes:
                    raise _busy()
            if not held:
                raise EmptyBody()
            yield bytes(held)
        except ClientDisconnect as error:
            raise BadRequest("The body broke off before its end; send it again.") from error
        finally:
            self._requests -= 1
            self._bytes -= len(held)

    def _too_large(self) -> ImageTooLarge:
        return ImageTooLarge(
            f"The image has more than {self._image_bytes:,} bytes, the most this server accepts. "
            "Send it smaller."
        )


class Room:
    """So many inside at once, so many more waiting; beyond that Overloaded."""

    def __init__(self, inside: int, waiting: int) -> None:
        self._inside = asyncio.Semaphore(inside)
        self._most = inside + waiting
        self._present = 0

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        if self._present >= self._most:
            raise _busy()
        self._present += 1
        try:
            async with self._inside:
                yield
        finally:
            self._present -= 1


def _busy() -> Overloaded:
    return Overloaded("The feature extractor has its hands full; try again in a moment.")
