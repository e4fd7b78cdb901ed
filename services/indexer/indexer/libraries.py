"""Libraries: made, listed, switched between indexes, emptied, deleted."""

from __future__ import annotations

import asyncpg

from indexer import indexes, promotions
from indexer.indexes import Index
from kinsight.contracts.ingest import ModelUse
from kinsight.contracts.libraries import DEFAULT_FLOOR, Library, LibraryCreate
from kinsight.contracts.promotions import Outcome
from kinsight.database import Connection, Pool, Record
from kinsight.errors import LibraryExists, LibraryNotFound, ModelInUse, NoModel, NothingToRollBack

_LIST = f"""
SELECT l.name, coalesce(l.floor, {DEFAULT_FLOOR}) AS floor, l.floor IS NULL AS floor_is_default,
  l.created_at, live.model_id AS model, live.crops, previous.model_id AS previous_model,
  (SELECT count(*) FROM images WHERE library_id = l.id) AS images,
  (SELECT coalesce(sum(rows), 0)::bigint FROM class_tables
    WHERE index_id = l.live_index) AS indexed,
  (SELECT coalesce(jsonb_object_agg(label, n ORDER BY label), '{{}}')
    FROM (SELECT label, count(*) AS n FROM images
      WHERE library_id = l.id AND label IS NOT NULL GROUP BY label) AS counted) AS labels
FROM libraries l
LEFT JOIN indexes live ON live.id = l.live_index
LEFT JOIN indexes previous ON previous.id = l.previous_index
"""


async def create(pool: Pool, request: LibraryCreate) -> Library:
    """Raises LibraryExists."""
    try:
        await pool.execute(
            "INSERT INTO libraries (name, floor) VALUES ($1, $2)", request.name, request.floor
        )
    except asyncpg.UniqueViolationError as error:
        raise LibraryExists(f"There is a library {request.name!r} already.") from error
    return await get(pool, request.name)


async def get(pool: Pool, name: str) -> Library:
    row = await pool.fetchrow(f"{_LIST} WHERE l.name = $1", name)
    if row is None:
        raise _unknown(name)
    return _library(row)


async def all_of_them(pool: Pool) -> list[Library]:
    return [_library(row) for row in await pool.fetch(f"{_LIST} ORDER BY l.name")]


async def set_floor(pool: Pool, name: str, floor: float | None) -> Library:
    """None: the default again. The model that is live stays, whatever it measures."""
    await pool.execute("UPDATE libraries SET floor = $2 WHERE name = $1", name, floor)
    return await get(pool, name)


async def floor(connection: Connection, library: int) -> float | None:
    """None where nobody has set one."""
    found: float | None = await connection.fetchval(
        "SELECT floor FROM libraries WHERE id = $1", library
    )
    return found


async def library_id(connection: Connection | Pool, name: str) -> int:
    found = await connection.fetchval("SELECT id FROM libraries WHERE name = $1", name)
    if found is None:
        raise _unknown(name)
    return int(found)


async def live_model(pool: Pool, name: str) -> str:
    """Raises LibraryNotFound, NoModel."""
    row = await pool.fetchrow(
        "SELECT model_id FROM libraries l LEFT JOIN indexes i ON i.id = l.live_index"
        " WHERE l.name = $1",
        name,
    )
    if row is None:
        raise _unknown(name)
    if row["model_id"] is None:
        raise no_model(name)
    return str(row["model_id"])


async def lock(connection: Connection, library: int, *, exclusive: bool = False) -> Index | None:
    """Holds a library's live index as it is until the transaction ends, and returns it.

    Writers of rows share the lock; whoever switches, clears or deletes takes it alone.
    """
    row = await connection.fetchrow(
        f"SELECT live_index FROM libraries WHERE id = $1 FOR {'UPDATE' if exclusive else 'SHARE'}",
        library,
    )
    if row is None:
        raise LibraryNotFound("The library was deleted meanwhile.")
    return await indexes.get(connection, row["live_index"]) if row["live_index"] else None


