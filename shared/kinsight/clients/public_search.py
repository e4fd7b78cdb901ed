"""Searching, as the public client does it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kinsight.clients.public_body import Body, bytes_body
from kinsight.clients.public_connection import PublicConnection
from kinsight.contracts.search import SearchAnswer
from kinsight.errors import BadRequest

Crop = tuple[int, int, int, int]


class SearchCalls(PublicConnection):
    def search(
        self,
        library: str,
        image: bytes | Path,
        k: int = 10,
        space: str = "auto",
        routing: str = "adaptive",
        classes: Sequence[str] | None = None,
        min_similarity: float | None = None,
        crop: Crop | None = None,
        crops: int = 1,
    ) -> SearchAnswer:
        """The k nearest pictures of the library, nearest first.

        k: 1 to 1000. space: `auto`, `softmax`, `feature` or `hash`. routing: `adaptive`,
        `argmax` or `all`. classes: search the tables of these classes alone.
        min_similarity: from 0 to 1, leaves out hits below. crop: x, y, width, height in pixels of
        the upright picture. crops: 1, or 10 to average over corners, centre and their mirror
        images (alexnet-2012, §4.1).
        Raises LibraryNotFound, NoModel, BadImage, ImageTooLarge, EmptyBody, InvalidRequest.
        """
        options = _options(k, space, routing, classes, min_similarity, crop, crops)
        return self._search(library, options, bytes_body(_bytes(image)))

    def search_image(
        self,
        library: str,
        image_id: str,
        k: int = 10,
        space: str = "auto",
        routing: str = "adaptive",
        classes: Sequence[str] | None = None,
        min_similarity: float | None = None,
        crop: Crop | None = None,
        crops: int = 1,
    ) -> SearchAnswer:
        """As `search`, with a picture that is stored already. Raises ImageNotFound too."""
        options = _options(k, space, routing, classes, min_similarity, crop, crops)
        return self._search(library, {**options, "image_id": image_id}, None)

    def search_url(
        self,
        library: str,
        url: str,
        k: int = 10,
        space: str = "auto",
        routing: str = "adaptive",
        classes: Sequence[str] | None = None,
        min_similarity: float | None = None,
        crop: Crop | None = None,
        crops: int = 1,
    ) -> SearchAnswer:
        """As `search`, with a picture that the server fetches."""
        options = _options(k, space, routing, classes, min_similarity, crop, crops)
        return self._search(library, {**options, "image_url": url}, None)

    def _search(self, library: str, options: dict[str, Any], body: Body | None) -> SearchAnswer:
        params = {"library": library, **options}
        return self._model(SearchAnswer, "POST", "/search", params=params, body=body)


def _options(
    k: int,
    space: str,
    routing: str,
    classes: Sequence[str] | None,
    min_similarity: float | None,
    crop: Crop | None,
    crops: int,
) -> dict[str, Any]:
    return {
        "k": k,
        "space": space,
        "routing": routing,
        "classes": list(classes) if classes else None,
        "min_similarity": min_similarity,
        "crop": ",".join(map(str, crop)) if crop else None,
        "crops": crops,
    }


def _bytes(image: bytes | Path) -> bytes:
    if isinstance(image, bytes):
        return image
    if not image.is_file():
        raise BadRequest(f"There is no file {image}.")
    return image.read_bytes()
