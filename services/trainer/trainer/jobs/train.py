"""Training jobs: train in a process of its own, list the model, and do what is to follow."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from kinsight.contracts.jobs import Job, JobKind, JobState, Progress
from kinsight.contracts.models import ModelCard, TrainingRun, TrainRequest
from kinsight.database.pool import CONNECTION_ERRORS
from kinsight.errors import KinsightError, LeaseLost, TrainingLost, Unavailable
from kinsight.jobs import JobContext
from trainer import curves, metrics
from trainer.jobs.base import Workshop, asked_to_stop
from trainer.jobs.follow import cancel, follow, reason
from trainer.jobs.hearing import Hearing
from trainer.jobs.reporter import Reporter
from trainer.registry import model_id
from trainer.supervise import Event, ProcessEnded, supervise
from trainer.training.full_disk import is_full

_DEATHS = 3  # in a row, without getting further
_PAUSE_SECONDS = 1.0
_log = logging.getLogger(__name__)

# What passes by itself: the worker calls again, and the checkpoint must still be there then.
_PASSING = (Unavailable, TimeoutError, LeaseLost, *CONNECTION_ERRORS)


def checkpoints(job_id: str) -> str:
    """Prefix of what a training run goes on from after a crash."""
    return f"checkpoints/{job_id}/"


class TrainJob:
    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def __call__(self, context: JobContext) -> dict[str, Any]:
        run = _Run(self._workshop, context)
        with metrics.JOBS_RUNNING.labels("train").track_inprogress():
            try:
                result = await run.result()
            except asyncio.CancelledError:
                if await asked_to_stop(context, self._workshop):
                    await run.take_back()
                raise
            except _PASSING:
                raise
            except Exception:
                await run.clean_up()
                raise
            await run.clean_up()
            return result


class _Run:
    """One attempt at a training job."""

    def __init__(self, workshop: Workshop, context: JobContext) -> None:
        self._workshop = workshop
        self._context = context
        self._job = context.claim.id
        self._request = TrainRequest(**context.claim.payload)
        self._model = model_id(self._request, self._job)
        self._scratch = workshop.settings.scratch / self._job
        self._hearing = Hearing(self._request, self._model, self._job)
        self._reporter = Reporter(context, workshop.pool, self._hearing)
        self._following: Job | None = None

    async def result(self) -> dict[str, Any]:
        async with self._reporter:
            card = await self._workshop.registry.stored_card(self._model)
            if card is None:
                card = await self._train()
            await self._list(card)
            followed = await self._follow(card)
        return {
            "model": card.id,
            "accuracy": card.accuracy.model_dump(),
            "seconds": card.seconds,
            "iterations": card.iterations,
            "epochs": card.epochs,
            "trained_by": card.trained_by,
            "unreadable_images": card.unreadable_images,
            "unreadable_files": card.unreadable_files,
            **followed,
        }

    async def take_back(self) -> None:
        """After a cancellation: nothing of the run stays but a model already listed."""
        await cancel(self._workshop.rows, self._following)
        await self.clean_up()
        listed = await self._workshop.pool.fetchval(
            "SELECT true FROM models WHERE id = $1", self._model
        )
        if not listed:
            await self._workshop.registry.delete_files(self._model)

    async def clean_up(self) -> None:
        await asyncio.to_thread(shutil.rmtree, self._scratch, True)
        await self._workshop.store.delete_prefix(checkpoints(self._job))

    async def _train(self) -> ModelCard:
        specification = await self._prepare()
        processes = await self._processes()
        metrics.run_begins()
        deaths, furthest = 0, -1
        try:
            while True:
                try:
                    return await supervise(specification, self._hear, processes=processes)
                except ProcessEnded as ended:
                    reached = self._hearing.iteration
                    deaths = 1 if reached > furthest else deaths + 1
                    furthest = max(furthest, reached)
                    if deaths == _DEATHS:
                        raise TrainingLost(
                            f"{ended.detail} That came {deaths} times without getting further; "
                            "most likely the machine has too little memory: choose a smaller "
                            "batch_size, a smaller network or a smaller library."
                        ) from ended
                    _log.warning("%s It goes on from its last checkpoint.", ended.detail)
                    self._hearing.begin_again()
                    await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            metrics.run_ended()

    async def _processes(self) -> int:
        """How many are to train together."""
        if self._workshop.settings.trainer_processes is not None:
            return self._workshop.settings.trainer_processes
        return await asyncio.to_thread(_devices)

    async def _prepare(self) -> Path:
        """Writes the specification; the training set stays the same however often it is called."""
        self._reporter.set(_phase("preparing"))
        try:
            specification = await self._written()
        except OSError as error:
            if not is_full(error):
                raise
            raise Unavailable(f"The trainer's disk is full ({error}); make room.") from error
        self._reporter.set(_phase("starting"))
        return specification

    async def _written(self) -> Path:
        settings = self._workshop.settings
        store, key = self._workshop.store, f"{checkpoints(self._job)}training-set.ndjson"
        if await store.size(key) is None:
            await store.put_stream(key, self._workshop.indexer.training_set(self._request.library))
        self._scratch.mkdir(parents=True, exist_ok=True)
        training_set = self._scratch / "training-set.ndjson"
        async with store.local_file(key) as path:
            await asyncio.to_thread(shutil.copyfile, path, training_set)
        specification = self._scratch / "specification.json"
        specification.write_text(
            json.dumps(
                {
                    "job_id": self._job,
                    "model_id": self._model,
                    "request": self._request.model_dump(mode="json"),
                    "store_url": settings.store_url,
                    "training_set": str(training_set),
                    "scratch": str(self._scratch),
                    "max_image_bytes": settings.max_image_bytes,
                    "max_image_pixels": settings.max_image_pixels,
                }
            )
        )
        return specification

    def _hear(self, event: Event) -> None:
        progress = self._hearing.take(event)
        if progress:
            self._reporter.set(progress)

    async def _list(self, card: ModelCard) -> None:
        async with self._workshop.pool.acquire() as connection, connection.transaction():
            await self._context.guard(connection)
            await curves.begin(connection, _run_of(card, self._job))
            if await self._workshop.registry.add(connection, self._job, card):
                metrics.MODELS_TRAINED.inc()

    async def _follow(self, card: ModelCard) -> dict[str, Any]:
        if self._request.then == "nothing":
            return {"promoted": False}
        index = await self._wait_for(self._index, "indexing", card)
        told = index.result or {}
        followed = {"promoted": bool(told.get("promoted")), "reindex_job": index.id}
        if self._request.then == "promote":
            # What was measured, and why the model went live or did not.
            return followed | ({"gate": told["gate"]} if told.get("gate") else {})
        job = await self._wait_for(self._evaluate, "evaluating", card)
        return followed | {"evaluate_job": job.id}

    async def _index(self, card: ModelCard) -> Job:
        """Makes the model's index live, or builds it beside the live one for the evaluation."""
        then = self._request.then
        return await self._workshop.indexer.promote(
            card.library,
            card.id,
            idempotency_key=f"{then}:{self._job}",
            switch=then == "promote",
            crops=self._request.crops,
            by=self._request.trained_by,
            queue=True,
        )

    async def _evaluate(self, card: ModelCard) -> Job:
        return await self._workshop.rows.submit(
            JobKind.EVALUATE,
            {"model": card.id, "queries": None, "crops": self._request.crops},
            library=card.library,
            idempotency_key=f"evaluation:{self._job}",
        )

    async def _wait_for(
        self, make: Callable[[ModelCard], Awaitable[Job]], phase: str, card: ModelCard
    ) -> Job:
        try:
            self._following = await make(card)
            job = await follow(self._workshop.rows, self._following, self._reporter, phase)
        except _PASSING:
            raise
        except KinsightError as error:
            raise _after_training(error, card, self._request.then) from error
        if job.state is JobState.SUCCEEDED:
            return job
        raise _after_training(reason(job), card, self._request.then)


def _devices() -> int:
    # torch comes with it: a trainer that has never trained stays small and starts at once.
    from trainer.training.devices import device_count

    return max(1, device_count())


def _phase(phase: str) -> Progress:
    return Progress(unit="iterations", phase=phase)


def _run_of(card: ModelCard, job_id: str) -> TrainingRun:
    """The run as the finished model's card tells it."""
    return TrainingRun(
        job=job_id,
        library=card.library,
        model=card.id,
        network=card.network,
        recipe=card.recipe,
        device=card.device,
        machine=card.machine,
        started_at=card.started_at,
        iterations_per_second=None,
        points=[],
    )


def _after_training(error: KinsightError, card: ModelCard, then: str) -> KinsightError:
    """What went wrong, and that the model is not lost."""
    detail = (
        f"{error.detail} The model {card.id} is trained and kept; "
        f"`POST /models/{card.id}/{then}` tries again."
    )
    kept = {**error.extensions, "model": card.id}
    # The training job itself must not be taken for one that a later attempt would mend.
    return (
        KinsightError(detail, **kept)
        if isinstance(error, _PASSING)
        else type(error)(detail, **kept)
    )