async def switch(connection: Connection, library: int, index: Index) -> None:
    """Makes an index the live one; the caller holds the exclusive lock.

    The index that was live before stays for a rollback, unless the new one is its rebuild; the
    one before that is dropped.
    """
    row = await connection.fetchrow(
        "SELECT live_index, previous_index FROM libraries WHERE id = $1", library
    )
    assert row is not None
    before = await indexes.get(connection, row["live_index"]) if row["live_index"] else None
    keep = row["live_index"]
    if before and (before.model_id, before.crops) == (index.model_id, index.crops):
        keep = row["previous_index"]
    await connection.execute(
        "UPDATE libraries SET live_index = $2, previous_index = $3 WHERE id = $1",
        library,
        index.id,
        keep if keep != index.id else None,
    )
    for other in await indexes.of_library(connection, library):
        if other.id not in (index.id, keep):
            await indexes.drop(connection, other)


async def roll_back(
    pool: Pool, name: str, by: str | None = None, reason: str | None = None
) -> Library:
    """Swaps the live and the previous index; raises NothingToRollBack."""
    async with pool.acquire() as connection, connection.transaction():
        library = await library_id(connection, name)
        before = await lock(connection, library, exclusive=True)
        now = await connection.fetchval(
            "UPDATE libraries SET live_index = previous_index, previous_index = live_index"
            " WHERE id = $1 AND previous_index IS NOT NULL RETURNING live_index",
            library,
        )
        index = await indexes.get(connection, now) if now else None
        if before is None or index is None:
            raise NothingToRollBack(f"Library {name!r} was never searched with another model.")
        await promotions.record(
            connection,
            index,
            Outcome.ROLLED_BACK,
            previous_model=before.model_id,
            by=by,
            reason=reason,
        )
    return await get(pool, name)


async def clear(pool: Pool, name: str) -> int:
    """Empties the live index's class tables; images and labels stay for a rebuild."""
    async with pool.acquire() as connection, connection.transaction():
        index = await lock(connection, await library_id(connection, name), exclusive=True)
        return await indexes.empty(connection, index) if index else 0


async def delete(pool: Pool, name: str) -> None:
    """Deletes a library with its images and indexes; its blobs are swept later."""
    async with pool.acquire() as connection, connection.transaction():
        library = await library_id(connection, name)
        await lock(connection, library, exclusive=True)
        await connection.execute(
            "UPDATE libraries SET live_index = NULL, previous_index = NULL WHERE id = $1", library
        )
        for index in await indexes.of_library(connection, library):
            await indexes.drop(connection, index)
        await connection.execute(
            "INSERT INTO blob_garbage (sha256) SELECT sha256 FROM images WHERE library_id = $1"
            " ON CONFLICT DO NOTHING",
            library,
        )
        await connection.execute("DELETE FROM images WHERE library_id = $1", library)
        await connection.execute("DELETE FROM libraries WHERE id = $1", library)


async def model_use(pool: Pool, model: str) -> ModelUse:
    rows = await pool.fetch(
        "SELECT l.name, CASE i.id WHEN l.live_index THEN 'live' WHEN l.previous_index THEN"
        " 'previous' ELSE 'candidate' END AS use FROM indexes i JOIN libraries l"
        " ON l.id = i.library_id WHERE i.model_id = $1 GROUP BY 1, 2 ORDER BY 1",
        model,
    )
    uses: dict[str, list[str]] = {"live": [], "previous": [], "candidate": []}
    for row in rows:
        uses[row["use"]].append(row["name"])
    return ModelUse(**uses)


async def drop_model(pool: Pool, model: str) -> None:
    """Drops every index under a model; raises ModelInUse where one is live."""
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(
            "SELECT l.id, l.name, l.live_index = i.id AS live, i.id AS index_id"
            " FROM indexes i JOIN libraries l ON l.id = i.library_id WHERE i.model_id = $1"
            " ORDER BY l.id FOR UPDATE OF l",
            model,
        )
        live = sorted({row["name"] for row in rows if row["live"]})
        if live:
            raise ModelInUse(
                f"Model {model} is live in {', '.join(live)}; promote another one there first,"
                " or delete the library."
            )
        for row in rows:
            await connection.execute(
                "UPDATE libraries SET previous_index = NULL WHERE id = $1 AND previous_index = $2",
                row["id"],
                row["index_id"],
            )
            index = await indexes.get(connection, row["index_id"])
            if index:
                await indexes.drop(connection, index)


def no_model(name: str) -> NoModel:
    return NoModel(
        f"Library {name!r} has no model yet. Train one: POST /train"
        f' {{"library": "{name}"}}, or `kinsight train {name}`.'
    )


def _unknown(name: str) -> LibraryNotFound:
    return LibraryNotFound(f"There is no library {name!r}; `GET /libraries` lists them.")


def _library(row: Record) -> Library:
    return Library(**dict(row))
