"""What one running extractor consists of, and its order of starting and stopping."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from fastapi import Request

from feature_extractor.decode_worker import WorkerSettings
from feature_extractor.decoding import DecodePool
from feature_extractor.extraction import Extractor
from feature_extractor.intake import Intake
from feature_extractor.options import ExtractorOptions
from kinsight.errors import Unavailable
from kinsight.images.limits import Limits
from kinsight.store import Store, open_store
from kinsight.web.settings import Settings

if TYPE_CHECKING:
    from feature_extractor.engine import Engine


class State:
    """Kept on `app.state` between start and stop."""

    def __init__(self, settings: Settings, options: ExtractorOptions) -> None:
        limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
        self._store = open_store(settings.store_url)
        self._options = options
        self._pool = DecodePool(
            options.decode_workers,
            WorkerSettings.for_limits(limits, options.decode_seconds),
        )
        # In a thread: importing torch takes seconds in which /livez should answer already.
        self._opening = asyncio.create_task(
            asyncio.to_thread(_open_engine, self._store, options), name="open engine"
        )
        self.intake = Intake(
            requests=options.search_queue,
            total_bytes=options.search_body_bytes,
            image_bytes=settings.max_image_bytes,
        )
        self.extractor = Extractor(self._store, self._pool, self.engine, options)

    async def engine(self) -> Engine:
        """Once it is open; raises Unavailable where the device wanted is not there."""
        return await asyncio.shield(self._opening)

    async def ready(self) -> None:
        """Raises Unavailable while the engine is not open; needs no model."""
        if not self._opening.done():
            raise Unavailable("The networks' library is still being loaded; ask again in a second.")
        await self._opening

    async def close(self) -> None:
        with contextlib.suppress(Exception):
            (await self._opening).close()
        await asyncio.to_thread(self._pool.close)


async def state_of(request: Request) -> State:
    state: State = request.app.state.extraction
    return state


def _open_engine(store: Store, options: ExtractorOptions) -> Engine:
    from feature_extractor.engine import Engine  # here, because this imports torch

    return Engine(store, options)
