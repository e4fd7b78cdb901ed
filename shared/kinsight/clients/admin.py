"""The admin service, as the gateway calls it."""

from __future__ import annotations

from urllib.parse import quote

from kinsight.clients.http import Query, ServiceClient
from kinsight.contracts.admin import Cleared, DoctorReport, SlaReport
from kinsight.contracts.jobs import Job
from kinsight.contracts.models import TrainingCurves

_DOCTOR_SECONDS = 120.0  # it measures the device, and waits for services that hang


def _library(name: str) -> str:
    return f"/libraries/{quote(name, safe='')}"


class AdminClient:
    def __init__(self, service: ServiceClient) -> None:
        self._service = service

    async def training_curves(self, query: Query) -> TrainingCurves:
        """`query`: library, model, job; each narrows the runs down."""
        return TrainingCurves(**await self._service.json("GET", "/training-curves", params=query))

    async def sla(self, hours: float = 24.0) -> SlaReport:
        return SlaReport(**await self._service.json("GET", "/sla", params={"hours": hours}))

    async def doctor(self) -> DoctorReport:
        answer = await self._service.json("GET", "/doctor", timeout_seconds=_DOCTOR_SECONDS)
        return DoctorReport(**answer)

    async def clear(self, library: str) -> Cleared:
        """Empties the library's class tables; its images stay."""
        answer = await self._service.json("POST", f"{_library(library)}/clear", timeout_seconds=600)
        return Cleared(**answer)

    async def rebuild(self, library: str, crops: str | None = None) -> Job:
        """`crops`: 1 or 10 per picture; None: as many as the live index has."""
        return Job(
            **await self._service.json(
                "POST", f"{_library(library)}/rebuild", params={"crops": crops}
            )
        )

    async def delete_model(self, model: str) -> None:
        """Raises ModelNotFound, ModelInUse."""
        path = f"/models/{quote(model, safe='')}"
        await self._service.json("DELETE", path, timeout_seconds=600)
