"""Announcements kept in Postgres until a message broker has taken them.

The row is written in the transaction that makes a job claimable, so there is a message for every
such job and none for a job that was rolled back (the transactional outbox pattern:
https://microservices.io/patterns/data/transactional-outbox.html).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kinsight.contracts.jobs import JobKind
from kinsight.database import Connection, Pool

CHANNEL = "kinsight_outbox"
_BATCH = 100


@dataclass(frozen=True)
class Announcement:
    sequence: int
    job_id: str
    kind: JobKind


# Publishes announcements and returns those that the broker has confirmed.
Publish = Callable[[Collection[Announcement]], Awaitable[Collection[Announcement]]]


class Outbox:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, connection: Connection, job_id: str, kind: JobKind) -> None:
        """Relays are notified when the caller's transaction commits."""
        await connection.execute(
            "WITH added AS (INSERT INTO job_outbox (job_id, kind) VALUES ($1, $2))"
            " SELECT pg_notify($3, '')",
            job_id,
            kind.value,
            CHANNEL,
        )

    async def relay(self, publish: Publish) -> bool:
        """Publishes the oldest announcements no other relay holds; returns whether all were taken.

        They stay locked while they are published, so that replicas share them out; a relay that
        dies between the confirmation and the commit has them sent twice, which changes nothing.
        """
        while True:
            async with self._locked() as (connection, batch):
                if not batch:
                    return True
                taken = await publish(batch)
                await connection.execute(
                    "DELETE FROM job_outbox WHERE sequence = ANY($1)",
                    [announcement.sequence for announcement in taken],
                )
            if len(taken) < len(batch):
                return False

    async def waiting(self) -> tuple[int, float]:
        """How many announcements there are, and the age of the oldest in seconds."""
        row = await self._pool.fetchrow(
            "SELECT count(*) AS announcements,"
            " coalesce(extract(epoch FROM now() - min(created_at)), 0)::float AS seconds"
            " FROM job_outbox"
        )
        assert row is not None
        return row["announcements"], row["seconds"]

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[tuple[Connection, list[Announcement]]]:
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                # Kinds that only a newer version knows are left to it.
                "SELECT sequence, job_id, kind FROM job_outbox WHERE kind = ANY($1)"
                " ORDER BY sequence LIMIT $2 FOR UPDATE SKIP LOCKED",
                [kind.value for kind in JobKind],
                _BATCH,
            )
            batch = [
                Announcement(row["sequence"], row["job_id"], JobKind(row["kind"])) for row in rows
            ]
            yield connection, batch
