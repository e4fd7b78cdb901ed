"""Evaluation jobs: search a library with labelled queries, in every space and routing mode."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np

from kinsight.contracts.embeddings import Embeddings
from kinsight.contracts.evaluation import Evaluation
from kinsight.contracts.jobs import Progress
from kinsight.contracts.libraries import Library
from kinsight.contracts.models import Model
from kinsight.errors import KinsightError, Unprocessable
from kinsight.jobs import JobContext
from trainer import evaluation, metrics
from trainer.evaluation import Queries, Tally
from trainer.jobs.base import Workshop
from trainer.jobs.reporter import Reporter
from trainer.queries import ArchiveQueries, Query, QuerySource, ValidationQueries

SPACES = ("softmax", "feature", "hash", "auto")
ROUTINGS = ("argmax", "adaptive", "all")
"""Everything a search can be asked for but named classes."""


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
        model = await self._workshop.registry.get(context.claim.payload["model"])
        library = await self._workshop.indexer.library(model.library)
        with metrics.JOBS_RUNNING.labels("evaluate").track_inprogress():
            async with (
                self._source(context, model) as source,
                Reporter(context, self._workshop.pool) as reporter,
            ):
                run = _Run(self._workshop, model, library, reporter, attempt)
                found = await run.evaluate(source)
            async with self._workshop.pool.acquire() as connection, connection.transaction():
                await context.guard(connection)
                await self._workshop.registry.keep_evaluation(connection, found)
        return found.model_dump(mode="json")

    @asynccontextmanager
    async def _source(self, context: JobContext, model: Model) -> AsyncIterator[QuerySource]:
        upload = context.claim.payload["queries"]
        if upload is None:
            yield ValidationQueries(
                self._workshop.indexer, model.library, model.card.validation_image_ids
            )
            return
        store, prefix = self._workshop.store, f"uploads/evaluate/{context.claim.id}/"
        try:
            async with store.local_file(upload) as path:
                limit = self._workshop.settings.max_image_bytes
                yield await asyncio.to_thread(ArchiveQueries, path, store, prefix, limit)
        finally:
            await store.delete_prefix(prefix)


class _Run:
    """One evaluation under way."""

    def __init__(
        self,
        workshop: Workshop,
        model: Model,
        library: Library,
        reporter: Reporter,
        attempt: int,
    ) -> None:
        self._workshop = workshop
        self._model = model
        self._library = library
        self._reporter = reporter
        self._attempt = attempt
        self._tallies = [Tally(space, routing) for space in SPACES for routing in ROUTINGS]
        self._unknown: Counter[str] = Counter()
        self._queries = 0
        self._unreadable = 0
        self._began = time.monotonic()

    async def evaluate(self, source: QuerySource) -> Evaluation:
        """Raises Unprocessable where no query can be used, Conflict where there is no index."""
        self._tell(source, 0)
        async with aclosing(source.batches(self._workshop.settings.evaluation_batch)) as batches:
            async for batch in batches:
                await self._batch(batch, source)
        skipped = source.skipped + self._unreadable
        if not self._queries:
            raise Unprocessable(
                f"There is nothing to evaluate with: {skipped} queries, none of them a readable "
                "picture with a label. Send an archive whose pictures lie in class folders, or "
                "train with more labelled images, so that some are kept for validation."
            )
        return Evaluation(
            library=self._library.name,
            model=self._model.id,
            queries=self._queries,
            results=[tally.row() for tally in self._tallies],
            skipped=skipped,
            unknown_labels=dict(self._unknown),
            measured_at=datetime.now(UTC),
        )

    async def _batch(self, batch: list[Query], source: QuerySource) -> None:
        inspections, embeddings = await self._workshop.extractor.embed_stored(
            [query.key for query in batch], self._model.id
        )
        readable = [
            query for query, seen in zip(batch, inspections, strict=True) if seen.error is None
        ]
        self._unreadable += len(batch) - len(readable)
        if not readable:
            return
        queries = self._judge(readable, embeddings)
        envelope = Embeddings(
            embeddings.probabilities,
            embeddings.feature,
            embeddings.code,
            {"exclude": [query.image_id for query in readable]},
        ).to_bytes()
        for number, tally in enumerate(self._tallies):
            answers = await self._workshop.indexer.search_batch(
                self._library.name,
                envelope,
                {
                    "model": self._model.id,
                    "k": evaluation.DEPTH,
                    "space": tally.space,
                    "routing": tally.routing,
                },
            )
            tally.add(queries, answers)
            self._tell(source, len(readable) * (number + 1) / len(self._tallies))
        self._queries += len(readable)
        metrics.QUERIES_EVALUATED.inc(len(readable))

    def _judge(self, readable: list[Query], embeddings: Embeddings) -> Queries:
        labels = [query.label for query in readable]
        self._unknown.update(label for label in labels if label not in self._library.labels)
        return Queries(
            labels,
            # A query that is in the library itself is not among what it can find.
            np.array(
                [
                    max(0, self._library.labels.get(query.label, 0) - (query.image_id is not None))
                    for query in readable
                ],
                dtype=np.int64,
            ),
            evaluation.errors(embeddings.probabilities, labels, self._model.card.classes),
        )

    def _tell(self, source: QuerySource, of_this_batch: float) -> None:
        done = self._queries + self._unreadable + source.skipped + of_this_batch
        rate = done / max(time.monotonic() - self._began, 1e-3)
        left = None if source.total is None else max(0.0, source.total - done)
        self._reporter.set(
            Progress(
                done=int(done),
                total=source.total,
                unit="queries",
                per_second=rate,
                eta_seconds=left / rate if left is not None and rate else None,
                phase="evaluating",
                # It begins anew each time, so its progress must not count as getting further.
                attempt=self._attempt,
            )
        )
