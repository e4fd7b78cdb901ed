"""The ledger of bulk ingests: one outcome per file, written in the file's own transaction."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from indexer import metrics
from kinsight.contracts.jobs import IngestItem, IngestItemPage, ItemOutcome
from kinsight.database import Connection, Pool
from kinsight.errors import JobNotFound
from kinsight.jobs.rows import page_number


@dataclass(frozen=True)
class Entry:
    number: int
    name: str
    outcome: ItemOutcome
    reason: str | None = None
    image_id: int | None = None


async def write(connection: Connection, job_id: str, entries: Sequence[Entry]) -> None:
    await connection.copy_records_to_table(
        "ingest_items",
        columns=("job_id", "number", "name", "outcome", "reason", "image_id"),
        records=[
            (uuid.UUID(job_id), e.number, e.name, e.outcome.value, e.reason, e.image_id)
            for e in entries
        ],
    )
    for entry in entries:
        metrics.INGESTED.labels(entry.outcome).inc()


async def next_number(pool: Pool, job_id: str) -> int:
    """Where an interrupted ingest goes on: files are entered in order."""
    return int(
        await pool.fetchval(
            "SELECT coalesce(max(number) + 1, 0) FROM ingest_items WHERE job_id = $1",
            uuid.UUID(job_id),
        )
    )


async def totals(pool: Pool, job_id: str) -> dict[str, int]:
    """Files by outcome, every outcome named, and their sum as `files`."""
    rows = await pool.fetch(
        "SELECT outcome, count(*) AS n FROM ingest_items WHERE job_id = $1 GROUP BY outcome",
        uuid.UUID(job_id),
    )
    counts = {outcome.value: 0 for outcome in ItemOutcome}
    counts.update({row["outcome"]: row["n"] for row in rows})
    return {"files": sum(counts.values()), **counts}


async def page(
    pool: Pool,
    job_id: str,
    *,
    outcome: ItemOutcome | None,
    page_size: int,
    page_token: str | None,
) -> IngestItemPage:
    """In the order of the files; raises JobNotFound."""
    try:
        job = uuid.UUID(job_id)
    except ValueError as error:
        raise JobNotFound(f"There is no job {job_id!r}; `GET /jobs` lists them.") from error
    if not await pool.fetchval("SELECT 1 FROM jobs WHERE id = $1", job):
        raise JobNotFound(f"There is no job {job_id}; `GET /jobs` lists them.")
    rows = await pool.fetch(
        "SELECT number, name, outcome, reason, image_id::text FROM ingest_items"
        " WHERE job_id = $1 AND number > coalesce($2::bigint, -1)"
        " AND ($3::text IS NULL OR outcome = $3) ORDER BY number LIMIT $4",
        job,
        page_number(page_token),
        outcome,
        page_size + 1,
    )
    items = [IngestItem(**dict(row)) for row in rows[:page_size]]
    more = len(rows) > page_size
    return IngestItemPage(items=items, next_page_token=str(items[-1].number) if more else None)
