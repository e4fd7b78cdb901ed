"""A library of pictures of four classes, the models it could have, and what they must measure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

import indexer.app
from integration import scripted_extractor
from integration.scripted_extractor import card, files, picture, put_card, vectors
from integration.serving import System, system
from kinsight.contracts.jobs import Job, JobState
from kinsight.contracts.promotions import Gate
from kinsight.store import blob_key

PER_CLASS = 30
HELD_OUT = range(10)  # of the numbers of each class


@dataclass
class Gated:
    running: System
    ids: dict[tuple[int, int], int]  # image id of every picture

    async def add(
        self,
        model: str,
        held_out: Callable[[int, int], bool] = lambda _, number: number in HELD_OUT,
        **changes: object,
    ) -> str:
        """Puts the card of a model into the store; `held_out` by class and number."""
        chosen = [image_id for key, image_id in self.ids.items() if held_out(*key)]
        await put_card(self.running.store, card(model, chosen, **changes))
        return model

    async def promote(self, model: str, **options: object) -> Job:
        job = await self.running.indexer.promote("things", model, **options)  # type: ignore[arg-type]
        job = await self.running.ended(job, 30)
        assert job.state is JobState.SUCCEEDED, job.error
        return job

    async def live(self) -> str | None:
        return (await self.running.indexer.library("things")).model

    async def learn(self) -> None:
        """Reads the ids of all pictures in the library."""
        page = await self.running.indexer.images("things", {"page_size": 1000})
        for image in page.images:
            content = await self.running.store.get(blob_key(image.sha256))
            label, number = content.split(b"/")
            self.ids[int(label), int(number)] = int(image.id)


@asynccontextmanager
async def gated(database_url: str, folder: Path, **changes: object) -> AsyncIterator[Gated]:
    async with system(database_url, folder, **changes) as running:
        await running.start("extractor", scripted_extractor.create_app)
        await running.start("indexer", indexer.app.create_app)
        await running.fill("things", files(range(PER_CLASS)))
        library = Gated(running, {})
        await library.learn()
        yield library


def gate(job: Job) -> Gate:
    assert job.result is not None
    assert job.result["promoted"] is job.result["gate"]["promoted"]
    return Gate(**job.result["gate"])


def expected(model: str, queries: list[tuple[int, int]]) -> float:
    """P@10 of a model, by brute force over the table of each query's predicted class."""
    keys = keys_of(range(PER_CLASS))
    found = vectors(model, [picture(*key) for key in keys])
    seen = found.probabilities.argmax(axis=1)
    labels = np.array([label for label, _ in keys])
    precisions = []
    for query in queries:
        at = keys.index(query)
        distance = np.linalg.norm(found.feature - found.feature[at], axis=1)
        distance[seen != seen[at]] = np.inf
        distance[at] = np.inf
        nearest = np.argsort(distance)[:10]
        precisions.append((labels[nearest] == labels[at]).mean())
    return float(np.mean(precisions))


def keys_of(numbers: range = HELD_OUT) -> list[tuple[int, int]]:
    return [(label, number) for label in range(scripted_extractor.CLASSES) for number in numbers]


def hours_ago(hours: float) -> datetime:
    return datetime.now(UTC) - timedelta(hours=hours)
