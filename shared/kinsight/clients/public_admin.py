"""Maintenance, as the public client does it."""

from __future__ import annotations

from urllib.parse import quote

from kinsight.clients.public_connection import PublicConnection, idempotency
from kinsight.contracts.admin import Cleared, DoctorReport, SlaReport
from kinsight.contracts.jobs import Job
from kinsight.contracts.models import TrainingCurves


class AdminCalls(PublicConnection):
    def training_curves(
        self, library: str | None = None, model: str | None = None, job: str | None = None
    ) -> TrainingCurves:
        """Iterations against seconds of training runs; each argument narrows them down."""
        params = {"library": library, "model": model, "job": job}
        return self._model(TrainingCurves, "GET", "/admin/training-curves", params=params)

    def sla(self, hours: float = 24.0) -> SlaReport:
        """What is promised, and what was measured of it in the last hours."""
        return self._model(SlaReport, "GET", "/admin/sla", params={"hours": hours})

    def doctor(self) -> DoctorReport:
        """Every part checked: ok, or what to do. It measures the device, so it takes seconds."""
        return self._model(DoctorReport, "GET", "/admin/doctor")

    def clear(self, library: str) -> Cleared:
        """Empties the class tables; the images stay, and `rebuild` indexes them again."""
        return self._model(Cleared, "POST", f"{_library(library)}/clear")

    def rebuild(
        self, library: str, *, crops: int | None = None, idempotency_key: str | None = None
    ) -> Job:
        """Indexes every stored image again under the live model. Raises NoModel.

        crops: 1 or 10 per picture; None: as many as the live index has.
        """
        return self._model(
            Job,
            "POST",
            f"{_library(library)}/rebuild",
            params={"crops": crops},
            headers=idempotency(idempotency_key),
            again=True,
        )


def _library(name: str) -> str:
    return f"/admin/libraries/{quote(name, safe='')}"
