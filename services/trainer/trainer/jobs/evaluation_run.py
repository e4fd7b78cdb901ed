"""One evaluation under way: queries are embedded once and searched with in every way."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kinsight.contracts.embeddings import Embeddings
from kinsight.contracts.evaluation import Evaluation
from kinsight.contracts.ingest import BatchAnswer
from kinsight.contracts.jobs import Progress
from kinsight.contracts.models import Model
from kinsight.errors import Unprocessable
from trainer import evaluation, metrics
from trainer.evaluation import Predictions, Queries
from trainer.jobs.base import Workshop
from trainer.jobs.reporter import Reporter
from trainer.library_images import LibraryImages
from trainer.queries import Query, QuerySource
from trainer.routed_tables import ROUTINGS
from trainer.tally import SPACES, Found, Tally, bytes_per_image


class _Usable(NamedTuple):
    """A query that counts, with the library's rows that are nearly the same picture."""

    query: Query
    like: NDArray[np.int64]


class EvaluationRun:
    """Sums up batch by batch.

    What the library holds already would be found too easily. Of a folder, a picture that is nearly
    the same as an image of the library is left out. So is a held-out image that is nearly the same
    as one that was not held out, which the network may know from training; those it is like among
    the held out, and itself, are left out of its ranking instead.
    """

    def __init__(
        self,
        workshop: Workshop,
        model: Model,
        images: LibraryImages,
        reporter: Reporter,
        attempt: int,
        crops: int,
    ) -> None:
        self._workshop = workshop
        self._model = model
        self._images = images
        self._reporter = reporter
        self._attempt = attempt
        self._crops = crops
        bytes_in = partial(
            bytes_per_image,
            classes=len(model.card.classes),
            feature_dimensions=model.card.feature_dimensions,
            code_bits=model.card.code_bits,
        )
        self._tallies = [
            Tally(space, routing, bytes_in(space)) for space in SPACES for routing in ROUTINGS
        ]
        self._predictions = Predictions(model.card.classes)
        self._unknown: Counter[str] = Counter()
        self._queries = 0
        self._unreadable = 0
        self._near_duplicates = 0
        self._embed_seconds = 0.0
        self._embedded = 0
        self._began = time.monotonic()

    async def evaluate(self, source: QuerySource) -> Evaluation:
        """Raises Unprocessable where no query can be used, Conflict where there is no index."""
        self._tell(source, 0)
        async with aclosing(source.batches(self._workshop.settings.evaluation_batch)) as batches:
            async for batch in batches:
                await self._batch(batch, source)
        skipped = source.skipped + self._unreadable
        if not self._queries:
            raise Unprocessable(_nothing_left(source, skipped, self._near_duplicates))
        return Evaluation(
            library=self._model.library,
            model=self._model.id,
            queries=self._queries,
            results=[tally.row() for tally in self._tallies],
            queries_from=source.origin,
            crops=self._crops,
            skipped=skipped,
            near_duplicates=self._near_duplicates,
            unknown_labels=dict(self._unknown),
            per_class=self._predictions.per_class(),
            confusion=self._predictions.confusion(),
            embed_milliseconds_mean=self._embed_seconds / self._embedded * 1e3,
            measured_at=datetime.now(UTC),
        )

    async def _batch(self, batch: list[Query], source: QuerySource) -> None:
        usable, embeddings = await self._embedded_queries(batch, source)
        if not usable:
            return
        queries = self._judge(usable, embeddings)
        envelope = Embeddings(
            embeddings.probabilities,
            embeddings.feature,
            embeddings.code,
            {"exclude": [self._images.ids[like].tolist() for _, like in usable]},
        ).to_bytes()
        answers: dict[tuple[str, str], list[BatchAnswer]] = {}
        for number, tally in enumerate(self._tallies):
            answers[tally.space, tally.routing] = await self._workshop.indexer.search_batch(
                self._model.library,
                envelope,
                {
                    "model": self._model.id,
                    "k": evaluation.DEPTH,
                    "space": tally.space,
                    "routing": tally.routing,
                },
            )
            self._tell(source, len(usable) * (number + 1) / len(self._tallies))
        for tally in self._tallies:
            tally.add(queries, found_by(answers, tally.space, tally.routing, queries.labels))
        self._predictions.add(queries, embeddings.probabilities)
        self._queries += len(usable)
        metrics.QUERIES_EVALUATED.inc(len(usable))

    async def _embedded_queries(
        self, batch: list[Query], source: QuerySource
    ) -> tuple[list[_Usable], Embeddings]:
        """The queries that count, and a row of outputs for each."""
        began = time.monotonic()
        inspections, embeddings = await self._workshop.extractor.embed_stored(
            [query.key for query in batch], self._model.id, crops=self._crops
        )
        self._embed_seconds += time.monotonic() - began
        self._embedded += len(embeddings)
        self._unreadable += len(batch) - len(embeddings)
        readable = [
            _Usable(query, self._images.like(query.blob, seen.perceptual_hash))
            for query, seen in zip(batch, inspections, strict=True)
            if seen.error is None
        ]
        rows = [
            row
            for row, (_, like) in enumerate(readable)
            if source.kept_apart.issuperset(self._images.ids[like].tolist())
        ]
        self._near_duplicates += len(readable) - len(rows)
        return [readable[row] for row in rows], Embeddings(
            embeddings.probabilities[rows],
            embeddings.feature[rows],
            embeddings.code[rows],
            embeddings.meta,
        )

    def _judge(self, usable: list[_Usable], embeddings: Embeddings) -> Queries:
        labels = [query.label for query, _ in usable]
        self._unknown.update(label for label in labels if label not in self._images.counts)
        # What is left out of a ranking is not among what it can find.
        possible = [
            self._images.counts[query.label]
            - sum(self._images.labels[row] == query.label for row in like)
            for query, like in usable
        ]
        classes = self._model.card.classes
        return Queries(
            labels,
            np.array(possible, dtype=np.int64),
            evaluation.errors(embeddings.probabilities, labels, classes),
            evaluation.errors(embeddings.probabilities, labels, classes, among=5),
        )

    def _tell(self, source: QuerySource, of_this_batch: float) -> None:
        left_out = self._unreadable + self._near_duplicates + source.skipped
        done = self._queries + left_out + of_this_batch
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


