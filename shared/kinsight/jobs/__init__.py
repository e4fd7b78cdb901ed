"""Jobs: their rows, and the worker that runs them."""

from kinsight.jobs.rows import Claim, JobRows
from kinsight.jobs.worker import Handler, JobContext, Worker

__all__ = ["Claim", "Handler", "JobContext", "JobRows", "Worker"]
