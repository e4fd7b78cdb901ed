"""What a process has heard announced, for those in it who wait for work."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from kinsight.contracts.jobs import JobKind


class Announced:
    """Counts by kind, so that what is announced before a wait begins is not lost."""

    def __init__(self) -> None:
        self._counts: dict[JobKind, int] = dict.fromkeys(JobKind, 0)
        self._seen: dict[JobKind, int] = dict.fromkeys(JobKind, 0)
        self._noted = asyncio.Event()

    def note(self, kind: JobKind) -> None:
        self._counts[kind] += 1
        self._noted.set()
        self._noted = asyncio.Event()

    async def wait(self, kinds: Collection[JobKind], seconds: float) -> bool:
        """True as soon as one of these kinds is noted that no wait before has returned for."""
        try:
            async with asyncio.timeout(seconds):
                while not any(self._counts[kind] > self._seen[kind] for kind in kinds):
                    await self._noted.wait()
        except TimeoutError:
            return False
        for kind in kinds:
            self._seen[kind] = self._counts[kind]
        return True
