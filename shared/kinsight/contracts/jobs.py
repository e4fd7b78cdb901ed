"""Jobs: everything that takes longer than a request."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import ConfigDict, Field

from kinsight.contracts.base import Wire


class JobKind(StrEnum):
    INGEST = "ingest"
    TRAIN = "train"
    EVALUATE = "evaluate"
    REINDEX = "reindex"


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class Progress(Wire):
    """How far a job is. A train job adds phase, epoch, iteration, loss and more."""

    model_config = ConfigDict(extra="allow")

    done: int = 0
    total: int | None = None
    unit: str = "images"
    per_second: float | None = None
    eta_seconds: float | None = None


class Job(Wire):
    id: str
    kind: JobKind
    state: JobState
    library: str | None = None
    cancel_requested: bool = False
    progress: Progress = Field(default_factory=Progress)
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = Field(
        default=None, description="The problem object of a failed job."
    )
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


class JobPage(Wire):
    jobs: list[Job]
    next_page_token: str | None = None


class ItemOutcome(StrEnum):
    """What became of one file of a bulk ingest."""

    INDEXED = "indexed"
    STORED = "stored"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


class IngestItem(Wire):
    number: int = Field(description="Position of the file in the upload, from 0.")
    name: str
    outcome: ItemOutcome
    reason: str | None = None
    image_id: str | None = None


class IngestItemPage(Wire):
    items: list[IngestItem]
    next_page_token: str | None = None
