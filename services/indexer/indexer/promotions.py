"""The history of what went live in a library, and what was refused."""

from __future__ import annotations

import uuid

from indexer.indexes import Index
from kinsight.contracts.promotions import Gate, Outcome, Promotion, PromotionPage
from kinsight.database import Connection, Pool, Record
from kinsight.jobs.rows import page_number

_SELECT = "SELECT p.*, l.name AS library FROM promotions p JOIN libraries l ON l.id = p.library_id"


async def record(
    connection: Connection,
    index: Index,
    outcome: Outcome,
    *,
    previous_model: str | None,
    gate: Gate | None = None,
    job_id: str | None = None,
    by: str | None = None,
    reason: str | None = None,
) -> None:
    """In the caller's transaction, so that it is kept exactly when the switch is."""
    await connection.execute(
        "INSERT INTO promotions (library_id, job_id, model_id, previous_model, crops, outcome,"
        " made_by, reason, passed, verdict, p_at_10, live_p_at_10, floor, queries, live_queries,"
        " same_images)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        index.library_id,
        uuid.UUID(job_id) if job_id else None,
        index.model_id,
        previous_model,
        index.crops,
        outcome.value,
        by,
        reason,
        *(
            (
                gate.passed,
                gate.reason,
                gate.p_at_10,
                gate.live_p_at_10,
                gate.floor,
                gate.queries,
                gate.live_queries,
                gate.same_images,
            )
            if gate
            else [None] * 8
        ),
    )


async def of_job(connection: Connection, job_id: str) -> Promotion | None:
    """What a job decided before its worker was lost."""
    row = await connection.fetchrow(f"{_SELECT} WHERE p.job_id = $1", uuid.UUID(job_id))
    return _promotion(row) if row else None


async def page(
    pool: Pool, library_id: int, *, page_size: int, page_token: str | None
) -> PromotionPage:
    """Newest first."""
    rows = await pool.fetch(
        f"{_SELECT} WHERE p.library_id = $1 AND ($2::bigint IS NULL OR p.id < $2)"
        " ORDER BY p.id DESC LIMIT $3",
        library_id,
        page_number(page_token),
        page_size + 1,
    )
    more = len(rows) > page_size
    return PromotionPage(
        promotions=[_promotion(row) for row in rows[:page_size]],
        next_page_token=str(rows[page_size - 1]["id"]) if more else None,
    )


def _promotion(row: Record) -> Promotion:
    outcome = Outcome(row["outcome"])
    gate = None
    if row["passed"] is not None:
        gate = Gate(
            passed=row["passed"],
            promoted=outcome is not Outcome.REFUSED,
            reason=row["verdict"],
            p_at_10=row["p_at_10"],
            live_p_at_10=row["live_p_at_10"],
            floor=row["floor"],
            queries=row["queries"],
            live_queries=row["live_queries"],
            same_images=row["same_images"],
            live_model=row["previous_model"],
        )
    return Promotion(
        library=row["library"],
        model=row["model_id"],
        previous_model=row["previous_model"],
        crops=row["crops"],
        at=row["at"],
        outcome=outcome,
        by=row["made_by"],
        reason=row["reason"],
        job=str(row["job_id"]) if row["job_id"] else None,
        gate=gate,
    )
