"""The reindex job: fills an index beside the live one, then switches in one transaction.

Searches go on under the live index all the while; what is ingested meanwhile goes there, and is
taken over before the switch. Modes: `promote` another model, which must pass the gate, `build`
its index without the switch (to be evaluated), `rebuild` under the live model, `catch-up` fills
what the live index lacks (after a rollback or a clear).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from indexer import cards, gate, indexes, libraries, metrics, promotions
from indexer.engines import Engine
from indexer.fill import Fill
from indexer.indexes import Index
from kinsight.clients.extractor import ExtractorClient
from kinsight.contracts.promotions import Gate, Outcome
from kinsight.database import Connection, Pool
from kinsight.errors import Conflict, NoModel
from kinsight.jobs import JobContext
from kinsight.store import Store

_LOCK = 0x524549
_LOOK_SECONDS = 0.5
_LOCKED_REST = 256  # so many crops may be left to embed when the library is locked for the switch
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReindexJob:
    pool: Pool
    store: Store
    extractor: ExtractorClient
    engine: Engine

    async def __call__(self, context: JobContext) -> dict[str, Any]:
        library = context.claim.library or ""
        library_id = await libraries.library_id(self.pool, library)
        async with self._alone(library_id):
            return await self._reindexed(context, library, library_id)

    @asynccontextmanager
    async def _alone(self, library_id: int) -> AsyncIterator[None]:
        """One after another per library, also among several indexers: a switch drops what is
        built beside it."""
        async with self.pool.acquire() as connection:
            # Asked for again and again: a statement that waits would run into its time limit.
            while not await connection.fetchval(  # noqa: ASYNC110
                "SELECT pg_try_advisory_lock($1, $2)", _LOCK, library_id
            ):
                await asyncio.sleep(_LOOK_SECONDS)
            try:
                yield
            finally:
                if not connection.is_closed():  # a closed one has lost its locks anyway
                    await connection.execute("SELECT pg_advisory_unlock($1, $2)", _LOCK, library_id)

    async def _reindexed(
        self, context: JobContext, library: str, library_id: int
    ) -> dict[str, Any]:
        index, is_live = await self._index(context, library_id)
        if index is None:
            return {"library": library, "model": None, "indexed": 0, "failed": 0}
        await self.extractor.load(index.model_id)
        fill = Fill(self.pool, self.extractor, context, index)
        await fill.rounds()
        decided = await _Ending(self, context, library_id, index, is_live, fill).decided()
        return {
            "library": library,
            "model": index.model_id,
            "crops": index.crops,
            "indexed": fill.done,
            "failed": len(fill.failed),
            **decided,
        }

    async def _index(self, context: JobContext, library_id: int) -> tuple[Index | None, bool]:
        """The index to fill, and whether it is the live one.

        It is this job's own from before a crash, the earlier one, or a new one.
        """
        mode, crops = context.claim.payload["mode"], context.claim.payload.get("crops")
        async with self.pool.acquire() as connection, connection.transaction():
            await context.guard(connection)
            live = await libraries.lock(connection, library_id, exclusive=True)
            if mode == "catch-up":
                return live, True
            built = await indexes.built_by(connection, context.claim.id)
            if built:
                return built, live is not None and live.id == built.id
            if mode == "rebuild":
                if live is None:
                    raise NoModel("The library has no model to be rebuilt under.")
                card = await cards.card(self.store, live.model_id)
                crops = crops or live.crops
            else:
                model = context.claim.payload["model"]
                earlier = await indexes.under(connection, library_id, model, crops)
                if earlier:
                    return earlier, live is not None and live.id == earlier.id
                card = await cards.card(self.store, model)
            made = await indexes.create(connection, library_id, card, context.claim.id, crops or 1)
            return made, False


class _Again(Enum):
    """Why nothing is decided yet."""

    ANOTHER_IS_LIVE = auto()  # than the one that was measured
    MORE_HAS_COME = auto()  # than can be filed while the library is locked


@dataclass(frozen=True)
class _Ending:
    """What comes after an index is filled."""

    job: ReindexJob
    context: JobContext
    library_id: int
    index: Index
    is_live: bool
    fill: Fill

    async def decided(self) -> dict[str, Any]:
        """What is to be said of it in the job's result."""
        mode = self.context.claim.payload["mode"]
        if mode == "build":
            return {"promoted": False}
        if mode == "catch-up" or (mode == "rebuild" and self.is_live):
            return {}
        if mode == "rebuild":
            while not await self._rebuilt():
                await self.fill.rounds()
            return {}
        async with self.job.pool.acquire() as connection:
            before = await promotions.of_job(connection, self.context.claim.id)
        if before and before.gate:
            return _result(before.outcome, before.gate)
        return _ALREADY_LIVE if self.is_live else await self._promoted()

    async def _rebuilt(self) -> bool:
        async with self.job.pool.acquire() as connection, connection.transaction():
            live = await self._lock(connection)
            if live is None or live.model_id != self.index.model_id:
                raise Conflict(
                    f"Another model than {self.index.model_id} went live while the library was "
                    "rebuilt under it; that one's index is complete, there is nothing to rebuild."
                )
            return await self._switch(connection)

    async def _promoted(self) -> dict[str, Any]:
        decision: dict[str, Any] | _Again = _Again.ANOTHER_IS_LIVE
        while isinstance(decision, _Again):
            if decision is _Again.ANOTHER_IS_LIVE:
                async with self.job.pool.acquire() as connection, connection.transaction():
                    live = await libraries.lock(connection, self.library_id)
                if live and live.id == self.index.id:  # someone has rolled back to it meanwhile
                    return _ALREADY_LIVE
                measured = await gate.measure(
                    self.job.pool,
                    self.job.store,
                    self.job.engine,
                    self.index,
                    live,
                    self.context.progress,
                )
            await self.fill.rounds()  # what has come in meanwhile
            decision = await self._decide(live, measured)
        return decision

    async def _decide(self, live: Index | None, measured: gate.Measured) -> dict[str, Any] | _Again:
        """Switches, or leaves the index beside the live one, and writes down which."""
        payload = self.context.claim.payload
        async with self.job.pool.acquire() as connection, connection.transaction():
            now = await self._lock(connection)
            if (now and now.id) != (live and live.id):
                return _Again.ANOTHER_IS_LIVE
            floor = await libraries.floor(connection, self.library_id)
            verdict = gate.judge(measured, live, floor, override=payload.get("override", False))
            if verdict.promoted and not await self._switch(connection):
                return _Again.MORE_HAS_COME
            outcome = _outcome(verdict, override=payload.get("override", False))
            await promotions.record(
                connection,
                self.index,
                outcome,
                previous_model=live.model_id if live else None,
                gate=verdict,
                job_id=self.context.claim.id,
                by=payload.get("by"),
                reason=payload.get("reason"),
            )
        _log.info("%s %s: %s", self.index.model_id, outcome, verdict.reason)
        metrics.PROMOTIONS.labels(outcome).inc()
        return _result(outcome, verdict)

    async def _lock(self, connection: Connection) -> Index | None:
        await self.context.guard(connection)
        live = await libraries.lock(connection, self.library_id, exclusive=True)
        if await indexes.get(connection, self.index.id) is None:
            raise Conflict("The index was dropped before it could go live.")
        return live

    async def _switch(self, connection: Connection) -> bool:
        """Files the last few images with the library locked and makes the index live.

        Returns False when more has come than can be filed while others wait.
        """
        rest = _LOCKED_REST // self.index.crops
        if await self.fill.missing(connection, rest + 1) > rest:
            return False
        while rows := await self.fill.next_rows(connection):
            await self.fill.file(rows, connection)
        await libraries.switch(connection, self.library_id, self.index)
        return True


_ALREADY_LIVE: dict[str, Any] = {"promoted": True, "outcome": "already live", "gate": None}


def _outcome(verdict: Gate, *, override: bool) -> Outcome:
    if not verdict.promoted:
        return Outcome.REFUSED
    return Outcome.OVERRIDDEN if override and not verdict.passed else Outcome.PROMOTED


def _result(outcome: Outcome, verdict: Gate) -> dict[str, Any]:
    return {
        "promoted": verdict.promoted,
        "outcome": outcome.value,
        "gate": verdict.model_dump(mode="json"),
    }
