"""What the routes of the gateway stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request, Response

from gateway.live_models import LiveModels
from kinsight.clients.admin import AdminClient
from kinsight.clients.extractor import ExtractorClient
from kinsight.clients.fetch import Fetcher
from kinsight.clients.indexer import IndexerClient
from kinsight.clients.trainer import TrainerClient
from kinsight.contracts.jobs import Job
from kinsight.database import Pool
from kinsight.jobs import JobRows
from kinsight.store import Store
from kinsight.web.settings import Settings


@dataclass(frozen=True)
class State:
    settings: Settings
    pool: Pool
    store: Store
    jobs: JobRows
    extractor: ExtractorClient
    indexer: IndexerClient
    trainer: TrainerClient
    admin: AdminClient
    fetcher: Fetcher
    live_models: LiveModels


def _state(request: Request) -> State:
    state: State = request.app.state.gateway
    return state


GatewayState = Annotated[State, Depends(_state)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        max_length=200,
        description="Send the same key again after a broken connection: the job is made once.",
    ),
]


def accepted(response: Response, job: Job) -> Job:
    """Marks an answer as the start of a job: 202, where to poll, how often."""
    response.status_code = 202
    response.headers["Location"] = f"/jobs/{job.id}"
    response.headers["Retry-After"] = "1"
    return job
