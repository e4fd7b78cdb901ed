"""Evaluation jobs: search a library with labelled queries, in every space and routing mode."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from kinsight.contracts.models import Model
from kinsight.errors import KinsightError
from kinsight.jobs import JobContext
from trainer import metrics
from trainer.jobs.base import Workshop
from trainer.jobs.evaluation_run import EvaluationRun
from trainer.jobs.reporter import Reporter
from trainer.library_images import LibraryImages
from trainer.queries import ArchiveQueries, QuerySource, ValidationQueries


class EvaluateJob:
    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def __call__(self, context: JobContext) -> dict[str, Any]:
        attempt = int(context.claim.progress.get("attempt", 0)) + 1
        if attempt > self._workshop.settings.job_attempts:
            raise KinsightError(
                f"The evaluation was begun {attempt - 1} times and never came to its end; the "
                "logs of the feature-extractor and the indexer say why."
            )
        payload = context.claim.payload
        model = await self._workshop.registry.get(payload["model"])
        with metrics.JOBS_RUNNING.labels("evaluate").track_inprogress():
            images = await LibraryImages.read(self._workshop.indexer, model.library)
            async with (
                self._source(context, model, images) as source,
                Reporter(context, self._workshop.pool) as reporter,
            ):
                run = EvaluationRun(
                    self._workshop, model, images, reporter, attempt, payload.get("crops", 1)
                )
                found = await run.evaluate(source)
            async with self._workshop.pool.acquire() as connection, connection.transaction():
                await context.guard(connection)
                await self._workshop.registry.keep_evaluation(connection, found)
        return found.model_dump(mode="json")

    @asynccontextmanager
    async def _source(
        self, context: JobContext, model: Model, images: LibraryImages
    ) -> AsyncIterator[QuerySource]:
        upload = context.claim.payload["queries"]
        if upload is None:
            yield ValidationQueries(images, model.card.validation_image_ids)
            return
        store, prefix = self._workshop.store, f"uploads/evaluate/{context.claim.id}/"
        try:
            async with store.local_file(upload) as path:
                limit = self._workshop.settings.max_image_bytes
                yield await asyncio.to_thread(ArchiveQueries, path, store, prefix, limit)
        finally:
            await store.delete_prefix(prefix)