def found_by(
    answers: dict[tuple[str, str], list[BatchAnswer]], space: str, routing: str, labels: list[str]
) -> Found:
    """What one space under one routing mode found, held against the exhaustive and the exact."""
    own = answers[space, routing]

    def kept_of(reference: list[BatchAnswer]) -> NDArray[np.float64]:
        return evaluation.recall(
            [answer.image_ids for answer in reference], [answer.image_ids for answer in own]
        )

    return Found(
        relevant=evaluation.relevance([answer.labels for answer in own], labels),
        compared=np.array([answer.compared for answer in own], dtype=np.float64),
        milliseconds=np.array([answer.search_ms for answer in own]),
        routing_recall=kept_of(answers[space, "all"]),
        hash_recall=kept_of(answers["feature", routing]) if space == "auto" else None,
    )


def _nothing_left(source: QuerySource, skipped: int, near_duplicates: int) -> str:
    seen = (
        f"There is nothing to evaluate with: {skipped:,} queries are no readable picture with a "
        f"label, and {near_duplicates:,} are nearly the same as pictures of the library. "
    )
    if source.origin == "folder":
        return seen + (
            "Send an archive whose pictures lie in class folders, and of which the library has "
            "none, or evaluate without one, with the images held out from training."
        )
    return seen + (
        "Train with more labelled images, so that some are kept for validation, or send an "
        "archive of class folders with pictures that the library does not have."
    )
