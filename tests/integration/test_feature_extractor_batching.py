"""The queue before the device: order, grouping, bounds, and what happens when a batch fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from feature_extractor.batching import Batcher
from feature_extractor.lanes import Lane
from feature_extractor.pace import Pace
from kinsight.errors import Overloaded, Unavailable


@dataclass(eq=False)
class Sums:
    """An embedder whose outputs say which picture they belong to; it can be held up."""

    rows: int = 4
    batches: list[tuple[int, int]] = field(default_factory=list)  # (rows, crops) of each
    seen: list[int] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    failure: Exception | None = None

    def __post_init__(self) -> None:
        self.pace = Pace(1e9, most_rows=self.rows)
        self.gate.set()

    def run(self, rows_BHWC: NDArray[np.uint8], crops: int) -> tuple[NDArray[np.int64], ...]:
        self.entered.set()
        self.gate.wait(20)
        self.batches.append((len(rows_BHWC), crops))
        if self.failure:
            raise self.failure
        values = rows_BHWC[:, 0, 0, 0].astype(np.int64).reshape(-1, crops).sum(1)
        self.seen.extend(values.tolist())
        return values[:, np.newaxis], values[:, np.newaxis] * 2


def picture(value: int, crops: int = 1, side: int = 2) -> NDArray[np.uint8]:
    return np.full((crops, side, side, 3), value, np.uint8)


@pytest.fixture
async def batcher() -> AsyncIterator[Batcher]:
    opened = Batcher(search_queue=50)
    yield opened
    await asyncio.to_thread(opened.close)


async def held(batcher: Batcher, model: Sums) -> asyncio.Task[object]:
    """A batch that is on the device until the model's gate is opened."""
    model.gate.clear()
    task = asyncio.create_task(batcher.embed(model, picture(0), Lane.SEARCH, 20))
    await asyncio.to_thread(model.entered.wait, 20)
    return task


async def test_everyone_gets_the_own_result_whatever_the_batch(batcher: Batcher) -> None:
    model = Sums(rows=8)
    first = await held(batcher, model)
    waiting = [
        asyncio.create_task(batcher.embed(model, picture(n), Lane.SEARCH, 20)) for n in range(40)
    ]
    await asyncio.sleep(0)
    model.gate.set()
    await first
    for number, task in enumerate(waiting):
        embedded = await task
        assert [array.tolist() for array in embedded.arrays] == [[[number]], [[number * 2]]]
        assert embedded.queue_seconds >= 0
        assert embedded.batch_size <= 8
    assert max(rows for rows, _ in model.batches) > 1


async def test_several_pictures_keep_their_order_over_batches(batcher: Batcher) -> None:
    model = Sums(rows=4)
    pictures = [picture(n) for n in range(100)]
    embedded = await batcher.embed_all(model, pictures, Lane.BULK, 20)
    assert [int(one.arrays[0][0, 0]) for one in embedded] == list(range(100))
    assert max(rows for rows, _ in model.batches) == 4
    assert await batcher.embed_all(model, [], Lane.BULK, 20) == []


async def test_searches_go_before_bulk_but_bulk_goes_on(batcher: Batcher) -> None:
    model = Sums(rows=1)
    first = await held(batcher, model)
    bulk = asyncio.create_task(batcher.embed_all(model, [picture(200)] * 3, Lane.BULK, 20))
    await asyncio.sleep(0)
    searches = [
        asyncio.create_task(batcher.embed(model, picture(n), Lane.SEARCH, 20)) for n in range(1, 31)
    ]
    await asyncio.sleep(0)
    model.gate.set()
    await asyncio.gather(first, bulk, *searches)
    assert model.seen[:5] == [0, 1, 2, 3, 4]
    assert model.seen.index(200) == 8  # after eight searches in a row
    assert [n for n in model.seen if n != 200] == list(range(31))


async def test_models_and_numbers_of_crops_do_not_mix(batcher: Batcher) -> None:
    one, other = Sums(rows=20), Sums(rows=20)
    one.pace.rows = other.pace.rows = 20
    first = await held(batcher, one)
    tasks = []
    for n in range(4):
        for model, crops in ((one, 1), (other, 1), (one, 10)):
            tasks.append(
                asyncio.create_task(batcher.embed(model, picture(n, crops), Lane.SEARCH, 20))
            )
    await asyncio.sleep(0)
    one.gate.set()
    await first
    results = [int((await task).arrays[0][0, 0]) for task in tasks]
    assert results == [n * factor for n in range(4) for factor in (1, 1, 10)]
    # Ten crops count as ten rows of a batch of twenty.
    assert sorted(one.batches) == [(1, 1), (4, 1), (20, 10), (20, 10)]
    assert other.batches == [(4, 1)]


