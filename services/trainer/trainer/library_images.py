"""The labelled images of a library: what a query may find, and what it may be a copy of."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from kinsight.clients.indexer import IndexerClient
from kinsight.contracts.libraries import TrainingImage
from kinsight.images.near_duplicates import NearDuplicates


class LibraryImages:
    """In columns, because a library may have a million: ids (N,), keys and labels."""

    def __init__(
        self,
        ids: Sequence[int],
        keys: Sequence[str],
        labels: Sequence[str],
        hashes: Sequence[int],
    ) -> None:
        self.ids = np.array(ids, dtype=np.int64)
        self.keys, self.labels = keys, labels
        self.counts = Counter(labels)
        self._row_of = {key: row for row, key in enumerate(keys)}
        self._hashes = np.array(hashes, dtype=np.int64)
        self._near = NearDuplicates(self._hashes)

    @classmethod
    async def read(cls, indexer: IndexerClient, library: str) -> LibraryImages:
        """As the images are labelled now; raises LibraryNotFound."""
        ids: list[int] = []
        keys: list[str] = []
        labels: list[str] = []
        hashes: list[int] = []
        names: dict[str, str] = {}  # one string per label, not one per image
        async for image in _lines(indexer.training_set(library)):
            ids.append(image.image_id)
            keys.append(image.key)
            labels.append(names.setdefault(image.label, image.label))
            hashes.append(image.perceptual_hash)
        return await asyncio.to_thread(cls, ids, keys, labels, hashes)

    def rows_of(self, image_ids: Iterable[int]) -> NDArray[np.int64]:
        """Rows of those that there still are, ascending."""
        return np.flatnonzero(np.isin(self.ids, np.fromiter(image_ids, dtype=np.int64)))

    def like(self, key: str, perceptual_hash: int) -> NDArray[np.int64]:
        """Rows of the same file (by its content-addressed key) and of nearly the same pictures.

        perceptual_hash: of a picture that the library does not have.
        """
        same = self._row_of.get(key)
        if same is None:
            return self._near.of(perceptual_hash)
        return np.union1d(self._near.of(int(self._hashes[same])), [same])


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[TrainingImage]:
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield TrainingImage(**json.loads(line))
    if rest:
        yield TrainingImage(**json.loads(rest))
