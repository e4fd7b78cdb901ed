"""The schema, brought up to date by plain SQL files, forward only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

from kinsight.database.pool import Connection, Pool
from kinsight.errors import KinsightError

_LOCK = 0x4B696E73  # "Kins": one migrator at a time, whichever service is first


class SchemaMismatch(KinsightError):
    """The database was migrated by another Kinsight; use that one or a newer one."""

    code = "schema-mismatch"
    title = "Schema does not fit"


@dataclass(frozen=True)
class Migration:
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    folder = resources.files("kinsight.database") / "migrations"
    found = [
        Migration(int(file.name[:4]), file.name, file.read_text())
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted(found, key=lambda migration: migration.number)


async def migrate(pool: Pool) -> int:
    """Applies what is missing, each file in a transaction; returns how many were applied.

    Raises SchemaMismatch when an applied file has changed or is not known here.
    """
    async with pool.acquire() as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        try:
            return await _apply(connection)
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def _apply(connection: Connection) -> int:
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations ("
        " number int PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now())"
    )
    applied = {
        row["number"]: row["checksum"]
        for row in await connection.fetch("SELECT number, checksum FROM schema_migrations")
    }
    known = {migration.number: migration for migration in migrations()}
    for number, checksum in applied.items():
        if number not in known or known[number].checksum != checksum:
            raise SchemaMismatch(f"Migration {number} of the database is not the one known here.")
    missing = [known[number] for number in sorted(known.keys() - applied.keys())]
    for migration in missing:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO schema_migrations (number, name, checksum) VALUES ($1, $2, $3)",
                migration.number,
                migration.name,
                migration.checksum,
            )
    return len(missing)
