"""Searches through the gateway while models go live, are refused and rolled back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import gateway.app
from integration.gated_library import PER_CLASS, Gated, gated
from integration.scripted_extractor import CLASSES, files, picture
from integration.serving import archive
from kinsight.contracts.ingest import IngestRequest
from kinsight.contracts.search import SearchAnswer

SEARCHERS = 6
ROUNDS = 5
A, B, C = "a-right-10", "b-right-10", "c-right-10"


@pytest.fixture
async def library(database_url: str, tmp_path: Path) -> AsyncIterator[Gated]:
    async with gated(database_url, tmp_path) as library:
        for model in (A, B, C):  # each calls its classes by names of its own
            await library.add(model, classes=[f"{model} {i}" for i in range(CLASSES)])
        await library.add("d-right-5", classes=[f"d {i}" for i in range(CLASSES)])
        await library.promote(A)
        await library.running.start("gateway", gateway.app.create_app)
        yield library


@dataclass
class Settled:
    """The one model that is live; None while another is about to be."""

    model: str | None = A
    changes: int = 0

    def to(self, model: str | None) -> None:
        self.model = model
        self.changes += 1


@dataclass
class Searcher:
    """Searches without a pause, and checks every answer."""

    library: Gated
    settled: Settled
    stop: asyncio.Event
    answered: Counter[str] = field(default_factory=Counter)

    async def run(self, offset: int) -> None:
        number = offset
        while not self.stop.is_set():
            number += SEARCHERS
            await self.search(number % CLASSES, number % PER_CLASS)

    async def search(self, label: int, number: int) -> None:
        before = self.settled.model, self.settled.changes
        answer = SearchAnswer(
            **await self.library.running.client("gateway").json(
                "POST",
                "/search",
                params={"library": "things", "k": 10},
                data=picture(label, number),
                headers={"Content-Type": "image/png"},
            )
        )
        if before == (self.settled.model, self.settled.changes) and before[0] is not None:
            assert answer.model == before[0], "no other model answers between two switches"
        assert answer.model in (A, B, C)
        # Everything in the answer is that model's: its classes, its tables, its vectors.
        own = {f"{answer.model} {i}" for i in range(CLASSES)}
        assert {one.class_ for one in answer.query.classes} == own
        assert set(answer.routing.classes) <= own
        assert {hit.class_ for hit in answer.hits} == {f"{answer.model} {label}"}
        assert len(answer.hits) == 10
        first = answer.hits[0]
        assert first.distance == pytest.approx(0, abs=1e-6), "by its own vectors it finds itself"
        assert first.image_id == str(self.library.ids[label, number])
        self.answered[answer.model] += 1


async def switch(library: Gated, settled: Settled, round_: int) -> None:
    """Promotes, is refused, rolls back twice in a row, and has pictures come in meanwhile."""
    running = library.running
    new = (B, C)[round_ % 2]
    settled.to(None)
    await library.promote(new)
    settled.to(new)
    await asyncio.sleep(0.1)
    refused = await library.promote("d-right-5")
    assert refused.result is not None and refused.result["promoted"] is False
    settled.to(None)
    await running.indexer.rollback("things")
    await running.indexer.rollback("things")
    await running.indexer.rollback("things")
    settled.to(A)
    more = range(PER_CLASS + 10 * round_, PER_CLASS + 10 * (round_ + 1))
    await running.store.put(f"uploads/{round_}", archive(files(more, "more-")))
    await running.indexer.ingest("things", IngestRequest(upload=f"uploads/{round_}"))
    await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_every_search_is_answered_by_exactly_one_model(library: Gated) -> None:
    settled, stop = Settled(), asyncio.Event()
    searcher = Searcher(library, settled, stop)
    async with asyncio.TaskGroup() as group:
        for offset in range(SEARCHERS):
            group.create_task(searcher.run(offset))
        for round_ in range(ROUNDS):
            await switch(library, settled, round_)
        stop.set()
    assert min(searcher.answered[model] for model in (A, B, C)) > 0, searcher.answered
    history = (await library.running.indexer.promotions("things", {})).promotions
    assert Counter(one.outcome for one in history) == {
        "promoted": 1 + ROUNDS,
        "refused": ROUNDS,
        "rolled-back": 3 * ROUNDS,
    }


async def test_a_search_is_not_overtaken_for_ever(
    library: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another model goes live between every embedding and its search."""
    running = library.running
    await library.promote(B)
    embeddings = 0
    embed = running.extractor.embed.__func__  # type: ignore[attr-defined]

    async def overtaken(*arguments: object, **options: object) -> bytes:
        nonlocal embeddings
        envelope: bytes = await embed(*arguments, **options)
        embeddings += 1
        await running.indexer.rollback("things")
        return envelope

    monkeypatch.setattr("kinsight.clients.extractor.ExtractorClient.embed", overtaken)
    settled = Settled(model=None)
    searcher = Searcher(library, settled, asyncio.Event())
    await searcher.search(1, 2)
    assert embeddings == 2, "by memory first, then by a model that was live during the search"
    await searcher.search(1, 2)
    await searcher.search(3, 4)
    assert sum(searcher.answered.values()) == 3
