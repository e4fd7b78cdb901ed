"""P@10 of an index, from the vectors that are stored in it: no picture is embedded for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from indexer.engines import Engine, QueryVectors
from indexer.indexes import Index
from indexer.routing import route
from kinsight.contracts.search import RoutingMode, SpaceName
from kinsight.database import Connection, Record
from kinsight.images.near_duplicates import RADIUS

K = 10
_ROUNDS = 20  # of searching again without the near-duplicates that were found


class Tally:
    """Relevant hits per label, summed exactly: models that do equally well come out equal."""

    def __init__(self) -> None:
        self._relevant: Counter[str] = Counter()
        self._queries: Counter[str] = Counter()

    @property
    def queries(self) -> int:
        return self._queries.total()

    def add(self, label: str, relevant: int) -> None:
        """One query with so many relevant images among its first ten hits."""
        self._queries[label] += 1
        self._relevant[label] += relevant

    def mean(self, weights: Mapping[str, int] | None = None) -> Fraction | None:
        """P@10, the mean over the queries of relevant hits / 10 (CBIR paper, table 2).

        weights: every label counts by these, not by how many queries it has, so that the mean
        over a part of the images stands for the whole. None where there was no query.
        """
        counted = {
            label: weights.get(label, 0) if weights is not None else queries
            for label, queries in self._queries.items()
        }
        whole = sum(counted.values())
        if not whole:
            return None
        parts = (
            Fraction(weight * self._relevant[label], K * self._queries[label])
            for label, weight in counted.items()
        )
        return sum(parts, Fraction(0)) / whole


async def relevant_hits(
    connection: Connection,
    engine: Engine,
    index: Index,
    labels: Mapping[int, str],
    *,
    hashes_tell: bool,
) -> dict[int, int]:
    """Of each image, by id: how many of its first ten hits have its label.

    The index is searched as it is by default: in `auto`, routed by `adaptive`. The image itself
    is no hit, nor are its near-duplicates where the library's hashes tell pictures apart (see
    `NearDuplicates`). Images that are no longer in the index are left out.
    """
    queries = await connection.fetch(
        "SELECT image_id, probabilities, code, feature, perceptual_hash"
        f" FROM {index.table} JOIN images ON images.id = image_id WHERE image_id = ANY($1)",
        list(labels),
    )
    tables = await connection.fetch(
        "SELECT class_id FROM class_tables WHERE index_id = $1 AND rows > 0", index.id
    )
    filled = {table["class_id"] for table in tables}
    found = {}
    for query in queries:
        hits = await _hits(connection, engine, index, query, filled, hashes_tell)
        label = labels[query["image_id"]]
        found[query["image_id"]] = sum(hit == label for hit in hits)
    return found


async def _hits(
    connection: Connection,
    engine: Engine,
    index: Index,
    query: Record,
    filled: set[int],
    hashes_tell: bool,
) -> Sequence[str | None]:
    """The labels of the first ten hits."""
    vectors = QueryVectors(
        query["probabilities"], query["feature"], np.frombuffer(query["code"].bytes, np.uint8)
    )
    chosen = route(RoutingMode.ADAPTIVE, vectors.probabilities, filled, index.retrieval)
    without = [query["image_id"]]
    labels: list[str | None] = []
    for _ in range(_ROUNDS):
        neighbours = await engine.search(
            connection,
            index,
            vectors,
            space=SpaceName.AUTO,
            class_ids=chosen.class_ids,
            k=K,
            exclude=without,
        )
        ids = [neighbour.image_id for neighbour in neighbours]
        rows = await connection.fetch(
            "SELECT id, label, perceptual_hash FROM images WHERE id = ANY($1)", ids
        )
        known = {row["id"]: row for row in rows}
        near = [row["id"] for row in rows if hashes_tell and _near(query, row)]
        labels = [known[i]["label"] for i in ids if i in known and i not in near]
        without += near
        if not near:
            break
    return labels


def _near(one: Record, other: Record) -> bool:
    differing: int = one["perceptual_hash"] ^ other["perceptual_hash"]
    return (differing & 0xFFFF_FFFF_FFFF_FFFF).bit_count() <= RADIUS
