"""The feature-extractor, as gateway, indexer and trainer call it."""

from __future__ import annotations

from kinsight.clients.http import ServiceClient
from kinsight.contracts.embeddings import Embeddings
from kinsight.contracts.extraction import DeviceReport, Inspection, Inspections


class ExtractorClient:
    def __init__(self, service: ServiceClient) -> None:
        self._service = service

    async def embed(
        self, image: bytes, model: str, *, crop: str | None = None, crops: int = 1
    ) -> bytes:
        """The envelope of one image, to be passed on unread (kinsight.contracts.embeddings)."""
        return await self._service.bytes(
            "POST",
            "/embed",
            params={"model": model, "crop": crop, "crops": crops},
            data=image,
            headers={"Content-Type": "application/octet-stream"},
        )

    async def embed_stored(
        self, keys: list[str], model: str, *, crops: int = 1
    ) -> tuple[list[Inspection], Embeddings]:
        """One inspection per key, in order; a row of the arrays for each without an error.

        crops: 1, or 10 for the mean of ten crops per picture.
        """
        payload = await self._service.bytes(
            "POST",
            "/embed-stored",
            json={"keys": keys, "model": model, "crops": crops},
            timeout_seconds=600,
        )
        embeddings = Embeddings.from_bytes(payload)
        return [Inspection(**item) for item in embeddings.meta["items"]], embeddings

    async def inspect_stored(self, keys: list[str]) -> list[Inspection]:
        answer = await self._service.json(
            "POST", "/inspect-stored", json={"keys": keys}, timeout_seconds=600
        )
        return Inspections(**answer).items

    async def thumbnail(self, key: str, size: int) -> bytes:
        """A WebP whose longer side is `size` pixels at most."""
        return await self._service.bytes("POST", "/thumbnail", json={"key": key, "size": size})

    async def load(self, model: str) -> None:
        await self._service.json("PUT", f"/models/{model}", timeout_seconds=600)

    async def forget(self, model: str) -> None:
        await self._service.json("DELETE", f"/models/{model}")

    async def device(self, *, measure: bool = False) -> DeviceReport:
        answer = await self._service.json(
            "GET", "/device", params={"measure": str(measure).lower()}
        )
        return DeviceReport(**answer)
