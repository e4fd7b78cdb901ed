"""The broker port: it wakes workers up, and nothing else.

A job's row in Postgres is the truth. A message only says "there may be work of this kind", so one
that comes twice, late, out of order or never changes nothing: workers also look on their own.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from kinsight.contracts.jobs import JobKind
from kinsight.database import Connection


class Broker(Protocol):
    async def announce(self, connection: Connection, job_id: str, kind: JobKind) -> None:
        """Called inside the transaction that makes the job claimable: no row, no message."""
        ...

    async def wait(self, kinds: Collection[JobKind], seconds: float) -> bool:
        """Returns True as soon as work of these kinds is announced, False after `seconds`."""
        ...

    async def start(self) -> None:
        """Returns at once, also while the broker is away: it is connected to in the background."""
        ...

    async def close(self) -> None: ...

    @property
    def obstacle(self) -> str | None:
        """Why announcements do not get through now, and what to do; None while they do."""
        ...

    async def check(self) -> str:
        """Sends a message through the broker and says what was found.

        Raises Unavailable, saying what to do, when it does not come through.
        """
        ...
