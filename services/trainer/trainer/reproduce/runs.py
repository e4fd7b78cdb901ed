"""Training runs of a reproduction: the product's own training, kept by what they are.

A run that is finished is not trained again; one that was interrupted goes on from its checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinsight.contracts.models import CurvePoint, ModelCard, TrainRequest
from kinsight.errors import KinsightError, TrainingLost
from trainer.reproduce.listening import Listener
from trainer.reproduce.prepared import Prepared
from trainer.reproduce.report import TrainedModel
from trainer.training.events import Reporter
from trainer.training.spec import Spec

_ALONE = ("trainer.training.process",)
_TOGETHER = ("trainer.training.torchrun",)
# When its first attempt began, and its curve so far.
_OF_ONE_RUN = ("started-at", "curve.ndjson")


@dataclass(frozen=True)
class Plan:
    """What to train. name: for people. own: options that say what this run is about."""

    name: str
    network_options: Mapping[str, Any]
    recipe: str
    recipe_options: Mapping[str, Any] = field(default_factory=dict)
    network: str = "alexnet"
    weights: str = "none"
    seed: int = 0


@dataclass(frozen=True)
class Run:
    """A trained model and the way there."""

    plan: Plan
    card: ModelCard
    points: list[CurvePoint]

    def described(self) -> TrainedModel:
        card, plan = self.card, self.plan
        return TrainedModel(
            name=plan.name,
            model=card.id,
            network=card.network,
            options=dict(plan.network_options),
            recipe=card.recipe,
            recipe_options=dict(plan.recipe_options),
            weights=card.weights,
            seed=card.seed,
            training_images=card.training_images,
            validation_images=card.validation_images,
            epochs=card.epochs,
            iterations=card.iterations,
            seconds=card.seconds,
            parameters=card.parameters,
            device=card.device,
            machine=card.machine,
            validation_accuracy=card.accuracy.validation,
        )


class Runs:
    """The runs under one folder `work`, which has a store of its own."""

    def __init__(self, work: Path, say: Callable[[str], None]) -> None:
        self._work, self._say = work, say
        self.store = work / "store"

    def train(self, data: Prepared, plan: Plan, apart: Mapping[str, str] | None = None) -> Run:
        """Trains what is not trained yet; raises what the training raises, with the run's name.

        apart: in a process of its own, with these variables in its environment.
        """
        spec = self.spec(data, plan)
        card = self._card(spec.model_id)
        if card is not None:
            self._say(f"{plan.name}: trained before, taken from work")
        elif apart is not None:
            card = self._carry_out_apart(spec, plan, apart, _ALONE)
        elif (devices := _devices()) > 1:
            card = self._carry_out_apart(spec, plan, {}, (*_TOGETHER, str(devices)))
        else:
            card = self._carry_out(spec, plan)
        return Run(plan, card, self._points(spec.job_id))

    def spec(self, data: Prepared, plan: Plan) -> Spec:
        """What a training process is told of this run."""
        request = TrainRequest(
            library="reproduction",
            network=plan.network,
            network_options=dict(plan.network_options),
            recipe=plan.recipe,
            recipe_options=dict(plan.recipe_options),
            weights=plan.weights,
            seed=plan.seed,
            min_images_per_class=2,
            trained_by="kinsight reproduce",
            then="nothing",
        )
        described = json.dumps([request.model_dump(), data.key], sort_keys=True)
        slug = re.sub(r"[^a-z0-9]+", "-", plan.name.lower()).strip("-")[:40]
        job = f"{slug}-{hashlib.sha256(described.encode()).hexdigest()[:12]}"
        return Spec(
            job_id=job,
            model_id=job,
            request=request,
            store_url=self.store.resolve().as_uri(),
            training_set=data.training_set.resolve(),
            scratch=self._scratch(data, job),
        )

    def _scratch(self, data: Prepared, job: str) -> Path:
        """One for all runs on a data set, as they read the same pictures.

        What else lies in it is of the run that is under way.
        """
        scratch = self._work / "scratch" / data.key
        scratch.mkdir(parents=True, exist_ok=True)
        owner = scratch / "run"
        if not owner.exists() or owner.read_text() != job:
            for name in _OF_ONE_RUN:
                (scratch / name).unlink(missing_ok=True)
            owner.write_text(job)
        return scratch

    def _card(self, model_id: str) -> ModelCard | None:
        from kinsight.networks.model_folder import card_key  # brings torch, which takes seconds

        path = self.store / card_key(model_id)
        return ModelCard.model_validate_json(path.read_bytes()) if path.exists() else None

    def _carry_out(self, spec: Spec, plan: Plan) -> ModelCard:
        from trainer.training.pipeline import carry_out  # torch takes seconds to load

        reporter = Reporter(self._listener(spec, plan))
        reporter.start()
        try:
            card = carry_out(spec, reporter)
            assert card is not None  # this process trains alone
        except KinsightError as error:
            reporter.failed(error)
            raise _of_run(plan, error) from error
        except BaseException:
            reporter.failed(KinsightError("Stopped."))
            raise
        assert card is not None  # no other process shares the work
        reporter.done(card)
        return card

    def _carry_out_apart(
        self,
        spec: Spec,
        plan: Plan,
        environment: Mapping[str, str],
        program: Sequence[str],
    ) -> ModelCard:
        file = spec.scratch / f"{spec.job_id}.json"
        file.write_text(spec.model_dump_json())
        listener = self._listener(spec, plan)
        process = subprocess.Popen(
            [sys.executable, "-m", *program, str(file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                listener.write(line)
            process.wait()
        finally:
            process.kill()
            process.wait()
        if listener.problem is not None:
            raise _of_run(plan, KinsightError.from_problem(listener.problem))
        card = self._card(spec.model_id)
        if card is None:
            raise TrainingLost(f"{plan.name}: the training process ended without a model.")
        return card

    def _listener(self, spec: Spec, plan: Plan) -> Listener:
        return Listener(plan.name, self._say, self._curve(spec.job_id))

    def _curve(self, job: str) -> Path:
        return self._work / "curves" / f"{job}.ndjson"

    def _points(self, job: str) -> list[CurvePoint]:
        """Without what was trained after a checkpoint and then again from it."""
        path = self._curve(job)
        if not path.exists():
            return []
        points: list[CurvePoint] = []
        for line in path.read_text().splitlines():
            point = CurvePoint.model_validate_json(line)
            while points and points[-1].iteration > point.iteration:
                points.pop()
            points.append(point)
        return points


def _devices() -> int:
    from trainer.training.devices import device_count  # brings torch

    return device_count()


def _of_run(plan: Plan, error: KinsightError) -> KinsightError:
    return type(error)(f"{plan.name}: {error.detail}", **error.extensions)
