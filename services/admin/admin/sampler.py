"""Measures the running system every few seconds, for the SLA report."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from admin import metrics, samples
from admin.exposition import Reading, increase, read_gateway, read_indexer
from admin.settings import AdminSettings
from kinsight.clients.http import ServiceClient
from kinsight.database import Pool
from kinsight.database.pool import CONNECTION_ERRORS
from kinsight.errors import KinsightError

_ANSWER_SECONDS = 4.0
_THIN_EVERY_SECONDS = 3600.0
_log = logging.getLogger(__name__)


class Sampler:
    """services: gateway, feature-extractor, indexer, trainer."""

    def __init__(
        self, pool: Pool, services: Mapping[str, ServiceClient], settings: AdminSettings
    ) -> None:
        self._pool = pool
        self._services = services
        self._settings = settings
        self._gateway: Reading | None = None
        self._indexer: Reading | None = None

    async def run(self) -> None:
        """Samples until cancelled."""
        loop = asyncio.get_running_loop()
        thinned = -_THIN_EVERY_SECONDS
        due = loop.time()
        while True:
            try:
                await self.sample()
                if loop.time() - thinned > _THIN_EVERY_SECONDS:
                    await samples.thin(
                        self._pool,
                        self._settings.sla_thin_after_hours,
                        self._settings.sla_keep_days,
                    )
                    thinned = loop.time()
            except (*CONNECTION_ERRORS, TimeoutError) as error:
                _log.warning("No sample for want of Postgres: %s", error)
            due = max(due + self._settings.sla_sample_seconds, loop.time())
            await asyncio.sleep(due - loop.time())

    async def sample(self) -> None:
        """Takes and stores one sample."""
        answers = await asyncio.gather(*map(is_ready, self._services.values()))
        for service, answer in zip(self._services, answers, strict=True):
            metrics.SERVICE_READY.labels(service).set(answer)
        gateway = await self._read("gateway", read_gateway)
        indexer = await self._read("indexer", read_indexer)
        counted: dict[str, float] = {}
        if gateway:
            counted |= increase(self._gateway, gateway)
        if indexer:
            counted |= increase(self._indexer, indexer)
        await samples.keep(self._pool, all(answers), counted)
        # Only now: what could not be stored is counted with the next sample.
        self._gateway = gateway or self._gateway
        self._indexer = indexer or self._indexer

    async def _read(self, service: str, read: Callable[[str], Reading]) -> Reading | None:
        try:
            text = await self._services[service].bytes(
                "GET", "/metrics", timeout_seconds=_ANSWER_SECONDS
            )
        except KinsightError:
            return None
        return read(text.decode())


async def is_ready(service: ServiceClient) -> bool:
    try:
        await service.json("GET", "/readyz", timeout_seconds=_ANSWER_SECONDS)
    except KinsightError:
        return False
    return True
