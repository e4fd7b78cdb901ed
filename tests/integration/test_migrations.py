"""Databases of earlier versions, brought up to date with what is in them."""

from __future__ import annotations

import asyncpg
import pytest

from kinsight.database import migrate as migrating
from kinsight.database import open_pool


async def test_floors_that_were_set_are_told_from_the_default(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrating.migrations()
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    async with await open_pool(database_url, size=1) as pool:
        with monkeypatch.context() as patched:
            patched.setattr(migrating, "migrations", lambda: known[:1])
            assert await migrating.migrate(pool) == 1
        await connection.execute(
            "INSERT INTO libraries (name, floor) VALUES ('a', 0.80), ('b', 0.9), ('c', 0);"
            "INSERT INTO indexes (library_id, model_id, classes, feature_dimensions, code_bits,"
            " feature_metric, retrieval) VALUES (1, 'm', '{}', 1, 8, 'euclidean', '{}')"
        )
        assert await migrating.migrate(pool) == len(known) - 1
        floors = await pool.fetch("SELECT name, floor FROM libraries ORDER BY name")
        assert [tuple(row) for row in floors] == [("a", None), ("b", 0.9), ("c", 0.0)]
        assert await pool.fetchval("SELECT crops FROM indexes") == 1
    await connection.close()
