"""A search inside the indexer: route, scan, name the hits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from indexer import images, indexes, libraries, metrics
from indexer.engines import Engine, Neighbour, QueryVectors
from indexer.indexes import Index
from indexer.routing import Route, class_ids, route
from kinsight.contracts.embeddings import Embeddings
from kinsight.contracts.ingest import BatchAnswer
from kinsight.contracts.search import (
    ClassProbability,
    Hit,
    IndexAnswer,
    Routing,
    RoutingMode,
    SpaceName,
)
from kinsight.database import Connection, Pool
from kinsight.errors import Conflict, LibraryNotFound, ModelNotLive
from kinsight.spaces import similarity

_SHOWN_CLASSES = 5


@dataclass(frozen=True)
class SearchOptions:
    k: int
    space: SpaceName
    routing: RoutingMode
    classes: Sequence[str] = ()
    min_similarity: float | None = None


@dataclass(frozen=True)
class _Scan:
    route: Route
    neighbours: list[Neighbour]
    compared: int
    library_size: int


class Searcher:
    def __init__(self, pool: Pool, engine: Engine) -> None:
        self._pool = pool
        self._engine = engine

    async def search(
        self,
        library: str,
        model: str,
        embeddings: Embeddings,
        options: SearchOptions,
        *,
        superseded: bool = False,
    ) -> IndexAnswer:
        """Searches the live index; raises ModelNotLive where it is under another model.

        superseded: the caller has learned during this very search that the model is live, so its
        index answers also when another model has gone live since. Without that a search could be
        overtaken by switch after switch.
        """
        began = time.perf_counter()
        try:
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                index = await self._live_index(connection, library)
                if index.model_id != model and superseded:
                    index = await self._previous_index(connection, library) or index
                if index.model_id != model:
                    raise ModelNotLive(
                        f"Library {library!r} is searched with {index.model_id} by now.",
                        live_model=index.model_id,
                    )
                indexes.check_shape(index, embeddings)
                scan = await self._scan(connection, index, embeddings, 0, options, ())
                hits = await _hits(connection, index, scan.neighbours, options.min_similarity)
        except asyncpg.UndefinedTableError as error:  # dropped since we read which is live
            raise ModelNotLive(
                f"Library {library!r} is searched with another model now."
            ) from error
        seconds = time.perf_counter() - began
        metrics.SEARCH_SECONDS.labels(options.space).observe(seconds)
        return IndexAnswer(
            library=library,
            model=model,
            match=_is_match(index, options.space, hits),
            classes=_likely(index, embeddings),
            routing=Routing(
                mode=scan.route.mode,
                classes=[index.classes[i] for i in scan.route.class_ids],
                probability=scan.route.probability,
                compared=scan.compared,
                library_size=scan.library_size,
            ),
            hits=hits,
            search_ms=seconds * 1e3,
        )

    async def search_batch(
        self,
        library: str,
        model: str,
        embeddings: Embeddings,
        options: SearchOptions,
        crops: int | None = None,
    ) -> list[BatchAnswer]:
        """Searches with every row, under any index of the library, live or not.

        crops: of the index, where there are several under the model.
        """
        exclude: list[list[int]] = embeddings.meta.get("exclude") or [[]] * len(embeddings)
        async with self._pool.acquire() as connection:
            library_id = await libraries.library_id(connection, library)
            index = await indexes.under(connection, library_id, model, crops)
            if index is None:
                of_crops = f" of {crops} crops" if crops else ""
                raise Conflict(
                    f"Library {library!r} has no index{of_crops} under model {model}; promote it "
                    "first."
                )
            indexes.check_shape(index, embeddings)
            answers = []
            for row in range(len(embeddings)):
                began = time.perf_counter()
                scan = await self._scan(connection, index, embeddings, row, options, exclude[row])
                hits = await _hits(connection, index, scan.neighbours, None)
                seconds = time.perf_counter() - began
                metrics.SEARCH_SECONDS.labels(options.space).observe(seconds)
                answers.append(
                    BatchAnswer(
                        image_ids=[int(hit.image_id) for hit in hits],
                        labels=[hit.label for hit in hits],
                        distances=[hit.distance for hit in hits],
                        compared=scan.compared,
                        search_ms=seconds * 1e3,
                    )
                )
        return answers

    async def _live_index(self, connection: Connection, library: str) -> Index:
        row = await connection.fetchrow(
            "SELECT i.* FROM libraries l LEFT JOIN indexes i ON i.id = l.live_index"
            " WHERE l.name = $1",
            library,
        )
        if row is None:
            raise LibraryNotFound(f"There is no library {library!r}; `GET /libraries` lists them.")
        if row["id"] is None:
            raise libraries.no_model(library)
        return Index.from_row(row)

    async def _previous_index(self, connection: Connection, library: str) -> Index | None:
        row = await connection.fetchrow(
            "SELECT i.* FROM libraries l JOIN indexes i ON i.id = l.previous_index"
            " WHERE l.name = $1",
            library,
        )
        return Index.from_row(row) if row else None

    async def _scan(
        self,
        connection: Connection,
        index: Index,
        embeddings: Embeddings,
        row: int,
        options: SearchOptions,
        exclude: Sequence[int],
    ) -> _Scan:
        query = QueryVectors(
            embeddings.probabilities[row], embeddings.feature[row], embeddings.code[row]
        )
        tables = await connection.fetch(
            "SELECT class_id, rows FROM class_tables WHERE index_id = $1 AND rows > 0", index.id
        )
        rows = {table["class_id"]: table["rows"] for table in tables}
        named = class_ids(options.classes, index.classes)
        mode = RoutingMode.NAMED if named else options.routing
        chosen = route(mode, query.probabilities, rows.keys(), index.retrieval, named)
        neighbours = await self._engine.search(
            connection,
            index,
            query,
            space=options.space,
            class_ids=chosen.class_ids,
            k=options.k,
            exclude=exclude,
        )
        compared = sum(rows.get(class_id, 0) for class_id in chosen.class_ids)
        metrics.ROWS_COMPARED.labels(options.space).inc(compared)
        metrics.TABLES_SCANNED.labels(mode).observe(
            sum(class_id in rows for class_id in chosen.class_ids)
        )
        return _Scan(chosen, neighbours, compared, sum(rows.values()))


async def _hits(
    connection: Connection,
    index: Index,
    neighbours: Sequence[Neighbour],
    min_similarity: float | None,
) -> list[Hit]:
    rows = await connection.fetch(
        "SELECT id, label, filename FROM images WHERE id = ANY($1)",
        [neighbour.image_id for neighbour in neighbours],
    )
    known = {row["id"]: row for row in rows}
    return [
        Hit(
            image_id=str(neighbour.image_id),
            class_=index.classes[neighbour.class_id],
            label=known[neighbour.image_id]["label"],
            distance=neighbour.distance,
            similarity=similarity(neighbour.distance),
            filename=known[neighbour.image_id]["filename"],
            content_url=images.content_url(neighbour.image_id),
            thumbnail_url=images.thumbnail_url(neighbour.image_id),
        )
        for neighbour in neighbours
        # outside a transaction an image may have been deleted since it was found
        if neighbour.image_id in known
        and (min_similarity is None or similarity(neighbour.distance) >= min_similarity)
    ]


def _is_match(index: Index, space: SpaceName, hits: Sequence[Hit]) -> bool:
    if not hits:
        return False
    farthest = index.retrieval.match_distance.get(space)
    return farthest is None or hits[0].distance <= farthest


def _likely(index: Index, embeddings: Embeddings) -> list[ClassProbability]:
    probabilities = embeddings.probabilities[0]
    order = (-probabilities).argsort(kind="stable")[:_SHOWN_CLASSES]
    return [
        ClassProbability(class_=index.classes[int(i)], probability=float(probabilities[i]))
        for i in order
    ]
