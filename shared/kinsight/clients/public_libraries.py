"""Libraries, their images and bulk ingest, as the public client does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from kinsight.clients.public_body import Sent, pictures_body
from kinsight.clients.public_connection import PublicConnection, idempotency
from kinsight.contracts.jobs import Job
from kinsight.contracts.libraries import (
    Image,
    ImagePage,
    ImagePatch,
    Library,
    LibraryCreate,
    LibraryList,
    LibraryPatch,
)
from kinsight.contracts.promotions import Promotion, PromotionPage

Labels = Literal["folders", "none"]


class LibraryCalls(PublicConnection):
    def libraries(self) -> list[Library]:
        return self._model(LibraryList, "GET", "/libraries").libraries

    def library(self, name: str) -> Library:
        """Raises LibraryNotFound."""
        return self._model(Library, "GET", _library(name))

    def create_library(self, name: str, floor: float | None = None) -> Library:
        """floor: P@10 below which no model goes live; None: 0.80, but for a first model.

        Raises LibraryExists.
        """
        request = LibraryCreate.model_construct(name=name, floor=floor)
        return self._model(Library, "POST", "/libraries", json=request.model_dump())

    def set_floor(self, name: str, floor: float | None) -> Library:
        """P@10 below which no model goes live from now on; None: the default again.

        Raises LibraryNotFound.
        """
        body = LibraryPatch.model_construct(floor=floor).model_dump()
        return self._model(Library, "PATCH", _library(name), json=body, again=True)

    def promotions(self, library: str, *, page_size: int = 100) -> Iterator[Promotion]:
        """What went live in a library, and what was refused, newest first; read page by page."""
        token: str | None = None
        while True:
            page = self._model(
                PromotionPage,
                "GET",
                f"{_library(library)}/promotions",
                params={"page_size": page_size, "page_token": token},
            )
            yield from page.promotions
            token = page.next_page_token
            if token is None:
                return

    def delete_library(self, name: str) -> None:
        """Deletes the library with all its images. Raises LibraryNotFound."""
        self._send("DELETE", _library(name))

    def images(
        self,
        library: str,
        *,
        label: str | None = None,
        class_: str | None = None,
        page_size: int = 200,
    ) -> Iterator[Image]:
        """All images of a library, read page by page; `label` and `class_` narrow them down."""
        token: str | None = None
        while True:
            page = self._model(
                ImagePage,
                "GET",
                f"{_library(library)}/images",
                params={
                    "label": label,
                    "class": class_,
                    "page_size": page_size,
                    "page_token": token,
                },
            )
            yield from page.images
            token = page.next_page_token
            if token is None:
                return

    def image(self, image_id: str) -> Image:
        """Raises ImageNotFound."""
        return self._model(Image, "GET", _image(image_id))

    def patch_image(self, image_id: str, label: str | None) -> Image:
        """Corrects a label, or takes it away with None. Raises ImageNotFound."""
        body = ImagePatch(label=label).model_dump()
        return self._model(Image, "PATCH", _image(image_id), json=body, again=True)

    relabel = patch_image

    def delete_image(self, image_id: str) -> None:
        """Raises ImageNotFound."""
        self._send("DELETE", _image(image_id))

    def content(self, image_id: str) -> bytes:
        """The bytes as they were sent. Raises ImageNotFound."""
        return self._send("GET", f"{_image(image_id)}/content").content

    def thumbnail(self, image_id: str, size: int | None = None) -> bytes:
        """A WebP whose longer side is `size` pixels at most. Raises ImageNotFound."""
        path = f"{_image(image_id)}/thumbnail"
        return self._send("GET", path, params={"size": size}).content

    def index_batch(
        self,
        library: str,
        paths: Sequence[Path],
        labels: Labels = "folders",
        *,
        on_sent: Sent | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Sends pictures to a library, which is made when it is not there; returns the job.

        paths: one zip or tar archive, sent as it is; or folders and single pictures, sent as one
        tar stream (kinsight.clients.public_body.members says which files, by which names).
        labels: `folders` takes the last folder of each name as its label.
        on_sent: called with the bytes sent and the bytes in all.
        A connection that breaks is tried again under the same idempotency key, so that a batch is
        never taken twice. Raises BadRequest, BadArchive, TooLarge.
        """
        return self._model(
            Job,
            "POST",
            "/index/batch",
            params={"library": library, "labels": labels},
            body=pictures_body(paths).watched(on_sent),
            headers=idempotency(idempotency_key),
            again=True,
        )

    def index_folder(self, library: str, folder: str, labels: Labels = "folders") -> Job:
        """Takes a folder of the server's own, inside KINSIGHT_INGEST_ROOTS.

        Raises FolderNotAllowed.
        """
        return self._index(library, labels, {"folder": folder})

    def index_urls(self, library: str, urls: Sequence[str], labels: Labels = "none") -> Job:
        """Takes pictures that the server fetches."""
        return self._index(library, labels, {"urls": list(urls)})

    def _index(self, library: str, labels: Labels, request: dict[str, object]) -> Job:
        return self._model(
            Job,
            "POST",
            "/index/batch",
            params={"library": library, "labels": labels},
            json=request,
            headers=idempotency(None),
            again=True,
        )


def _library(name: str) -> str:
    return f"/libraries/{quote(name, safe='')}"


def _image(image_id: str) -> str:
    return f"/images/{quote(image_id, safe='')}"
