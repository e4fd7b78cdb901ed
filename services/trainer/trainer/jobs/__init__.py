"""Jobs (★): one file per kind that the trainer runs.

Each kind has a worker of its own, so that an evaluation need not wait for hours of training.
"""

from __future__ import annotations

from kinsight.contracts.jobs import JobKind
from trainer.jobs.base import JobHandler, Workshop
from trainer.jobs.evaluate import EvaluateJob
from trainer.jobs.train import TrainJob

__all__ = ["JOBS", "JobHandler", "Workshop"]

JOBS: dict[JobKind, type[JobHandler]] = {
    JobKind.TRAIN: TrainJob,
    JobKind.EVALUATE: EvaluateJob,
}
