"""The gate: a model goes live only when it is measured to be no worse than the live one.

Both indexes are searched with the same held-out images, whose vectors they hold already. The
candidate passes when its P@10 is at least the live model's and at least the library's floor.
Labels that a model was never taught count like all others: such pictures are looked for, too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import asyncpg
import numpy as np

from indexer import cards
from indexer.engines import Engine
from indexer.held_out import HeldOut, held_out
from indexer.indexes import Index
from indexer.precision import Tally, relevant_hits
from kinsight.contracts.jobs import Progress
from kinsight.contracts.libraries import DEFAULT_FLOOR
from kinsight.contracts.promotions import Gate
from kinsight.database import Connection, Pool
from kinsight.errors import Conflict, ModelNotFound
from kinsight.images.near_duplicates import NearDuplicates
from kinsight.store import Store

# In one snapshot for both models; short, so that nobody waits long for the tables it reads.
_CHUNK = 16

Tell = Callable[[Progress], Awaitable[None]]


@dataclass(frozen=True)
class Measured:
    """The two models' P@10; None: not measurable."""

    candidate: Fraction | None
    live: Fraction | None
    queries: int
    live_queries: int
    same_images: bool


async def measure(
    pool: Pool, store: Store, engine: Engine, candidate: Index, live: Index | None, tell: Tell
) -> Measured:
    """Searches both indexes with the held-out images; raises Conflict where one is dropped."""
    card = await cards.card(store, candidate.model_id)
    live_card = None
    if live:
        try:
            live_card = await cards.card(store, live.model_id)
        except ModelNotFound:
            live_card = None  # what it was trained on cannot be known any more
    try:
        async with pool.acquire() as connection:
            chosen = await held_out(connection, candidate, card, live, live_card)
            hashes = await connection.fetchval(
                "SELECT array_agg(perceptual_hash) FROM images WHERE library_id = $1",
                candidate.library_id,
            )
        near = await asyncio.to_thread(NearDuplicates, np.array(hashes or [], dtype=np.int64))
        run = _Run(pool, engine, candidate, live, chosen, tell, hashes_tell=near.tells)
        return await run.measured()
    except asyncpg.UndefinedTableError as error:
        raise Conflict("An index was dropped while it was measured; ask again.") from error


class _Run:
    """One measurement under way."""

    def __init__(
        self,
        pool: Pool,
        engine: Engine,
        candidate: Index,
        live: Index | None,
        chosen: HeldOut,
        tell: Tell,
        *,
        hashes_tell: bool,
    ) -> None:
        self._hashes_tell = hashes_tell
        self._pool = pool
        self._engine = engine
        self._candidate = candidate
        self._live = live
        self._chosen = chosen
        self._tell = tell
        self._tallies = Tally(), Tally()

    async def measured(self) -> Measured:
        chosen = self._chosen
        ids = sorted({*chosen.candidate, *chosen.live})
        began = time.monotonic()
        rest = iter(ids)
        done = 0
        await self._tell(_progress(0, len(ids), 0.0))
        while chunk := list(islice(rest, _CHUNK)):
            await self._search(chunk)
            done += len(chunk)
            await self._tell(_progress(done, len(ids), time.monotonic() - began))
        candidate, live = self._tallies
        weights = chosen.weights if chosen.same else None
        return Measured(
            candidate.mean(weights),
            live.mean(weights),
            candidate.queries,
            live.queries,
            chosen.same,
        )

    async def _search(self, chunk: list[int]) -> None:
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            by_candidate = await self._hits(connection, self._candidate, chunk, live=False)
            by_live = await self._hits(connection, self._live, chunk, live=True)
        if self._chosen.same and self._live:  # one may have been deleted from either
            both = by_candidate.keys() & by_live.keys()
            by_candidate = {image_id: by_candidate[image_id] for image_id in both}
            by_live = {image_id: by_live[image_id] for image_id in both}
        for tally, found, labels in zip(
            self._tallies,
            (by_candidate, by_live),
            (self._chosen.candidate, self._chosen.live),
            strict=True,
        ):
            for image_id, relevant in found.items():
                tally.add(labels[image_id], relevant)

    async def _hits(
        self, connection: Connection, index: Index | None, chunk: list[int], *, live: bool
    ) -> dict[int, int]:
        labels = self._chosen.live if live else self._chosen.candidate
        wanted = {image_id: labels[image_id] for image_id in chunk if image_id in labels}
        if index is None or not wanted:
            return {}
        return await relevant_hits(
            connection, self._engine, index, wanted, hashes_tell=self._hashes_tell
        )


def judge(measured: Measured, live: Index | None, floor: float | None, *, override: bool) -> Gate:
    """What follows from the figures.

    floor: None where nobody has set one; then the default holds, but not for a first model,
    because a library without any model cannot be searched at all.
    """
    least = DEFAULT_FLOOR if floor is None else floor
    objections = list(_objections(measured, live, least, is_default=floor is None))
    passed = not objections
    needed = not passed and live is None and floor is None
    if passed:
        reason = _praise(measured, least)
    else:
        reason = "; ".join(objections) + "."
        if needed:
            reason += (
                " It goes live all the same: nothing else is live, so that the library could not "
                "be searched at all without it, and nobody has set a floor."
            )
    return Gate(
        passed=passed,
        promoted=passed or needed or override,
        reason=reason[0].upper() + reason[1:],
        p_at_10=_float(measured.candidate),
        live_p_at_10=_float(measured.live),
        floor=least,
        queries=measured.queries,
        live_queries=measured.live_queries,
        same_images=measured.same_images,
        live_model=live.model_id if live else None,
    )


def _objections(
    measured: Measured, live: Index | None, floor: float, *, is_default: bool
) -> list[str]:
    if measured.candidate is None:
        return [
            "no image that was held out from its training is left to measure the model with; add "
            "labelled images and train again"
        ]
    found = []
    ours = _figure(measured.candidate)
    if live and measured.live is not None and measured.candidate < measured.live:
        found.append(
            f"P@10 {ours} is worse than the live model's {_figure(measured.live)}{_on(measured)}"
        )
    if float(measured.candidate) < floor:
        kind = "default floor of" if is_default else "floor, which is"
        found.append(f"P@10 {ours} is below the library's {kind} {floor:g}")
    return found


def _praise(measured: Measured, floor: float) -> str:
    assert measured.candidate is not None
    beside = (
        f", the live model's {_figure(measured.live)}{_on(measured)}"
        if measured.live is not None
        else f" on {measured.queries} held-out images"
    )
    return f"P@10 is {_figure(measured.candidate)}{beside}; the library's floor is {floor:g}."


def _on(measured: Measured) -> str:
    if measured.same_images:
        return f" on the same {measured.queries} held-out images"
    return (
        f" ({measured.queries} and {measured.live_queries} images, each held out from the model's "
        "own training, as too few were held out from both)"
    )


def _figure(value: Fraction) -> str:
    return f"{float(value):.4f}"


def _float(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def _progress(done: int, total: int, seconds: float) -> Progress:
    rate = done / max(seconds, 1e-3)
    return Progress(
        done=done,
        total=total,
        unit="queries",
        per_second=rate,
        eta_seconds=(total - done) / rate if rate else None,
        phase="measuring",
    )
