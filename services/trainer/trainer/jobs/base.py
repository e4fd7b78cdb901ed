"""What a job of the trainer is, and what it works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from kinsight.clients.extractor import ExtractorClient
from kinsight.clients.indexer import IndexerClient
from kinsight.database import Pool
from kinsight.errors import LeaseLost
from kinsight.jobs import JobContext, JobRows
from kinsight.store import Store
from trainer.registry import ModelRegistry
from trainer.settings import TrainerSettings
from trainer.weights_store import WeightsStore


@dataclass(frozen=True)
class Workshop:
    """Everything that jobs and routes share; made once, when the service starts."""

    settings: TrainerSettings
    pool: Pool
    store: Store
    rows: JobRows
    indexer: IndexerClient
    extractor: ExtractorClient
    registry: ModelRegistry
    weights: WeightsStore


class JobHandler(Protocol):
    """Runs one kind of job. Called again for the same job after a crash, it goes on."""

    def __init__(self, workshop: Workshop) -> None: ...

    async def __call__(self, context: JobContext) -> dict[str, Any]: ...


async def asked_to_stop(context: JobContext, workshop: Workshop) -> bool:
    """Why a handler was cancelled: True for the job's own cancellation.

    False when the service stops or another worker has the job: what it goes on from must stay.
    """
    try:
        return await context.rows.renew(context.claim, workshop.settings.job_lease_seconds)
    except LeaseLost:
        return False
