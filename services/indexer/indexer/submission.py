"""Requests for a promotion or a rebuild, checked before there is a job."""

from __future__ import annotations

from typing import Any

from indexer import cards, libraries
from kinsight.contracts.jobs import Job, JobKind
from kinsight.contracts.promotions import Crops, PromoteOptions, PromoteRequest
from kinsight.database import Connection, Pool
from kinsight.errors import IdempotencyMismatch, PromotionUnderWay, WrongLibrary
from kinsight.jobs import JobRows
from kinsight.store import Store

_LOCK = 0x50524F
_DEFAULTS = PromoteOptions().model_dump(mode="json", exclude={"library"})


async def promote(
    pool: Pool,
    store: Store,
    jobs: JobRows,
    library: str,
    request: PromoteRequest,
    idempotency_key: str | None,
) -> Job:
    """Makes the job, or returns the one made with the same key before.

    Raises LibraryNotFound, ModelNotFound, WrongLibrary, IdempotencyMismatch, and
    PromotionUnderWay where another one of this library has not ended, unless it is to queue.
    """
    library_id = await libraries.library_id(pool, library)
    payload: dict[str, Any] = {
        "mode": "promote" if request.switch else "build",
        **request.model_dump(mode="json", include={"model", "crops", "override", "by", "reason"}),
    }
    async with pool.acquire() as connection, connection.transaction():
        # One after another, so that of two that come at once the second sees the first.
        await connection.execute("SELECT pg_advisory_xact_lock($1, $2)", _LOCK, library_id)
        if not (idempotency_key and await _sent_before(connection, idempotency_key, payload)):
            await _check_model(store, library, request.model)
            if request.switch and not request.queue:
                await _check_none_under_way(connection, library)
        return await jobs.submit(
            JobKind.REINDEX,
            payload,
            library=library,
            idempotency_key=idempotency_key,
            connection=connection,
        )


async def rebuild(pool: Pool, jobs: JobRows, library: str, crops: Crops | None) -> Job:
    """Raises LibraryNotFound, NoModel."""
    await libraries.live_model(pool, library)
    return await jobs.submit(JobKind.REINDEX, {"mode": "rebuild", "crops": crops}, library=library)


async def _sent_before(connection: Connection, key: str, payload: dict[str, Any]) -> bool:
    row = await connection.fetchrow(
        "SELECT kind, payload FROM jobs WHERE idempotency_key = $1", key
    )
    if row and (row["kind"], {**_DEFAULTS, **row["payload"]}) != (JobKind.REINDEX, payload):
        raise IdempotencyMismatch
    return row is not None


async def _check_model(store: Store, library: str, model: str) -> None:
    card = await cards.card(store, model)
    if card.library != library:
        raise WrongLibrary(
            f"Model {model} was trained for library {card.library!r}, not for {library!r}; a model "
            "goes live in its own library."
        )


async def _check_none_under_way(connection: Connection, library: str) -> None:
    row = await connection.fetchrow(
        "SELECT id, state, payload->>'model' AS model FROM jobs WHERE kind = $1 AND library = $2"
        " AND state IN ('queued', 'running') AND payload->>'mode' = 'promote'"
        " ORDER BY sequence LIMIT 1",
        JobKind.REINDEX,
        library,
    )
    if row:
        raise PromotionUnderWay(
            f"Model {row['model']} is about to go live in library {library!r}: job {row['id']} is "
            f"{row['state']}. Wait until it has ended (`GET /jobs/{row['id']}`), or cancel it "
            f"(`POST /jobs/{row['id']}/cancel`); then ask again.",
            job=str(row["id"]),
            model=row["model"],
        )
