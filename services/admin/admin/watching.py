"""Keeps the gauges of quality and room up to date; no scrape asks another service for them."""

from __future__ import annotations

import asyncio
import logging

from admin import metrics
from admin.precision import live_evaluations
from admin.rooms import rooms
from admin.settings import AdminSettings
from kinsight.clients.indexer import IndexerClient
from kinsight.clients.trainer import TrainerClient
from kinsight.errors import KinsightError
from kinsight.store import Store

_log = logging.getLogger(__name__)


async def watch(
    settings: AdminSettings, store: Store, indexer: IndexerClient, trainer: TrainerClient
) -> None:
    """Until cancelled. A figure that cannot be had now stays as it was."""
    while True:
        try:
            metrics.show_rooms(await rooms(store, settings.data_dir), settings.free_bytes_wanted)
            metrics.show_evaluations(await live_evaluations(indexer, trainer))
        except (KinsightError, OSError, ValueError) as error:
            _log.info("Looking again later: %s", error)
        await asyncio.sleep(settings.watch_seconds)
