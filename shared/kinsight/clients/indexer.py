"""The indexer, as gateway, trainer and admin call it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

from kinsight.clients.http import Query, ServiceClient
from kinsight.contracts.embeddings import MEDIA_TYPE
from kinsight.contracts.ingest import BatchAnswer, BatchAnswers, IngestRequest, ModelUse
from kinsight.contracts.jobs import IngestItemPage, Job
from kinsight.contracts.libraries import (
    Image,
    ImagePage,
    ImagePatch,
    Library,
    LibraryCreate,
    LibraryList,
    LibraryPatch,
)
from kinsight.contracts.promotions import Crops, PromoteRequest, PromotionPage
from kinsight.contracts.search import IndexAnswer

_ENVELOPE = {"Content-Type": MEDIA_TYPE}


def _library(name: str) -> str:
    return f"/libraries/{quote(name, safe='')}"


class IndexerClient:
    def __init__(self, service: ServiceClient) -> None:
        self._service = service

    async def libraries(self) -> LibraryList:
        return LibraryList(**await self._service.json("GET", "/libraries"))

    async def library(self, name: str) -> Library:
        return Library(**await self._service.json("GET", _library(name)))

    async def live_model(self, name: str) -> str:
        """Raises LibraryNotFound, NoModel."""
        answer = await self._service.json("GET", f"{_library(name)}/live-model")
        model: str = answer["model"]
        return model

    async def create_library(self, request: LibraryCreate) -> Library:
        body = request.model_dump()
        return Library(**await self._service.json("POST", "/libraries", json=body))

    async def patch_library(self, name: str, patch: LibraryPatch) -> Library:
        return Library(**await self._service.json("PATCH", _library(name), json=patch.model_dump()))

    async def delete_library(self, name: str) -> None:
        await self._service.json("DELETE", _library(name))

    async def images(self, name: str, query: Query) -> ImagePage:
        return ImagePage(
            **await self._service.json("GET", f"{_library(name)}/images", params=query)
        )

    async def image(self, image_id: str) -> Image:
        return Image(**await self._service.json("GET", f"/images/{quote(image_id, safe='')}"))

    async def patch_image(self, image_id: str, patch: ImagePatch) -> Image:
        path = f"/images/{quote(image_id, safe='')}"
        return Image(**await self._service.json("PATCH", path, json=patch.model_dump()))

    async def delete_image(self, image_id: str) -> None:
        await self._service.json("DELETE", f"/images/{quote(image_id, safe='')}")

    async def training_set(self, name: str) -> AsyncIterator[bytes]:
        """The labelled images as NDJSON of contracts.libraries.TrainingImage, in chunks."""
        async with self._service.request(
            "GET", f"{_library(name)}/training-set", timeout_seconds=600
        ) as response:
            async for chunk in response.content.iter_chunked(1 << 16):
                yield chunk

    async def search(self, name: str, envelope: bytes, query: Query) -> IndexAnswer:
        """`query`: model, k, space, routing, classes, min_similarity, superseded.

        Raises ModelNotLive where the live model is another. superseded=true: the caller has
        learned during this very search that the model is live; then its index answers also when
        another model has gone live since.
        """
        answer = await self._service.json(
            "POST", f"{_library(name)}/search", params=query, data=envelope, headers=_ENVELOPE
        )
        return IndexAnswer(**answer)

    async def search_batch(self, name: str, envelope: bytes, query: Query) -> list[BatchAnswer]:
        """Searches with every row of the envelope, under any indexed model of the library.

        `query`: model, k, space, routing, and crops where the library has several indexes under
        the model. meta["exclude"] of the envelope, where given, is a
        list of lists of image ids, one per row, that must not be among the row's hits.
        """
        answer = await self._service.json(
            "POST",
            f"{_library(name)}/search-batch",
            params=query,
            data=envelope,
            headers=_ENVELOPE,
            timeout_seconds=600,
        )
        return BatchAnswers(**answer).answers

    async def ingest(
        self, name: str, request: IngestRequest, idempotency_key: str | None = None
    ) -> Job:
        return await self._job(
            f"{_library(name)}/ingest", request.model_dump(), _key(idempotency_key)
        )

    async def ledger(self, job_id: str, query: Query) -> IngestItemPage:
        path = f"/jobs/{quote(job_id, safe='')}/items"
        return IngestItemPage(**await self._service.json("GET", path, params=query))

    async def clear(self, name: str) -> int:
        """Empties the class tables; returns the rows removed."""
        answer = await self._service.json("POST", f"{_library(name)}/clear", timeout_seconds=600)
        removed: int = answer["removed"]
        return removed

    async def rebuild(self, name: str, crops: Crops | None = None) -> Job:
        """Files every image anew under the live model. Raises NoModel."""
        return await self._job(f"{_library(name)}/rebuild", {"crops": crops}, {})

    async def promote(
        self,
        name: str,
        model: str,
        idempotency_key: str | None = None,
        *,
        switch: bool = True,
        crops: Crops | None = None,
        override: bool = False,
        by: str | None = None,
        reason: str | None = None,
        queue: bool = False,
    ) -> Job:
        """A reindex job: builds the index under the model beside the live one, and switches to it
        if the gate lets it through or is overridden; the job's result has `promoted` and `gate`.

        Without `switch` the index stays beside the live one, where it can be evaluated.
        Raises ModelNotFound, WrongLibrary, and PromotionUnderWay unless it is to `queue`.
        """
        request = PromoteRequest(
            model=model,
            switch=switch,
            crops=crops,
            override=override,
            by=by,
            reason=reason,
            queue=queue,
        )
        body = request.model_dump(mode="json")
        return await self._job(f"{_library(name)}/promote", body, _key(idempotency_key))

    async def rollback(
        self, name: str, by: str | None = None, reason: str | None = None
    ) -> Library:
        query = {"by": by, "reason": reason}
        return Library(
            **await self._service.json("POST", f"{_library(name)}/rollback", params=query)
        )

    async def promotions(self, name: str, query: Query) -> PromotionPage:
        """`query`: page_size, page_token."""
        return PromotionPage(
            **await self._service.json("GET", f"{_library(name)}/promotions", params=query)
        )

    async def model_use(self, model: str) -> ModelUse:
        return ModelUse(**await self._service.json("GET", f"/models/{model}/use"))

    async def drop_model(self, model: str) -> None:
        """Drops the indexes under a model; raises ModelInUse where one is live."""
        await self._service.json("DELETE", f"/models/{model}/indexes", timeout_seconds=600)

    async def _job(self, path: str, body: Any, headers: Mapping[str, str]) -> Job:
        return Job(**await self._service.json("POST", path, json=body, headers=headers))


def _key(idempotency_key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": idempotency_key} if idempotency_key else {}
