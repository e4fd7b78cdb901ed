"""Maintenance, as the public client does it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from kinsight.clients.public_connection import PublicConnection
from kinsight.contracts.jobs import Job
from kinsight.contracts.models import TrainingCurves


class AdminCalls(PublicConnection):
    def training_curves(self, **narrow: str | int | None) -> TrainingCurves:
        """Iterations against seconds of the training runs; `narrow` as the route takes it."""
        return self._model(TrainingCurves, "GET", "/admin/training-curves", params=narrow)

    def sla(self, **narrow: str | int | float | None) -> dict[str, Any]:
        """What was promised and what was measured; `narrow` as the route takes it."""
        report: dict[str, Any] = self._json("GET", "/admin/sla", params=narrow)
        return report

    def doctor(self, *, measure: bool | None = None) -> dict[str, Any]:
        """Every part checked, ok or what to do. measure: time the device as well."""
        params = {"measure": str(measure).lower() if measure is not None else None}
        report: dict[str, Any] = self._json("GET", "/admin/doctor", params=params)
        return report

    def clear(self, library: str) -> Any:
        """Empties the class tables; the images stay, and `rebuild` indexes them again."""
        return self._json("POST", f"{_library(library)}/clear")

    def rebuild(self, library: str) -> Job:
        """Indexes every stored image again under the live model. Raises NoModel."""
        return self._model(Job, "POST", f"{_library(library)}/rebuild")


def _library(name: str) -> str:
    return f"/admin/libraries/{quote(name, safe='')}"
