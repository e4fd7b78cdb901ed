"""Promotions beside each other, after crashes, of the wrong models; rollbacks; ten crops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import indexer.app
import indexer.gate
from indexer import vectors
from indexer.engines import ENGINES
from indexer.reindex import ReindexJob
from integration.gated_library import PER_CLASS, Gated, gate, gated
from integration.scripted_extractor import CLASSES, card, files, put_card
from integration.serving import archive, serve
from kinsight.contracts.ingest import IngestRequest
from kinsight.contracts.jobs import Job, JobKind, JobState
from kinsight.contracts.libraries import LibraryCreate
from kinsight.contracts.promotions import Outcome
from kinsight.database import Pool, open_pool
from kinsight.errors import (
    BadRequest,
    IdempotencyMismatch,
    KinsightError,
    LibraryNotFound,
    ModelNotFound,
    NothingToRollBack,
    PromotionUnderWay,
    WrongLibrary,
)
from kinsight.jobs import JobContext
from kinsight.local.ports import free_ports


@pytest.fixture
async def library(database_url: str, tmp_path: Path) -> AsyncIterator[Gated]:
    async with gated(database_url, tmp_path) as library:
        yield library


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> Held:
    """Holds every measurement at its first chunk until it is let go."""
    held = Held()
    search = indexer.gate.relevant_hits

    async def wait(*arguments: Any, **named: Any) -> dict[int, int]:
        held.begun.set()
        await held.go_on.wait()
        return await search(*arguments, **named)

    monkeypatch.setattr(indexer.gate, "relevant_hits", wait)
    return held


class Held:
    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()


async def outcomes(library: Gated) -> list[tuple[str, Outcome]]:
    page = await library.running.indexer.promotions("things", {})
    return [(one.model, one.outcome) for one in page.promotions]


async def test_two_promotions_at_once(library: Gated) -> None:
    for model in ("a-right-10", "b-right-10"):
        await library.add(model)
    promote = library.running.indexer.promote
    asked = await asyncio.gather(
        *(promote("things", model) for model in ("a-right-10", "b-right-10") * 4),
        return_exceptions=True,
    )
    (job,) = [one for one in asked if isinstance(one, Job)]
    refusals = [one for one in asked if isinstance(one, PromotionUnderWay)]
    assert len(refusals) == 7
    assert {refusal.extensions["job"] for refusal in refusals} == {job.id}
    assert job.id in refusals[0].detail
    await library.running.ended(job)
    other = "b-right-10" if await library.live() == "a-right-10" else "a-right-10"
    assert gate(await library.promote(other)).passed


async def test_the_same_request_again_is_the_same_job(library: Gated, measuring: Held) -> None:
    await library.add("a-right-10")
    await library.add("b-right-10")
    promote = library.running.indexer.promote
    job = await promote("things", "a-right-10", "key")
    assert (await promote("things", "a-right-10", "key")).id == job.id
    with pytest.raises(IdempotencyMismatch):
        await promote("things", "b-right-10", "key")
    with pytest.raises(IdempotencyMismatch):
        await promote("things", "a-right-10", "key", override=True)
    with pytest.raises(PromotionUnderWay):
        await promote("things", "a-right-10", "another key")
    queued = await promote("things", "b-right-10", "third key", queue=True)
    measuring.go_on.set()
    await library.running.ended(job)
    assert (await library.running.ended(queued)).result is not None
    await library.running.store.delete("models/a-right-10/card.json")
    assert (await promote("things", "a-right-10", "key")).id == job.id
    assert await library.live() == "b-right-10"


async def test_another_librarys_building_and_ending_do_not_stand_in_the_way(
    library: Gated, measuring: Held
) -> None:
    running = library.running
    await running.indexer.create_library(LibraryCreate(name="others"))
    await put_card(running.store, card("o-right-10", [], "others"))
    await library.add("a-right-10")
    await library.add("b-right-10")
    first = await running.indexer.promote("things", "a-right-10")
    await asyncio.wait_for(measuring.begun.wait(), 10)
    other = await running.indexer.promote("others", "o-right-10")
    built = await running.indexer.promote("things", "b-right-10", switch=False)
    await running.rows.cancel(first.id)
    assert (await running.ended(first)).state is JobState.CANCELLED
    measuring.go_on.set()
    assert (await running.ended(other)).state is JobState.SUCCEEDED
    assert ((await running.ended(built)).result or {})["promoted"] is False
    assert await library.live() is None
    assert gate(await library.promote("b-right-10")).promoted


async def test_two_indexers_promote_one_after_the_other(library: Gated, measuring: Held) -> None:
    """A switch drops what is built beside it, so nothing is."""
    running = library.running
    (port,) = free_ports(1)
    async with serve(indexer.app.create_app(running.settings), port):
        jobs = [
            await running.indexer.promote("things", await library.add(model), queue=True)
            for model in ("a-right-10", "b-right-10", "c-right-10")
        ]
        await asyncio.wait_for(measuring.begun.wait(), 10)
        async with asyncio.timeout(10):  # both have taken one
            while [(await running.rows.get(job.id)).state for job in jobs].count("running") < 2:
                await asyncio.sleep(0.05)
        measuring.go_on.set()
        for job in jobs:
            ended = await running.ended(job)
            assert ended.state is JobState.SUCCEEDED, ended.error
            assert gate(ended).promoted
    assert len(await outcomes(library)) == 3


async def test_models_that_cannot_go_live_here(library: Gated) -> None:
    running = library.running
    await put_card(running.store, card("o-right-10", [], "others"))
    with pytest.raises(WrongLibrary, match="'others', not for 'things'"):
        await running.indexer.promote("things", "o-right-10")
    with pytest.raises(LibraryNotFound):
        await running.indexer.promote("others", "o-right-10")
    for unknown in ("nothing", "..", "o-right-10/../o-right-10"):
        with pytest.raises((ModelNotFound, BadRequest)):
            await running.indexer.promote("things", unknown)
    assert await running.pool.fetchval("SELECT count(*) FROM jobs WHERE kind = 'reindex'") == 0


async def test_a_model_deleted_on_the_way_does_not_go_live(library: Gated, measuring: Held) -> None:
    await library.add("a-right-10")
    job = await library.running.indexer.promote("things", "a-right-10")
    await asyncio.wait_for(measuring.begun.wait(), 10)
    await library.running.indexer.drop_model("a-right-10")
    await library.running.store.delete("models/a-right-10/card.json")
    measuring.go_on.set()
    job = await library.running.ended(job)
    assert job.state is JobState.FAILED
    assert job.error is not None and job.error["code"] == "conflict"
    assert "dropped" in job.error["detail"]
    assert await library.live() is None


async def test_the_live_model_again_changes_nothing(library: Gated) -> None:
    await library.promote(await library.add("a-right-10"))
    before = await library.running.pool.fetchrow("SELECT * FROM libraries")
    job = await library.promote("a-right-10")
    assert job.result is not None
    assert (job.result["promoted"], job.result["outcome"]) == (True, "already live")
    assert await library.running.pool.fetchrow("SELECT * FROM libraries") == before
    assert len(await outcomes(library)) == 1


async def test_rollback_is_one_transaction_and_is_kept(library: Gated) -> None:
    running = library.running
    with pytest.raises(NothingToRollBack):
        await running.indexer.rollback("things")
    await library.promote(await library.add("a-right-9"))
    await library.promote(await library.add("b-right-10"))
    # Whatever fails on the way, either all of it happens or nothing.
    await running.pool.execute(
        "ALTER TABLE promotions ADD CONSTRAINT no_rollback CHECK (outcome <> 'rolled-back')"
    )
    with pytest.raises(KinsightError, match="its log has the details"):
        await running.indexer.rollback("things")
    assert await library.live() == "b-right-10"
    await running.pool.execute("ALTER TABLE promotions DROP CONSTRAINT no_rollback")
    back = await running.indexer.rollback("things", "ada", "complaints")
    assert (back.model, back.previous_model) == ("a-right-9", "b-right-10")
    newest = (await running.indexer.promotions("things", {"page_size": 1})).promotions[0]
    assert (newest.outcome, newest.model, newest.previous_model) == (
        Outcome.ROLLED_BACK,
        "a-right-9",
        "b-right-10",
    )
    assert (newest.by, newest.reason, newest.gate) == ("ada", "complaints", None)


async def test_rollback_takes_what_came_in_meanwhile(library: Gated) -> None:
    running = library.running
    await library.promote(await library.add("a-right-10"))
    await library.promote(await library.add("b-right-10"))
    await running.store.put("uploads/new", archive(files(range(PER_CLASS, PER_CLASS + 5), "n")))
    await running.ended(await running.indexer.ingest("things", IngestRequest(upload="uploads/new")))
    back = await running.indexer.rollback("things")
    assert (back.indexed, back.images) == (CLASSES * PER_CLASS, CLASSES * (PER_CLASS + 5))
    await running.indexer.rollback("things")  # and on again before that has been caught up
    async with asyncio.timeout(20):
        while await running.pool.fetchval(
            "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')"
        ):
            await asyncio.sleep(0.05)
    now = await running.indexer.library("things")
    assert (now.model, now.indexed) == ("b-right-10", now.images)


async def test_pages_of_the_history(library: Gated) -> None:
    await library.promote(await library.add("a-right-10"))
    await library.promote(await library.add("b-right-10"))
    for _ in range(4):
        await library.running.indexer.rollback("things")
    token, seen = None, []
    while True:
        page = await library.running.indexer.promotions(
            "things", {"page_size": 4, "page_token": token}
        )
        seen += [one.at for one in page.promotions]
        token = page.next_page_token
        if token is None:
            break
    assert len(seen) == 6
    assert seen == sorted(seen, reverse=True)


async def test_another_switch_during_the_measurement_has_it_measured_anew(
    library: Gated, measuring: Held
) -> None:
    running = library.running
    measuring.go_on.set()
    await library.promote(await library.add("a-right-9"))
    await library.promote(await library.add("b-right-10"))
    measuring.go_on.clear()
    measuring.begun.clear()
    job = await running.indexer.promote("things", await library.add("c-right-9"))
    await asyncio.wait_for(measuring.begun.wait(), 10)
    await running.indexer.rollback("things")
    measuring.go_on.set()
    found = gate(await running.ended(job))
    assert found.live_model == "a-right-9", "not the one that was live when it began"
    assert found.live_p_at_10 is not None and found.live_p_at_10 < 1


async def test_a_worker_that_stops_in_the_gate(library: Gated, measuring: Held) -> None:
    running = library.running
    measuring.go_on.set()
    await library.promote(await library.add("a-right-10"))
    measuring.go_on.clear()
    measuring.begun.clear()
    job = await running.indexer.promote("things", await library.add("b-right-9"))
    await asyncio.wait_for(measuring.begun.wait(), 10)
    await running.stop("indexer")
    assert (await running.rows.get(job.id)).state is JobState.QUEUED
    measuring.go_on.set()
    await running.start("indexer", indexer.app.create_app)
    refused = gate(await running.ended(job))
    assert not refused.promoted
    assert refused.queries == 40
    assert await library.live() == "a-right-10"
    assert await outcomes(library) == [
        ("b-right-9", Outcome.REFUSED),
        ("a-right-10", Outcome.PROMOTED),
    ]


@pytest.mark.parametrize("model", ["better-right-10", "worse-right-5"])
async def test_a_worker_lost_after_the_decision_does_not_decide_twice(
    library: Gated, model: str
) -> None:
    """What it decided stands, whatever has happened since."""
    running = library.running
    await library.promote(await library.add("a-right-9"))
    await library.add(model)
    await running.stop("indexer")
    await running.rows.submit(
        JobKind.REINDEX, {"mode": "promote", "model": model}, library="things"
    )
    claim = await running.rows.claim([JobKind.REINDEX], "a worker", 60, 3)
    assert claim is not None
    context = JobContext(claim, running.rows)
    job = ReindexJob(await vector_pool(library), running.store, running.extractor, ENGINES["sql"])
    decided = await job(context)
    await running.start("indexer", indexer.app.create_app)
    if decided["promoted"]:
        await running.indexer.rollback("things")
    before = await outcomes(library)
    again = await job(context)
    assert {key: again[key] for key in ("promoted", "outcome", "gate")} == {
        key: decided[key] for key in ("promoted", "outcome", "gate")
    }
    assert await outcomes(library) == before
    assert await library.live() == "a-right-9"
    await job.pool.close()


async def vector_pool(library: Gated) -> Pool:
    return await open_pool(library.running.settings.database_url, size=4, setup=vectors.register)


async def test_ten_crops(library: Gated) -> None:
    """The scripted features tell by how many crops they were made."""
    running = library.running
    await library.promote(await library.add("a-right-10"), crops=10)
    assert (await running.indexer.library("things")).crops == 10
    await running.store.put("uploads/new", archive(files(range(PER_CLASS, PER_CLASS + 5), "n")))
    await running.ended(await running.indexer.ingest("things", IngestRequest(upload="uploads/new")))
    assert await crops_of_rows(library) == {10: CLASSES * (PER_CLASS + 5)}
    await running.indexer.clear("things")
    for asked, got in ((None, 10), (1, 1), (None, 1), (10, 10)):
        job = await running.ended(await running.indexer.rebuild("things", asked))
        assert job.state is JobState.SUCCEEDED, job.error
        assert (job.result or {})["crops"] == got
        assert await crops_of_rows(library) == {got: CLASSES * (PER_CLASS + 5)}
    # Another number of crops is another index of the same model, measured like any other.
    job = await library.promote("a-right-10", crops=1)
    assert gate(job).live_model == "a-right-10"
    assert await crops_of_rows(library) == {1: CLASSES * (PER_CLASS + 5)}
    back = await running.indexer.rollback("things")
    assert (back.model, back.crops) == ("a-right-10", 10)
    assert (await library.promote("a-right-10")).result == {
        "library": "things",
        "model": "a-right-10",
        "crops": 10,
        "indexed": 0,
        "failed": 0,
        "promoted": True,
        "outcome": "already live",
        "gate": None,
    }


async def crops_of_rows(library: Gated) -> dict[int, int]:
    """How many rows of the live index were made by how many crops."""
    pool = library.running.pool
    live = await pool.fetchval("SELECT live_index FROM libraries WHERE name = 'things'")
    rows = await pool.fetch(
        f"SELECT floor((feature::float4[])[8])::int + 1 AS crops, count(*) FROM index_{live}"
        " GROUP BY 1"
    )
    return {row["crops"]: row["count"] for row in rows}


async def test_a_rebuild_never_brings_an_earlier_model_back(
    library: Gated, measuring: Held
) -> None:
    running = library.running
    measuring.go_on.set()
    await library.promote(await library.add("a-right-10"))
    measuring.go_on.clear()
    measuring.begun.clear()
    promoted = await running.indexer.promote("things", await library.add("b-right-10"))
    await asyncio.wait_for(measuring.begun.wait(), 10)
    rebuild = await running.indexer.rebuild("things")
    measuring.go_on.set()
    assert gate(await running.ended(promoted)).promoted
    job = await running.ended(rebuild)
    assert job.state is JobState.SUCCEEDED, job.error
    assert (job.result or {})["model"] == "b-right-10"
    assert await library.live() == "b-right-10"


async def test_history_goes_with_its_library(library: Gated) -> None:
    await library.promote(await library.add("a-right-10"))
    await library.running.indexer.delete_library("things")
    assert await library.running.pool.fetchval("SELECT count(*) FROM promotions") == 0


async def test_the_database_refuses_other_crops(library: Gated) -> None:
    await library.promote(await library.add("a-right-10"))
    with pytest.raises(asyncpg.CheckViolationError):
        await library.running.pool.execute("UPDATE indexes SET crops = 5")
