"""Which model each library is searched with, remembered so that a search is two calls."""

from __future__ import annotations

from kinsight.clients.indexer import IndexerClient


class LiveModels:
    """May be out of date: the indexer refuses a search under a model that is not live."""

    def __init__(self, indexer: IndexerClient) -> None:
        self._indexer = indexer
        self._models: dict[str, str] = {}

    async def of(self, library: str) -> str:
        """Raises LibraryNotFound, NoModel."""
        return self._models.get(library) or await self.ask(library)

    async def ask(self, library: str) -> str:
        """The model that is live now, or was at some moment since this was called."""
        model = await self._indexer.live_model(library)
        self._models[library] = model
        return model

    def forget(self, library: str) -> None:
        self._models.pop(library, None)
