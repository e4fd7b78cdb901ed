"""The public client: every public route as a typed method.

    with Kinsight("http://localhost:8000") as kinsight:
        job = kinsight.index_batch("shop", [Path("photos")])
        kinsight.wait(job.id)
        answer = kinsight.search("shop", Path("query.jpg"), k=10)

Every method raises the subclass of kinsight.errors.KinsightError that the server's problem object
names, and Unavailable where the server does not answer.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from kinsight.clients.public_admin import AdminCalls
from kinsight.clients.public_jobs import JobCalls
from kinsight.clients.public_libraries import LibraryCalls
from kinsight.clients.public_models import ModelCalls
from kinsight.clients.public_search import SearchCalls

__all__ = ["Kinsight"]


class Kinsight(SearchCalls, LibraryCalls, ModelCalls, JobCalls, AdminCalls):
    """A running Kinsight. Synchronous; safe to share between threads; use it in `with`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
