"""Training-speed curves: iterations against seconds, per run, kept for comparison."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence

from kinsight.contracts.models import CurvePoint, TrainingCurves, TrainingRun
from kinsight.database import Connection, Pool, Record

_RUNS = 50
_POINTS = 500  # per run; more than a screen can tell apart


async def begin(connection: Connection, run: TrainingRun) -> None:
    """Notes a run; one taken up again keeps its start and its points."""
    await connection.execute(
        "INSERT INTO training_runs"
        " (job_id, library, model_id, network, recipe, device, machine, started_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (job_id)"
        " DO UPDATE SET device = excluded.device, machine = excluded.machine",
        uuid.UUID(run.job),
        run.library,
        run.model,
        run.network,
        run.recipe,
        run.device,
        run.machine,
        run.started_at,
    )


async def rewind(connection: Connection, job_id: str, iteration: int) -> None:
    """Forgets the points after an iteration: the run goes on from there once more."""
    await connection.execute(
        "DELETE FROM training_points WHERE job_id = $1 AND iteration > $2",
        uuid.UUID(job_id),
        iteration,
    )


async def add(connection: Connection, job_id: str, points: Sequence[CurvePoint]) -> None:
    """Points of a run; iterations done again after a restart replace the earlier ones."""
    await connection.executemany(
        "INSERT INTO training_points"
        " (job_id, iteration, seconds, loss, images_per_second, training_accuracy,"
        "  validation_accuracy)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (job_id, iteration)"
        " DO UPDATE SET seconds = excluded.seconds, loss = excluded.loss,"
        " images_per_second = excluded.images_per_second,"
        " training_accuracy = excluded.training_accuracy,"
        " validation_accuracy = excluded.validation_accuracy",
        [
            (
                uuid.UUID(job_id),
                point.iteration,
                point.seconds,
                point.loss,
                point.images_per_second,
                point.training_accuracy,
                point.validation_accuracy,
            )
            for point in points
        ],
    )


async def read(
    pool: Pool,
    *,
    library: str | None = None,
    model: str | None = None,
    job: uuid.UUID | None = None,
) -> TrainingCurves:
    """The newest 50 runs that fit, oldest first, each thinned to 500 points at most."""
    async with pool.acquire() as connection:
        runs = await connection.fetch(
            "SELECT * FROM (SELECT * FROM training_runs"
            " WHERE ($1::text IS NULL OR library = $1) AND ($2::text IS NULL OR model_id = $2)"
            " AND ($3::uuid IS NULL OR job_id = $3) ORDER BY started_at DESC LIMIT $4) newest"
            " ORDER BY started_at",
            library,
            model,
            job,
            _RUNS,
        )
        rows = await connection.fetch(
            # Evenly spaced by rank, and the last point always: it is where the run has got to.
            "SELECT * FROM (SELECT *, row_number() OVER run - 1 AS rank,"
            "   count(*) OVER (PARTITION BY job_id) AS points FROM training_points"
            "   WHERE job_id = ANY($1) WINDOW run AS (PARTITION BY job_id ORDER BY iteration)"
            " ) ranked WHERE rank % ceil(points::float8 / ($2 - 1))::bigint = 0"
            " OR rank = points - 1 ORDER BY job_id, iteration",
            [run["job_id"] for run in runs],
            _POINTS,
        )
    points: dict[uuid.UUID, list[CurvePoint]] = defaultdict(list)
    for row in rows:
        points[row["job_id"]].append(_point(row))
    return TrainingCurves(runs=[_run(run, points[run["job_id"]]) for run in runs])


def _run(row: Record, points: list[CurvePoint]) -> TrainingRun:
    return TrainingRun(
        job=str(row["job_id"]),
        library=row["library"],
        model=row["model_id"],
        network=row["network"],
        recipe=row["recipe"],
        device=row["device"],
        machine=row["machine"],
        started_at=row["started_at"],
        iterations_per_second=slope(points),
        points=points,
    )


def slope(points: Sequence[CurvePoint]) -> float | None:
    """Iterations per second from the first to the last point; None without two moments."""
    if not points or points[-1].seconds <= points[0].seconds:
        return None
    span = points[-1].seconds - points[0].seconds
    return (points[-1].iteration - points[0].iteration) / span


def _point(row: Record) -> CurvePoint:
    return CurvePoint(
        iteration=row["iteration"],
        seconds=row["seconds"],
        loss=row["loss"],
        images_per_second=row["images_per_second"],
        training_accuracy=row["training_accuracy"],
        validation_accuracy=row["validation_accuracy"],
    )
