"""Killing the parts of a running system, one after another, while a job is at work."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from kinsight.clients import Kinsight
from kinsight.contracts.jobs import Job
from kinsight.errors import Unavailable
from kinsight.local.instance import Instance

POSTGRES = "postgres"
TARGETS = ("gateway", "feature-extractor", "indexer", "trainer", "admin", POSTGRES)
_PATIENCE_SECONDS = 90.0
_T = TypeVar("_T")


@dataclass
class Killer:
    """Kills each target in turn; between two kills the job gets on and the target comes back."""

    instance: Instance
    client: Kinsight
    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TARGETS, 0))

    def pid(self, target: str) -> int | None:
        if target == POSTGRES:
            return self.instance.postgres_pid
        return self.instance.pids.get(target)

    async def kill(self, target: str) -> None:
        """kill -9, and until another process has taken the place."""
        pid = await self._until(f"{target} runs", lambda: self.pid(target))
        os.kill(pid, signal.SIGKILL)
        self.kills[target] += 1
        await self._until(f"{target} is back", lambda: self.pid(target) not in (None, pid))

    async def job(self, job_id: str) -> Job:
        """The job's state, whoever is away just now."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return await asyncio.to_thread(self.client.job, job_id)
            except Unavailable:
                assert time.monotonic() < deadline, "the gateway does not come back"
                await asyncio.sleep(0.1)

    async def beyond(self, job_id: str, marker: Callable[[Job], float]) -> Job:
        """Until the job has got on or has ended."""
        before = marker(await self.job(job_id))
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            job = await self.job(job_id)
            if job.state.ended or marker(job) > before:
                return job
            assert time.monotonic() < deadline, f"job stands still: {job}"
            await asyncio.sleep(0.05)

    async def end_of(self, job_id: str) -> Job:
        return await asyncio.to_thread(self.client.wait, job_id, None, 300.0)

    async def _until(self, what: str, probe: Callable[[], _T | None]) -> _T:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not (found := probe()):
            assert time.monotonic() < deadline, f"waited in vain: {what}"
            await asyncio.sleep(0.02)
        return found
