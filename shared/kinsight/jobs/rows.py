"""The rows of the table `jobs`: made, claimed, kept alive, ended.

A claim raises the row's fencing number. Whoever writes for a job names the number it claimed with;
a worker that was thought dead and comes back writes nothing (LeaseLost).
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from kinsight.broker.base import Broker
from kinsight.contracts.evaluation import Evaluation
from kinsight.contracts.jobs import Job, JobKind, JobPage, JobState, Progress
from kinsight.database import Connection, Pool, Record
from kinsight.errors import BadRequest, IdempotencyMismatch, JobFinished, JobNotFound, LeaseLost

_PUBLIC = (
    "id, sequence, kind, state, library, cancel_requested, progress, result, error,"
    " created_at, started_at, finished_at"
)


@dataclass(frozen=True)
class Claim:
    """A job in the hands of one worker."""

    id: str
    kind: JobKind
    library: str | None
    payload: dict[str, Any]
    progress: dict[str, Any]
    attempts: int
    fencing: int


class JobRows:
    def __init__(self, pool: Pool, broker: Broker) -> None:
        self._pool = pool
        self._broker = broker

    async def submit(
        self,
        kind: JobKind,
        payload: Mapping[str, Any],
        *,
        library: str | None = None,
        idempotency_key: str | None = None,
        connection: Connection | None = None,
    ) -> Job:
        """Makes a job, or returns the one made with the same key before.

        In a transaction of its own, or in that of the caller's connection.
        Raises IdempotencyMismatch when that one was asked for something else.
        """
        if connection is None:
            async with self._pool.acquire() as own, own.transaction():
                return await self._submit(own, kind, payload, library, idempotency_key)
        return await self._submit(connection, kind, payload, library, idempotency_key)

    async def _submit(
        self,
        connection: Connection,
        kind: JobKind,
        payload: Mapping[str, Any],
        library: str | None,
        idempotency_key: str | None,
    ) -> Job:
        row = await connection.fetchrow(
            "INSERT INTO jobs (kind, payload, library, idempotency_key)"
            " VALUES ($1, $2, $3, $4)"
            f" ON CONFLICT (idempotency_key) DO NOTHING RETURNING {_PUBLIC}",
            kind.value,
            dict(payload),
            library,
            idempotency_key,
        )
        if row:
            await self._broker.announce(connection, str(row["id"]), kind)
            return _job(row)
        row = await connection.fetchrow(
            f"SELECT {_PUBLIC} FROM jobs WHERE idempotency_key = $1", idempotency_key
        )
        assert row is not None
        if (row["kind"], row["library"]) != (kind.value, library):
            raise IdempotencyMismatch
        return _job(row)

    async def by_idempotency_key(self, key: str) -> Job | None:
        row = await self._pool.fetchrow(
            f"SELECT {_PUBLIC} FROM jobs WHERE idempotency_key = $1", key
        )
        return _job(row) if row else None

    async def get(self, job_id: str) -> Job:
        row = await self._pool.fetchrow(f"SELECT {_PUBLIC} FROM jobs WHERE id = $1", _uuid(job_id))
        if row is None:
            raise JobNotFound(f"There is no job {job_id}; `GET /jobs` lists them.")
        return _job(row)

    async def page(
        self,
        *,
        kind: JobKind | None,
        state: JobState | None,
        library: str | None,
        page_size: int,
        page_token: str | None,
    ) -> JobPage:
        """Newest first; evaluations without what `get` says of each class."""
        rows = await self._pool.fetch(
            f"SELECT {_PUBLIC} FROM jobs WHERE ($1::text IS NULL OR kind = $1)"
            " AND ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR library = $3)"
            " AND ($4::bigint IS NULL OR sequence < $4) ORDER BY sequence DESC LIMIT $5",
            kind,
            state,
            library,
            page_number(page_token),
            page_size + 1,
        )
        jobs = [_brief(_job(row)) for row in rows[:page_size]]
        more = len(rows) > page_size
        return JobPage(
            jobs=jobs, next_page_token=str(rows[page_size - 1]["sequence"]) if more else None
        )

    async def counts(self) -> dict[tuple[str, str], int]:
        """Jobs by kind and state."""
        rows = await self._pool.fetch("SELECT kind, state, count(*) FROM jobs GROUP BY 1, 2")
        return {(row["kind"], row["state"]): row["count"] for row in rows}

    async def waiting(self) -> dict[str, float]:
        """By kind, the seconds for which the longest-waiting job could have been claimed.

        Waiting is also who was left by a worker that renews its lease no more.
        """
        rows = await self._pool.fetch(
            "SELECT kind, greatest(0, max(extract(epoch FROM now() - CASE state"
            "   WHEN 'queued' THEN greatest(created_at, not_before) ELSE lease_until END)))::float8"
            "   AS seconds FROM jobs WHERE state IN ('queued', 'running')"
            " AND (state = 'queued' OR lease_until < now()) GROUP BY kind"
        )
        return {row["kind"]: row["seconds"] for row in rows}

    async def positions(self) -> dict[str, tuple[str, str]]:
        """Of every running job its kind, and how far it has come; equal where it stands still."""
        rows = await self._pool.fetch(
            "SELECT id, kind, jsonb_build_array(attempts, progress->'phase', progress->'done',"
            " progress->'iteration')::text AS position FROM jobs WHERE state = 'running'"
        )
        return {str(row["id"]): (row["kind"], row["position"]) for row in rows}

    async def cancel(self, job_id: str) -> Job:
        """Ends a queued job at once; asks the worker of a running one to stop.

        Raises JobFinished where the job has ended or was asked to stop before.
        """
        row = await self._pool.fetchrow(
            "UPDATE jobs SET cancel_requested = true,"
            " state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END,"
            " finished_at = CASE state WHEN 'queued' THEN now() END"
            " WHERE id = $1 AND state IN ('queued', 'running') AND NOT cancel_requested"
            f" RETURNING {_PUBLIC}",
            _uuid(job_id),
        )
        if row:
            return _job(row)
        job = await self.get(job_id)
        if job.state.ended:
            raise JobFinished(f"The job has {job.state} already; there is nothing to cancel.")
        raise JobFinished("The job is being cancelled already; poll it until its state says so.")

    async def claim(
        self, kinds: Collection[JobKind], worker: str, lease_seconds: float, attempts: int
    ) -> Claim | None:
        """Takes the oldest job that is queued, or whose worker has stopped renewing its lease."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self._bury(connection, attempts)
            row = await connection.fetchrow(
                "UPDATE jobs SET state = 'running', fencing = fencing + 1, worker = $2,"
                " attempts = attempts + 1, started_at = coalesce(started_at, now()),"
                " lease_until = now() + make_interval(secs => $3)"
                " WHERE id = (SELECT id FROM jobs WHERE kind = ANY($1)"
                "   AND ((state = 'queued' AND not_before <= now())"
                "     OR (state = 'running' AND lease_until < now()))"
                "   ORDER BY sequence FOR UPDATE SKIP LOCKED LIMIT 1)"
                " RETURNING id, kind, library, payload, progress, attempts, fencing",
                [kind.value for kind in kinds],
                worker,
                lease_seconds,
            )
        return _claim(row) if row else None

    async def renew(self, claim: Claim, lease_seconds: float) -> bool:
        """Returns whether the job was asked to stop; raises LeaseLost."""
        requested = await self._pool.fetchval(
            "UPDATE jobs SET lease_until = now() + make_interval(secs => $3)"
            " WHERE id = $1 AND fencing = $2 AND state = 'running' RETURNING cancel_requested",
            uuid.UUID(claim.id),
            claim.fencing,
            lease_seconds,
        )
        if requested is None:
            raise LeaseLost
        return bool(requested)

    async def guard(self, connection: Connection, claim: Claim) -> None:
        """Holds the job's row until the caller's transaction ends; raises LeaseLost."""
        held = await connection.fetchval(
            "SELECT 1 FROM jobs WHERE id = $1 AND fencing = $2 AND state = 'running' FOR UPDATE",
            uuid.UUID(claim.id),
            claim.fencing,
        )
        if not held:
            raise LeaseLost

    async def progress(
        self, claim: Claim, progress: Progress, connection: Connection | None = None
    ) -> None:
        """Real progress also forgives earlier attempts: only a job that stands still is buried."""
        await (connection or self._pool).execute(
            "UPDATE jobs SET progress = $3::jsonb,"
            " attempts = CASE WHEN progress->>'done' IS DISTINCT FROM $3::jsonb->>'done' THEN 1"
            " ELSE attempts END WHERE id = $1 AND fencing = $2",
            uuid.UUID(claim.id),
            claim.fencing,
            progress.model_dump(mode="json"),
        )

    async def finish(
        self,
        claim: Claim,
        state: JobState,
        *,
        result: Mapping[str, Any] | None = None,
        error: Mapping[str, Any] | None = None,
    ) -> None:
        """Raises LeaseLost where another worker holds the job."""
        done = await self._pool.fetchval(
            "UPDATE jobs SET state = $3, result = $4, error = $5, finished_at = now(),"
            " lease_until = NULL WHERE id = $1 AND fencing = $2 AND state = 'running' RETURNING 1",
            uuid.UUID(claim.id),
            claim.fencing,
            state.value,
            dict(result) if result is not None else None,
            dict(error) if error is not None else None,
        )
        if not done:
            raise LeaseLost

    async def release(self, claim: Claim, delay_seconds: float) -> None:
        """Puts the job back into the queue, to be claimed after the delay."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "UPDATE jobs SET state = 'queued', lease_until = NULL,"
                " not_before = now() + make_interval(secs => $3)"
                " WHERE id = $1 AND fencing = $2 AND state = 'running'",
                uuid.UUID(claim.id),
                claim.fencing,
                delay_seconds,
            )
            await self._broker.announce(connection, claim.id, claim.kind)

    @staticmethod
    async def _bury(connection: Connection, attempts: int) -> None:
        """Ends jobs nobody runs that were asked to stop, or that kill whoever runs them."""
        await connection.execute(
            "UPDATE jobs SET finished_at = now(), lease_until = NULL,"
            " state = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'failed' END,"
            " error = CASE WHEN cancel_requested THEN NULL ELSE jsonb_build_object("
            "   'type', 'urn:kinsight:problem:worker-lost', 'title', 'Worker lost', 'status', 500,"
            "   'code', 'worker-lost', 'detail', 'Every worker that took this job ended without"
            " a word; the log of the service says why. Send the request again.') END"
            " WHERE id IN (SELECT id FROM jobs WHERE state = 'running' AND lease_until < now()"
            "   AND (cancel_requested OR attempts >= $1) FOR UPDATE SKIP LOCKED)",
            attempts,
        )


def page_number(token: str | None) -> int | None:
    """A page token of a keyset page; raises BadRequest where it is none of ours."""
    if token is None or token == "":
        return None
    if not token.isdecimal() or len(token) > 18:
        raise BadRequest("page_token is not one that this server gave; leave it out to begin.")
    return int(token)


def _uuid(job_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(job_id)
    except ValueError as error:
        raise JobNotFound(f"There is no job {job_id!r}; `GET /jobs` lists them.") from error


def _job(row: Record) -> Job:
    return Job(
        id=str(row["id"]),
        kind=row["kind"],
        state=row["state"],
        library=row["library"],
        cancel_requested=row["cancel_requested"],
        progress=Progress(**row["progress"]),
        result=row["result"],
        error=row["error"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


def _brief(job: Job) -> Job:
    if job.kind is not JobKind.EVALUATE or job.result is None:
        return job
    found = Evaluation.model_validate(job.result).brief()
    return job.model_copy(update={"result": found.model_dump(mode="json")})


def _claim(row: Record) -> Claim:
    return Claim(
        id=str(row["id"]),
        kind=JobKind(row["kind"]),
        library=row["library"],
        payload=row["payload"],
        progress=row["progress"],
        attempts=row["attempts"],
        fencing=row["fencing"],
    )
