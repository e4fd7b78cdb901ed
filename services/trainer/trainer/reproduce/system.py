"""The whole product for a reproduction: an instance of its own on free ports, used from outside.

Its folder stays under `work`, and every step has an idempotency key, so that a second call goes
on where the first one stopped.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import threading
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from kinsight.cli.beside import beside
from kinsight.cli.progress import job_facts
from kinsight.clients import Kinsight
from kinsight.contracts.evaluation import Evaluation
from kinsight.contracts.jobs import Job, JobState
from kinsight.contracts.libraries import TrainingImage
from kinsight.contracts.models import ModelCard
from kinsight.errors import Conflict, KinsightError
from kinsight.local.instance import Instance, UpOptions, running
from trainer.reproduce.bench import Bench
from trainer.reproduce.prepared import Prepared
from trainer.reproduce.runs import Plan

LIBRARY = "reproduction"
Result = TypeVar("Result")


@dataclass(frozen=True)
class System:
    """A running instance; every call ends soon after `stop` is set."""

    bench: Bench
    instance: Instance
    client: Kinsight
    stop: threading.Event

    def build(self, data: Prepared, plan: Plan) -> ModelCard:
        """A library of the training pictures, a model trained on it, and its index, live."""
        if not any(library.name == LIBRARY for library in self.client.libraries()):
            # Whatever a few steps of training give is to be measured, so there is no floor.
            self.client.create_library(LIBRARY, floor=0.0)
        pictures = self._archive(data.training_images(), f"{data.key}-train")
        self.follow(
            self.client.index_batch(LIBRARY, [pictures], idempotency_key=f"ingest-{data.key}")
        )
        weights: str | Path = plan.weights
        if plan.weights.startswith("sha256:"):
            name = plan.weights.removeprefix("sha256:")
            weights = self.bench.runs.store / "weights" / f"{name}.safetensors"
        self.follow(
            self.client.train(
                LIBRARY,
                plan.network,
                plan.network_options,
                plan.recipe,
                plan.recipe_options,
                weights,
                trained_by="kinsight reproduce",
                min_images_per_class=2,
                seed=plan.seed,
                idempotency_key=f"train-{data.key}-{self.bench.scale}-{plan.seed}",
            )
        )
        model = self.client.library(LIBRARY).model
        if model is None:
            raise KinsightError("The trained model did not go live; see the instance's logs.")
        self._keep(model)
        return self.client.model(model).card

    def evaluate(self, card: ModelCard, data: Prepared) -> Evaluation:
        """With the test pictures as queries."""
        queries = self._archive(data.test_images(), f"{data.key}-test")
        job = self.follow(self.client.evaluate(card.id, queries))
        return Evaluation.model_validate(job.result)

    def follow(self, job: Job) -> Job:
        """Waits for the job's end; raises what made it fail."""
        before = ""

        def seen(job: Job) -> None:
            nonlocal before
            self.check()
            phase = getattr(job.progress, "phase", None) or job.state
            if phase != before:
                self.bench.say(f"{job.kind}: {phase} {job_facts(job)}".rstrip())
                before = phase

        done = self.client.wait(job.id, on_progress=seen)
        if done.state is JobState.SUCCEEDED:
            return done
        if done.error is not None:
            raise KinsightError.from_problem(done.error)
        raise Conflict(f"The {job.kind} job {job.id} was cancelled before its end.")

    def check(self) -> None:
        """Raises Conflict once nobody waits for this any more."""
        if self.stop.is_set():
            raise Conflict("Stopped.")

    def _keep(self, model: str) -> None:
        """Copies the model to our own store: the instance's is gone when the report is written."""
        theirs, ours = self.instance.data_dir / "store", self.bench.runs.store
        shutil.copytree(theirs / "models" / model, ours / "models" / model, dirs_exist_ok=True)

    def _archive(self, images: Sequence[TrainingImage], name: str) -> Path:
        """A zip of class folders, made of the pictures in the store."""
        path = self.bench.work / "archives" / f"{name}.zip"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
                for image in images:
                    file = f"{image.label}/{image.image_id:08}{Path(image.filename).suffix}"
                    archive.write(self.bench.runs.store / image.key, file)
            partial.replace(path)
        return path


def with_system(bench: Bench, work: Callable[[System], Result]) -> Result:
    """Starts the instance, does the work, and stops it whatever happens."""
    return asyncio.run(_with_system(bench, work))


async def _with_system(bench: Bench, work: Callable[[System], Result]) -> Result:
    task = asyncio.current_task()
    assert task is not None
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    bench.say("starting PostgreSQL and the services in a folder of their own")
    # Keys of another instance in the environment are none of this one's.
    environment = {"KINSIGHT_API_KEYS": ""}
    folder = bench.work / "instance"
    options = UpOptions(data_dir=folder, port=0, environment=environment)
    try:
        async with running(options) as instance:

            def beside_it(stop: threading.Event) -> Result:
                with Kinsight(instance.url) as client:
                    return work(System(bench, instance, client, stop))

            return await beside(beside_it)
    except asyncio.CancelledError:
        if stopped:
            raise KeyboardInterrupt from None
        raise
