"""What a training process has said and is not yet in the database."""

from __future__ import annotations

import platform
from datetime import UTC, datetime

from kinsight.contracts.jobs import Progress
from kinsight.contracts.models import CurvePoint, TrainingRun, TrainRequest
from kinsight.database import Connection
from trainer import curves, metrics
from trainer.supervise import Event


class Hearing:
    """Takes the events, and writes the run and its curve beside the job's progress."""

    def __init__(self, request: TrainRequest, model: str, job_id: str) -> None:
        self._request, self._model, self._job = request, model, job_id
        self._points: list[CurvePoint] = []
        self._writing = 0
        self._beginning = self._begun = False
        self._rewind = True
        self._device: str | None = None
        self._machine: str | None = None
        self.iteration = 0

    def begin_again(self) -> None:
        """The process starts anew: iterations after its checkpoint come a second time."""
        self._rewind = True

    def take(self, event: Event) -> Progress | None:
        """The progress, where the event tells of it."""
        if event["event"] == "curve":
            self._points.append(CurvePoint(**event["point"]))
        if event["event"] != "progress":
            return None
        progress = Progress(**event["progress"])
        self.iteration = metrics.observe(progress, self._model, self.iteration)
        extra = progress.model_extra or {}
        self._device = extra.get("device") or self._device
        self._machine = extra.get("machine") or self._machine
        return progress

    async def write(self, connection: Connection) -> None:
        """The run and its new points, in the transaction that writes the progress.

        Events go on coming until it is committed: what is not in it is left to the next.
        """
        points = self._points[:]
        self._writing, self._beginning = len(points), False
        if self._device is None and not points:
            return
        if not self._begun:
            self._beginning = self._device is not None
            await curves.begin(connection, self._run())
        if points:
            if self._rewind:
                await curves.rewind(connection, self._job, points[0].iteration)
            await curves.add(connection, self._job, points)

    def written(self) -> None:
        """That transaction is committed."""
        self._begun = self._begun or self._beginning
        self._rewind = self._rewind and self._writing == 0
        del self._points[: self._writing]

    def _run(self) -> TrainingRun:
        return TrainingRun(
            job=self._job,
            library=self._request.library,
            model=self._model,
            network=self._request.network,
            recipe=self._request.recipe,
            device=self._device or "",
            machine=self._machine or platform.node(),
            started_at=datetime.now(UTC),
            iterations_per_second=None,
            points=[],
        )
