"""Jobs, as the public client follows them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote

from kinsight.clients.public_connection import PublicConnection
from kinsight.contracts.jobs import IngestItem, IngestItemPage, Job, JobPage
from kinsight.errors import Unavailable

PATIENCE_SECONDS = 60.0  # a gateway may be away so long while a job is followed
_SILENCE_SECONDS = 60.0  # server-sent events: the server sends a sign of life more often
_RECONNECT_SECONDS = 1.0


class JobCalls(PublicConnection):
    def job(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        return self._model(Job, "GET", _job(job_id))

    def jobs(
        self,
        *,
        kind: str | None = None,
        state: str | None = None,
        library: str | None = None,
        page_size: int = 100,
    ) -> Iterator[Job]:
        """All jobs, newest first, read page by page."""
        token: str | None = None
        while True:
            params = {
                "kind": kind,
                "state": state,
                "library": library,
                "page_size": page_size,
                "page_token": token,
            }
            page = self._model(JobPage, "GET", "/jobs", params=params)
            yield from page.jobs
            token = page.next_page_token
            if token is None:
                return

    def cancel(self, job_id: str) -> Job:
        """Raises JobFinished where it has ended, or was asked to stop before."""
        return self._model(Job, "POST", f"{_job(job_id)}/cancel")

    def items(
        self, job_id: str, outcome: str | None = None, *, page_size: int = 500
    ) -> Iterator[IngestItem]:
        """The ledger of a bulk ingest, file by file, read page by page.

        outcome: `indexed`, `stored`, `duplicate` or `rejected`.
        """
        token: str | None = None
        while True:
            params = {"outcome": outcome, "page_size": page_size, "page_token": token}
            page = self._model(IngestItemPage, "GET", f"{_job(job_id)}/items", params=params)
            yield from page.items
            token = page.next_page_token
            if token is None:
                return

    def wait(
        self,
        job_id: str,
        on_progress: Callable[[Job], None] | None = None,
        timeout: float | None = None,
        *,
        poll_seconds: float = 0.5,
    ) -> Job:
        """Polls until the job has ended, however it ended; read `state` and `error`.

        on_progress: called with the job at every poll. A gateway that is away is waited for up
        to a minute. Raises TimeoutError after `timeout` seconds; the job goes on.
        """
        begin = time.monotonic()
        away_since: float | None = None
        while True:
            try:
                job = self.job(job_id)
                away_since = None
                if on_progress:
                    on_progress(job)
                if job.state.ended:
                    return job
            except Unavailable:
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > PATIENCE_SECONDS:
                    raise
            if timeout is not None and time.monotonic() - begin + poll_seconds > timeout:
                raise TimeoutError(f"Job {job_id} has not ended after {timeout:g} seconds.")
            time.sleep(poll_seconds)

    def events(self, job_id: str) -> Iterator[Job]:
        """The job at every change until it has ended, as the server sends it.

        A connection that breaks is made again, for up to a minute.
        """
        last: Job | None = None
        away_since: float | None = None
        while True:
            try:
                for job in self._events(job_id):
                    away_since = None
                    if job != last:
                        yield job
                    last = job
                    if job.state.ended:
                        return
            except Unavailable:
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > PATIENCE_SECONDS:
                    raise
            time.sleep(_RECONNECT_SECONDS)

    def _events(self, job_id: str) -> Iterator[Job]:
        accept = {"Accept": "text/event-stream"}
        path = f"{_job(job_id)}/events"
        with self._stream(path, headers=accept, read_seconds=_SILENCE_SECONDS) as response:
            for data in event_data(response.iter_lines()):
                yield Job.model_validate_json(data)


def event_data(lines: Iterable[str]) -> Iterator[str]:
    """The data of each server-sent event (WHATWG HTML §9.2.6); comments are signs of life."""
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []


def _job(job_id: str) -> str:
    return f"/jobs/{quote(job_id, safe='')}"
