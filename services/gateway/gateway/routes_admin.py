"""Maintenance (CBIR paper, §2.4): curves, SLA, doctor, clear, rebuild."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from gateway.state import GatewayState, accepted
from kinsight.contracts.admin import Cleared, DoctorReport, SlaReport
from kinsight.contracts.jobs import Job
from kinsight.contracts.models import TrainingCurves

router = APIRouter(prefix="/admin", tags=["admin"])


@router.get("/training-curves", summary="Iterations against seconds, run by run")
async def training_curves(
    state: GatewayState,
    library: str | None = None,
    model: str | None = None,
    job: str | None = None,
) -> TrainingCurves:
    return await state.admin.training_curves({"library": library, "model": model, "job": job})


@router.get("/sla", summary="The requirements, each with its measured value")
async def sla(state: GatewayState, hours: Annotated[float, Query(gt=0, le=720)] = 24) -> SlaReport:
    return await state.admin.sla(hours)


@router.get("/doctor", summary="What works, what does not, and what to do")
async def doctor(state: GatewayState) -> DoctorReport:
    return await state.admin.doctor()


@router.post("/libraries/{name}/clear", summary="Empty a library's class tables")
async def clear(state: GatewayState, name: str) -> Cleared:
    """Images and labels stay; `rebuild` makes them searchable again."""
    return await state.admin.clear(name)


@router.post("/libraries/{name}/rebuild", status_code=202, summary="File every image anew")
async def rebuild(
    state: GatewayState,
    response: Response,
    name: str,
    crops: Annotated[
        Literal["1", "10"] | None, Query(description="Per picture; left out: as it is now.")
    ] = None,
) -> Job:
    """Beside the live index, which answers searches until the new one takes over."""
    return accepted(response, await state.admin.rebuild(name, crops))
