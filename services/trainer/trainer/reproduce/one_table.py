"""The same vectors in one table and in one table per class, searched in turn."""

from __future__ import annotations

import statistics
import time
from typing import Any

import asyncpg
import numpy as np
from numpy.typing import NDArray

_K = 10
_WARM = 3

# The rows of the product's own index, as often as it takes; both tables get exactly the same.
_FILL = """
CREATE SCHEMA k_tables;
CREATE TABLE k_tables.one (image_id bigint NOT NULL, class_id int NOT NULL,
    probabilities vector({classes}) NOT NULL);
CREATE TABLE k_tables.many (LIKE k_tables.one) PARTITION BY LIST (class_id);
INSERT INTO k_tables.one
    SELECT image_id + copy::bigint * 1000000000, class_id, probabilities
    FROM generate_series(0, {copies} - 1) AS copy, {index} LIMIT {rows};
"""


async def measure_tables(url: str, queries_QK: NDArray[np.float32], rows: int) -> dict[str, Any]:
    """Milliseconds and rows compared of either, and how the rows came about.

    Every query asks both for its ten nearest by Euclidean distance, in turn. The schema with the
    tables is dropped at the end.
    """
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("DROP SCHEMA IF EXISTS k_tables CASCADE")
        described = await _fill(connection, rows, classes=queries_QK.shape[1])
        # One core for either: what is compared is the work, not how it is spread.
        await connection.execute("SET max_parallel_workers_per_gather = 0")
        return {**described, **await _ask(connection, queries_QK)}
    finally:
        await connection.execute("DROP SCHEMA IF EXISTS k_tables CASCADE")
        await connection.close()


async def _fill(connection: Any, rows: int, *, classes: int) -> dict[str, int]:
    index = await connection.fetchval(
        "SELECT 'index_' || live_index FROM libraries WHERE live_index IS NOT NULL"
    )
    real = int(await connection.fetchval(f"SELECT count(*) FROM {index}"))
    copies = -(-rows // real)
    await connection.execute(_FILL.format(classes=classes, copies=copies, index=index, rows=rows))
    for class_id in range(classes):
        await connection.execute(
            f"CREATE TABLE k_tables.many_{class_id} PARTITION OF k_tables.many"
            f" FOR VALUES IN ({class_id})"
        )
    await connection.execute("INSERT INTO k_tables.many SELECT * FROM k_tables.one")
    for table in ("one", "many"):
        await connection.execute(f"VACUUM ANALYZE k_tables.{table}")
    return {"real": real, "copies": copies}


async def _ask(connection: Any, queries_QK: NDArray[np.float32]) -> dict[str, Any]:
    nearest = "ORDER BY probabilities <-> $1::text::vector LIMIT $2"
    statements = {
        "one": await connection.prepare(f"SELECT image_id FROM k_tables.one {nearest}"),
        # The class is a constant, so that no other table is even planned for.
        **{
            f"{class_id}": await connection.prepare(
                f"SELECT image_id FROM k_tables.many WHERE class_id = {class_id} {nearest}"
            )
            for class_id in range(queries_QK.shape[1])
        },
    }
    counts = dict(
        await connection.fetch("SELECT class_id, count(*) FROM k_tables.one GROUP BY class_id")
    )
    times: dict[str, list[float]] = {"one": [], "argmax": []}
    compared: dict[str, list[int]] = {"one": [], "argmax": []}
    for number in range(-_WARM, len(queries_QK)):
        query = queries_QK[number % len(queries_QK)]
        text = "[" + ",".join(f"{value:.9g}" for value in query) + "]"
        own = int(query.argmax())
        for way, statement in (("one", statements["one"]), ("argmax", statements[str(own)])):
            began = time.perf_counter()
            await statement.fetch(text, _K)
            milliseconds = (time.perf_counter() - began) * 1e3
            if number >= 0:
                times[way].append(milliseconds)
                rows = sum(counts.values()) if way == "one" else counts.get(own, 0)
                compared[way].append(rows)
    return {
        way: {
            "milliseconds": statistics.median(times[way]),
            "compared": statistics.fmean(compared[way]),
        }
        for way in times
    }
