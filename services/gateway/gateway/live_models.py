"""Which model each library is searched with, remembered so that a search is two calls."""

from __future__ import annotations

from kinsight.clients.indexer import IndexerClient


class LiveModels:
    """May be out of date: the indexer refuses a search under a model that is not live, and says
    which one is."""

    def __init__(self, indexer: IndexerClient) -> None:
        self._indexer = indexer
        self._models: dict[str, str] = {}

    async def of(self, library: str) -> str:
        """Raises LibraryNotFound, NoModel."""
        if library not in self._models:
            self._models[library] = await self._indexer.live_model(library)
        return self._models[library]

    def forget(self, library: str) -> None:
        self._models.pop(library, None)
