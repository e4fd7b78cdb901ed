"""A process that runs jobs over a broker, for tests that kill it: job_worker.py DATABASE BROKER.

Each job writes one row per batch into `effects`, with its progress, in one transaction: what an
ingest does with images.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from kinsight.broker import open_broker
from kinsight.contracts.jobs import JobKind, Progress
from kinsight.database import Pool, open_pool
from kinsight.jobs import JobContext, JobRows, Worker

BATCHES = 4
EFFECTS = "CREATE TABLE effects (job_id uuid NOT NULL, batch int NOT NULL)"
LEASE_SECONDS = 2.0
_BATCH_SECONDS = 0.1
_SLOTS = 2


async def work(context: JobContext, pool: Pool) -> dict[str, Any]:
    """Goes on where the job's progress says; nothing else keeps a batch from being done twice."""
    for batch in range(int(context.claim.progress.get("done", 0)), BATCHES):
        await asyncio.sleep(_BATCH_SECONDS)
        async with pool.acquire() as connection, connection.transaction():
            await context.guard(connection)
            await connection.execute("INSERT INTO effects VALUES ($1, $2)", context.claim.id, batch)
            await context.progress(Progress(done=batch + 1, total=BATCHES), connection)
    return {"batches": BATCHES}


async def main(database_url: str, broker_url: str) -> None:
    async with await open_pool(database_url) as pool:
        broker = open_broker(broker_url, pool)

        async def handler(context: JobContext) -> dict[str, Any]:
            return await work(context, pool)

        rows = JobRows(pool, broker)
        kinds = {JobKind.INGEST: handler}
        worker = Worker(rows, broker, kinds, slots=_SLOTS, lease_seconds=LEASE_SECONDS, attempts=20)
        await broker.start()
        worker.start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
