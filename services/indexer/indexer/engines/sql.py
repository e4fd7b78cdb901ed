"""The SQL engine: exact scans by pgvector inside Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from indexer import vectors
from indexer.engines.base import Neighbour, QueryVectors
from indexer.indexes import Index
from kinsight.contracts.search import SpaceName
from kinsight.database import Connection
from kinsight.spaces import SPACES, TIE_KEY_SQL, Metric, Space

_OPERATORS: dict[Metric, str] = {"euclidean": "<->", "cosine": "<=>", "hamming": "<~>"}
# The parent is partitioned by class_id, so this condition is what keeps other tables unread.
_NEAREST_FIRST = f"ORDER BY distance, {TIE_KEY_SQL}, image_id"
_TABLES = "class_id = ANY($1::int[]) AND image_id <> ALL($2::bigint[])"


class SqlEngine:
    """The oracle the other engines are held against."""

    async def search(
        self,
        connection: Connection,
        index: Index,
        query: QueryVectors,
        *,
        space: SpaceName,
        class_ids: Sequence[int],
        k: int,
        exclude: Sequence[int] = (),
    ) -> list[Neighbour]:
        if space is SpaceName.AUTO:
            rows = await self._auto(connection, index, query, list(class_ids), k, list(exclude))
        else:
            chosen = SPACES[space]
            distance = f"{chosen.column} {_operator(chosen, index)} $3"
            rows = await connection.fetch(
                f"SELECT image_id, class_id, {distance} AS distance FROM {index.table}"
                f" WHERE {_TABLES} {_NEAREST_FIRST} LIMIT $4",
                list(class_ids),
                list(exclude),
                _value(chosen, query, index),
                k,
            )
        return [Neighbour(row["image_id"], row["class_id"], row["distance"]) for row in rows]

    async def _auto(
        self,
        connection: Connection,
        index: Index,
        query: QueryVectors,
        class_ids: list[int],
        k: int,
        exclude: list[int],
    ) -> list[Any]:
        code, feature = SPACES["hash"], SPACES["feature"]
        return await connection.fetch(
            "WITH shortlist AS MATERIALIZED (SELECT image_id, class_id, feature"
            f" FROM {index.table} WHERE {_TABLES}"
            f" ORDER BY code {_operator(code, index)} $3 FETCH FIRST ($4::bigint) ROWS WITH TIES)"
            f" SELECT image_id, class_id, feature {_operator(feature, index)} $5 AS distance"
            f" FROM shortlist {_NEAREST_FIRST} LIMIT $6",
            class_ids,
            exclude,
            _value(code, query, index),
            max(index.retrieval.shortlist, k),
            _value(feature, query, index),
            k,
        )


def _operator(space: Space, index: Index) -> str:
    return _OPERATORS[space.metric(index.feature_metric)]


def _value(space: Space, query: QueryVectors, index: Index) -> Any:
    if space.column == "code":
        return vectors.bits(query.code, index.code_bits)
    return getattr(query, space.column)