async def test_a_full_queue_and_a_passed_deadline_are_said(batcher: Batcher) -> None:
    model = Sums()
    first = await held(batcher, model)
    waiting = [
        asyncio.create_task(batcher.embed(model, picture(1), Lane.SEARCH, 20)) for _ in range(50)
    ]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="50 searches are waiting"):
        await batcher.embed(model, picture(1), Lane.SEARCH, 20)
    with pytest.raises(Unavailable, match=r"within 0\.01 s"):
        await batcher.embed(model, picture(77), Lane.BULK, 0.01)
    model.gate.set()
    await asyncio.gather(first, *waiting)
    assert 77 not in model.seen  # nobody waits for it any more


async def test_a_batch_that_fails_fails_for_those_in_it_only(batcher: Batcher) -> None:
    broken, sound = Sums(failure=ZeroDivisionError("broken")), Sums()
    results = await asyncio.gather(
        *(batcher.embed(broken, picture(1), Lane.BULK, 20) for _ in range(3)),
        *(batcher.embed(sound, picture(1), Lane.BULK, 20) for _ in range(3)),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == ["ZeroDivisionError"] * 3 + [
        "Embedded"
    ] * 3


async def test_closing_answers_those_who_wait() -> None:
    batcher, model = Batcher(search_queue=9, threads=2), Sums(rows=1)
    first = await held(batcher, model)
    second = asyncio.create_task(batcher.embed(model, picture(1), Lane.SEARCH, 20))
    waiting = asyncio.create_task(batcher.embed_all(model, [picture(2)] * 3, Lane.BULK, 20))
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(asyncio.to_thread(batcher.close))
    await asyncio.sleep(0.05)
    model.gate.set()
    await closing
    await asyncio.gather(first, second)
    with pytest.raises(Unavailable, match="stopping"):
        await waiting
    with pytest.raises(Unavailable, match="stopping"):
        await batcher.embed(model, picture(1), Lane.SEARCH, 20)


async def test_several_threads_run_several_batches_at_once() -> None:
    batcher, model = Batcher(search_queue=9, threads=2), Sums(rows=1)
    together = threading.Barrier(2, timeout=20)
    plain = model.run

    def run(rows: NDArray[np.uint8], crops: int) -> tuple[NDArray[np.int64], ...]:
        together.wait()  # would break if the second batch came after the first
        return plain(rows, crops)

    model.run = run  # type: ignore[assignment,method-assign]
    await batcher.embed_all(model, [picture(n) for n in range(6)], Lane.BULK, 20)
    await asyncio.to_thread(batcher.close)


def settle(pace: Pace, seconds_of: dict[int, float] | None, fixed: float, per_row: float) -> int:
    for _ in range(80):
        rows = pace.rows
        pace.observe(rows, seconds_of[rows] if seconds_of else fixed + per_row * rows)
    return pace.rows


def test_pace_takes_the_largest_batch_where_fixed_costs_rule() -> None:
    # A GPU: 2 ms whatever the size, then 10 µs for every row.
    assert settle(Pace(0.075), None, 0.002, 1e-5) == 256


def test_pace_stays_within_the_time() -> None:
    assert settle(Pace(0.075), None, 0.001, 0.012) == 4
    assert settle(Pace(0.075), None, 0.001, 0.05) == 1


def test_pace_prefers_the_size_that_fits_the_cache() -> None:
    measured = {1: 0.0067, 2: 0.0115, 4: 0.0185, 8: 0.042, 16: 0.1, 32: 0.2}
    assert settle(Pace(0.2), measured, 0, 0) == 4


def test_pace_follows_a_machine_that_becomes_slower() -> None:
    pace = Pace(0.075)
    assert settle(pace, None, 0.0001, 0.001) == 64
    for _ in range(40):
        pace.observe(pace.rows, 0.01 * pace.rows)
    assert pace.rows <= 7


def test_pace_learns_only_from_full_batches() -> None:
    pace = Pace(0.075)
    for _ in range(50):
        pace.observe(1, 10.0)
    assert pace.rows == 4
