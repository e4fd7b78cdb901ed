"""The table `sla_samples`: what was counted since the sample before, and whether all was ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from admin.exposition import BUCKET
from kinsight.database import Pool

_GAP_SECONDS = 90.0  # thinned samples are a minute apart; a longer gap is an outage


@dataclass(frozen=True)
class Measured:
    """The samples of a window, summed up."""

    samples: int
    since: datetime | None
    searching_since: datetime | None
    searches: int
    failures: int
    rows_compared: float
    search_seconds: float
    buckets: dict[float, float]  # upper bound in seconds → searches up to it
    ready_share: float | None  # of the time since all was ready for the first time


async def keep(pool: Pool, ready: bool, counted: Mapping[str, float]) -> None:
    """Stores one sample. counted: see `exposition.Reading`."""
    searches = round(counted.get("searches", 0))
    buckets = {
        key.removeprefix(BUCKET): round(value)
        for key, value in counted.items()
        if key.startswith(BUCKET) and value > 0
    }
    await pool.execute(
        "INSERT INTO sla_samples"
        " (at, ready, searches, failures, rows_compared, search_seconds, latency_buckets)"
        " VALUES (clock_timestamp(), $1, $2, $3, $4, $5, $6)",
        ready,
        searches,
        round(counted.get("failures", 0)),
        counted.get("rows_compared", 0.0),
        counted.get("search_seconds", 0.0),
        buckets,
    )


async def measured(pool: Pool, hours: float, sample_seconds: float) -> Measured:
    """The samples of the last hours, summed up.

    A sample speaks for the time since the one before it; longer than `sample_seconds` allows
    nobody was measuring, and that time counts as not ready. What was before everything was ready
    for the very first time is installation, not outage.
    """
    window = timedelta(hours=hours)
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        row = await connection.fetchrow(
            "SELECT count(*) AS samples, min(at) AS since,"
            " min(at) FILTER (WHERE searches > 0) AS searching_since,"
            " coalesce(sum(searches), 0)::bigint AS searches,"
            " coalesce(sum(failures), 0)::bigint AS failures,"
            " coalesce(sum(rows_compared), 0) AS rows_compared,"
            " coalesce(sum(search_seconds), 0) AS search_seconds,"
            " extract(epoch FROM now() - min(at) FILTER (WHERE counts))::float8 AS seconds,"
            " coalesce(extract(epoch FROM sum(gap) FILTER (WHERE counts AND ready AND gap <= $2)),"
            "   0)::float8 AS ready"
            " FROM (SELECT *, at - lag(at) OVER (PARTITION BY counts ORDER BY at) AS gap"
            "   FROM (SELECT *, at >= coalesce((SELECT min(at) FROM sla_samples WHERE ready),"
            "     '-infinity') AS counts FROM sla_samples WHERE at > now() - $1::interval"
            "   ) AS inside) AS spaced",
            window,
            timedelta(seconds=_longest_gap(sample_seconds)),
        )
        assert row is not None
        buckets = await connection.fetch(
            "SELECT key, sum(value::float8) AS count"
            " FROM sla_samples, jsonb_each_text(latency_buckets)"
            " WHERE at > now() - $1::interval GROUP BY key",
            window,
        )
    # The last sample is up to one period old; that much is not held against the system.
    seconds = max(0.0, (row["seconds"] or 0.0) - sample_seconds)
    return Measured(
        samples=row["samples"],
        since=row["since"],
        searching_since=row["searching_since"],
        searches=row["searches"],
        failures=row["failures"],
        rows_compared=row["rows_compared"],
        search_seconds=row["search_seconds"],
        buckets={float(bucket["key"]): bucket["count"] for bucket in buckets},
        ready_share=min(1.0, row["ready"] / seconds) if seconds > 0 else None,
    )


async def thin(pool: Pool, after_hours: float, keep_days: float) -> None:
    """Merges old samples minute by minute, and deletes those older still.

    A minute in which something was not ready stays as it is, so that no outage grows or shrinks.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "DELETE FROM sla_samples WHERE at < now() - $1::interval", timedelta(days=keep_days)
        )
        merged = await connection.fetch(
            "WITH gone AS (DELETE FROM sla_samples AS s USING"
            " (SELECT date_trunc('minute', at) AS minute FROM sla_samples"
            "   WHERE at < date_trunc('minute', now() - $1::interval)"
            "   GROUP BY 1 HAVING bool_and(ready) AND count(*) > 1) AS calm"
            " WHERE date_trunc('minute', s.at) = calm.minute RETURNING calm.minute, s.*)"
            " SELECT minute, max(at) AS at, sum(searches)::bigint AS searches,"
            " sum(failures)::bigint AS failures, sum(rows_compared) AS rows_compared,"
            " sum(search_seconds) AS search_seconds,"
            " (SELECT coalesce(jsonb_object_agg(key, n), '{}')"
            "   FROM (SELECT key, sum(value::bigint) AS n FROM gone AS g,"
            "     jsonb_each_text(g.latency_buckets) WHERE g.minute = gone.minute GROUP BY key"
            "   ) AS summed) AS latency_buckets FROM gone GROUP BY minute",
            timedelta(hours=after_hours),
        )
        await connection.executemany(
            "INSERT INTO sla_samples"
            " (at, ready, searches, failures, rows_compared, search_seconds, latency_buckets)"
            " VALUES ($1, true, $2, $3, $4, $5, $6)",
            [
                (
                    row["at"],
                    row["searches"],
                    row["failures"],
                    row["rows_compared"],
                    row["search_seconds"],
                    row["latency_buckets"],
                )
                for row in merged
            ],
        )


def _longest_gap(sample_seconds: float) -> float:
    return max(_GAP_SECONDS, 3 * sample_seconds)
