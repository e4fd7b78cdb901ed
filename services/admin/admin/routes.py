"""Maintenance and reports."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from admin import doctor, samples, sla
from admin.precision import precisions
from admin.state import AdminState
from kinsight.contracts.admin import Cleared, DoctorReport, SlaReport
from kinsight.contracts.jobs import Job
from kinsight.contracts.models import TrainingCurves
from kinsight.errors import ModelInUse

router = APIRouter()

_MOST_HOURS = 24 * 31


@router.get("/training-curves")
async def training_curves(
    state: AdminState,
    library: str | None = None,
    model: str | None = None,
    job: str | None = None,
) -> TrainingCurves:
    return await state.trainer.training_curves({"library": library, "model": model, "job": job})


@router.get("/sla")
async def sla_report(
    state: AdminState, hours: Annotated[float, Query(gt=0, le=_MOST_HOURS)] = 24.0
) -> SlaReport:
    measured = await samples.measured(state.pool, hours, state.settings.sla_sample_seconds)
    return sla.report(hours, measured, await precisions(state.indexer, state.trainer))


@router.get("/doctor")
async def doctor_report(state: AdminState) -> DoctorReport:
    return await doctor.examine(state)


@router.post("/libraries/{name}/clear")
async def clear(name: str, state: AdminState) -> Cleared:
    return Cleared(library=name, removed=await state.indexer.clear(name))


@router.post("/libraries/{name}/rebuild", status_code=202)
async def rebuild(name: str, state: AdminState, crops: Literal["1", "10"] | None = None) -> Job:
    return await state.indexer.rebuild(name, None if crops is None else 10 if crops == "10" else 1)


@router.delete("/models/{model}", status_code=204)
async def delete_model(model: str, state: AdminState) -> None:
    """Drops the model's indexes, then the model; refused while a library is searched with it."""
    await state.trainer.model(model)
    use = await state.indexer.model_use(model)
    if use.live:
        raise ModelInUse(
            f"The model {model} is what {', '.join(use.live)} is searched with; promote another "
            "model there first, or delete the library.",
            libraries=use.live,
        )
    await state.indexer.drop_model(model)
    await state.trainer.delete_model(model)
