"""Indexes: one library under one model, its rows in class tables made on demand.

An index is the parent table `index_<n>`, LIST-partitioned by class_id, with one partition
`index_<n>_class_<i>` per predicted class (CBIR paper, §3: tables_i with i = argmax).
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from indexer import vectors
from kinsight.contracts.embeddings import Embeddings
from kinsight.contracts.models import ModelCard, RetrievalSettings
from kinsight.database import Connection, Record
from kinsight.errors import Conflict

_COLUMNS = ("image_id", "class_id", "probabilities", "code", "feature")
# Postgres keeps a row on one page of 8 kB; a feature that would fill a good part of it goes out of
# line, uncompressed, so that scans by code or by softmax read narrow rows.
_INLINE_FEATURE_BYTES = 512


@dataclass(frozen=True)
class Index:
    """Immutable once made: a row of `indexes`."""

    id: int
    library_id: int
    model_id: str
    classes: tuple[str, ...]
    feature_dimensions: int
    code_bits: int
    feature_metric: str
    retrieval: RetrievalSettings
    crops: int  # of each picture, that its row is the mean of

    @property
    def table(self) -> str:
        return f"index_{self.id}"

    @classmethod
    def from_row(cls, row: Record) -> Index:
        return cls(
            id=row["id"],
            library_id=row["library_id"],
            model_id=row["model_id"],
            classes=tuple(row["classes"]),
            feature_dimensions=row["feature_dimensions"],
            code_bits=row["code_bits"],
            feature_metric=row["feature_metric"],
            retrieval=RetrievalSettings(**row["retrieval"]),
            crops=row["crops"],
        )


async def create(
    connection: Connection,
    library_id: int,
    card: ModelCard,
    job_id: str | None,
    crops: int = 1,
) -> Index:
    """Makes an index without any class table."""
    row = await connection.fetchrow(
        "INSERT INTO indexes (library_id, model_id, classes, feature_dimensions, code_bits,"
        " feature_metric, retrieval, job_id, crops)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING *",
        library_id,
        card.id,
        card.classes,
        card.feature_dimensions,
        card.code_bits,
        card.feature_metric,
        card.retrieval.model_dump(),
        uuid.UUID(job_id) if job_id else None,
        crops,
    )
    assert row is not None
    index = Index.from_row(row)
    await connection.execute(
        f"CREATE TABLE {index.table} ("
        " image_id bigint NOT NULL, class_id int NOT NULL,"
        f" probabilities vector({len(index.classes)}) NOT NULL,"
        f" code bit({index.code_bits}) NOT NULL,"
        f" feature vector({index.feature_dimensions}) NOT NULL,"
        " PRIMARY KEY (image_id, class_id)) PARTITION BY LIST (class_id)"
    )
    return index


async def get(connection: Connection, index_id: int) -> Index | None:
    row = await connection.fetchrow("SELECT * FROM indexes WHERE id = $1", index_id)
    return Index.from_row(row) if row else None


async def under(
    connection: Connection, library_id: int, model_id: str, crops: int | None = None
) -> Index | None:
    """A library's index under a model, and under so many crops where that is said.

    The live one where it is among several, else the newest: one that is being rebuilt lacks rows.
    """
    row = await connection.fetchrow(
        "SELECT i.* FROM indexes i JOIN libraries l ON l.id = i.library_id"
        " WHERE l.id = $1 AND i.model_id = $2 AND ($3::int IS NULL OR i.crops = $3)"
        " ORDER BY i.id IS NOT DISTINCT FROM l.live_index DESC, i.id DESC LIMIT 1",
        library_id,
        model_id,
        crops,
    )
    return Index.from_row(row) if row else None


async def built_by(connection: Connection, job_id: str) -> Index | None:
    row = await connection.fetchrow("SELECT * FROM indexes WHERE job_id = $1", uuid.UUID(job_id))
    return Index.from_row(row) if row else None


async def of_library(connection: Connection, library_id: int) -> list[Index]:
    rows = await connection.fetch(
        "SELECT * FROM indexes WHERE library_id = $1 ORDER BY id", library_id
    )
    return [Index.from_row(row) for row in rows]


async def drop(connection: Connection, index: Index) -> None:
    await connection.execute(f"DROP TABLE IF EXISTS {index.table}")
    await connection.execute("DELETE FROM indexes WHERE id = $1", index.id)


async def empty(connection: Connection, index: Index) -> int:
    """Empties every class table; returns the rows removed."""
    removed = await connection.fetchval(
        "SELECT coalesce(sum(rows), 0)::bigint FROM class_tables WHERE index_id = $1", index.id
    )
    await connection.execute(f"TRUNCATE {index.table}")
    await connection.execute("UPDATE class_tables SET rows = 0 WHERE index_id = $1", index.id)
    return int(removed)


async def make_class_tables(
    connection: Connection, index: Index, class_ids: Collection[int]
) -> None:
    """Makes the missing class tables, in a short transaction of its own.

    A table is made alone and then attached: that locks the parent against other attachments only,
    while CREATE TABLE … PARTITION OF would make every search wait.
    """
    known = await connection.fetch(
        "SELECT class_id FROM class_tables WHERE index_id = $1", index.id
    )
    missing = sorted(set(class_ids) - {row["class_id"] for row in known})
    for class_id in missing:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1, $2)", _DDL_LOCK, index.id)
            made = await connection.fetchval(
                "INSERT INTO class_tables (index_id, class_id) VALUES ($1, $2)"
                " ON CONFLICT DO NOTHING RETURNING 1",
                index.id,
                class_id,
            )
            if made:
                await _make_class_table(connection, index, class_id)


_DDL_LOCK = 0x434C53
_FILL_LOCK = 0x46494C


async def _make_class_table(connection: Connection, index: Index, class_id: int) -> None:
    table = f"{index.table}_class_{class_id}"
    options = ""
    storage = "PLAIN"
    if index.feature_dimensions * 4 > _INLINE_FEATURE_BYTES:
        options, storage = " WITH (toast_tuple_target = 256)", "EXTERNAL"
    await connection.execute(
        f"CREATE TABLE {table} (LIKE {index.table} INCLUDING INDEXES){options};"
        f"ALTER TABLE {table} ALTER COLUMN feature SET STORAGE {storage},"
        f" ADD CHECK (class_id = {class_id});"
        f"ALTER TABLE {index.table} ATTACH PARTITION {table} FOR VALUES IN ({class_id})"
    )


async def add(
    connection: Connection, index: Index, image_ids: Sequence[int], embeddings: Embeddings
) -> None:
    """Files images in their classes' tables. The class tables exist; the images are in none.

    image_ids: N ids, one per row of the embeddings.
    """
    if not image_ids:
        return
    class_ids = predicted_classes(embeddings)
    await connection.copy_records_to_table(
        index.table,
        columns=_COLUMNS,
        records=[
            (
                image_ids[n],
                class_ids[n],
                embeddings.probabilities[n],
                vectors.bits(embeddings.code[n], index.code_bits),
                embeddings.feature[n],
            )
            for n in range(len(image_ids))
        ],
    )
    await _count(connection, index.id, Counter(class_ids))


async def add_missing(
    connection: Connection, index: Index, image_ids: Sequence[int], embeddings: Embeddings
) -> int:
    """As `add`, for images that others may be filing or deleting now; returns how many it filed."""
    await connection.execute("SELECT pg_advisory_xact_lock($1, $2)", _FILL_LOCK, index.id)
    rows = await connection.fetch(
        "SELECT id FROM images WHERE id = ANY($1) AND NOT EXISTS"
        f" (SELECT 1 FROM {index.table} WHERE image_id = images.id) FOR KEY SHARE",
        list(image_ids),
    )
    wanted = {row["id"] for row in rows}
    keep = [n for n, image_id in enumerate(image_ids) if image_id in wanted]
    await add(connection, index, [image_ids[n] for n in keep], take(embeddings, keep))
    return len(keep)


async def remove(connection: Connection, index: Index, image_ids: Sequence[int]) -> None:
    """Takes images out of whatever class table they are in."""
    rows = await connection.fetch(
        f"DELETE FROM {index.table} WHERE image_id = ANY($1) RETURNING class_id", list(image_ids)
    )
    await _count(connection, index.id, Counter(row["class_id"] for row in rows), sign=-1)


def predicted_classes(embeddings: Embeddings) -> list[int]:
    """argmax of each row of probabilities; the lowest class id among equals."""
    return [int(i) for i in np.argmax(embeddings.probabilities, axis=1)]


def take(embeddings: Embeddings, rows: Sequence[int]) -> Embeddings:
    """Some rows of the embeddings, in the order given."""
    at = np.asarray(rows, dtype=np.int64)
    return Embeddings(
        embeddings.probabilities[at], embeddings.feature[at], embeddings.code[at], embeddings.meta
    )


def check_shape(index: Index, embeddings: Embeddings) -> None:
    """Raises Conflict where the vectors are not of the index's model."""
    expected = (len(index.classes), index.feature_dimensions, (index.code_bits + 7) // 8)
    found = tuple(
        array.shape[1] for array in (embeddings.probabilities, embeddings.feature, embeddings.code)
    )
    if expected != found:
        raise Conflict(
            f"The vectors are not of model {index.model_id}: {found} dimensions, not {expected}."
        )


async def _count(
    connection: Connection, index_id: int, rows: Counter[int], *, sign: int = 1
) -> None:
    # In the order of class ids, so that two transactions never wait for each other.
    for class_id in sorted(rows):
        await connection.execute(
            "UPDATE class_tables SET rows = rows + $3 WHERE index_id = $1 AND class_id = $2",
            index_id,
            class_id,
            sign * rows[class_id],
        )
