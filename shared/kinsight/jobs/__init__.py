"""Jobs: their rows, and the worker that runs them."""

from kinsight.jobs.rows import Claim, JobRows
from kinsight.jobs.worker import JobContext, Worker

__all__ = ["Claim", "JobContext", "JobRows", "Worker"]
