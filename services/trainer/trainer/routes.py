"""Routes of training and of the models it makes."""

from __future__ import annotations

import uuid
from typing import Annotated, Literal, cast

from fastapi import APIRouter, Depends, Header, Request, Response

from kinsight.contracts.base import Wire
from kinsight.contracts.jobs import Job, JobKind
from kinsight.contracts.models import (
    Model,
    ModelList,
    TrainingCurves,
    TrainRequest,
    WeightsInfo,
)
from kinsight.contracts.reports import PAGE, REPORT_FILES
from kinsight.errors import BadRequest, BlobNotFound, Conflict, IdempotencyMismatch
from trainer import curves
from trainer.admission import admit
from trainer.jobs import Workshop
from trainer.report import reading as report

router = APIRouter()


def _workshop(request: Request) -> Workshop:
    return cast(Workshop, request.app.state.workshop)


InWorkshop = Annotated[Workshop, Depends(_workshop)]
IdempotencyKey = Annotated[str | None, Header()]


class Upload(Wire):
    upload: str


class EvaluateRequest(Wire):
    queries: str | None = None
    crops: Literal[1, 10] = 1


@router.post("/train", status_code=202)
async def train(
    request: TrainRequest, workshop: InWorkshop, idempotency_key: IdempotencyKey = None
) -> Job:
    """Makes a training job, once nothing is wrong with the request."""
    payload = request.model_dump(mode="json")
    if idempotency_key:
        job = await workshop.rows.by_idempotency_key(idempotency_key)
        if job:  # sent again: by now the library may no longer be what it was then
            await _check_same(workshop, job, payload)
            return job
    await admit(request, workshop.indexer, workshop.weights, workshop.registry)
    return await workshop.rows.submit(
        JobKind.TRAIN, payload, library=request.library, idempotency_key=idempotency_key
    )


@router.post("/weights")
async def add_weights(body: Upload, workshop: InWorkshop) -> WeightsInfo:
    return await workshop.weights.add(body.upload)


@router.get("/models")
async def list_models(workshop: InWorkshop, library: str | None = None) -> ModelList:
    return await workshop.registry.list(library)


@router.get("/models/{model}")
async def get_model(model: str, workshop: InWorkshop) -> Model:
    return await workshop.registry.get(model)


@router.get("/models/{model}/report", response_class=Response)
async def get_report(model: str, workshop: InWorkshop) -> Response:
    """The page, with the newest evaluation."""
    return await get_report_file(model, PAGE, workshop)


@router.get("/models/{model}/report/{file}", response_class=Response)
async def get_report_file(model: str, file: str, workshop: InWorkshop) -> Response:
    found = await workshop.registry.get(model)
    data = await report.read(workshop.store, found.card, file)
    return Response(data, media_type=REPORT_FILES[file])


@router.delete("/models/{model}", status_code=204)
async def delete_model(model: str, workshop: InWorkshop) -> None:
    """Whoever calls this has made sure that no index uses the model."""
    await workshop.registry.delete(model)


@router.post("/models/{model}/evaluate", status_code=202)
async def evaluate(model: str, body: EvaluateRequest, workshop: InWorkshop) -> Job:
    found = await workshop.registry.get(model)
    if body.queries is not None:
        await _check_queries(workshop, body.queries)
    use = await workshop.indexer.model_use(model)
    if found.library not in (*use.live, *use.previous, *use.candidate):
        raise Conflict(
            f"The library {found.library} is not indexed under the model {model}; promote it "
            f"first with `POST /models/{model}/promote`."
        )
    return await workshop.rows.submit(
        JobKind.EVALUATE,
        {"model": model, "queries": body.queries, "crops": body.crops},
        library=found.library,
    )


@router.get("/training-curves")
async def training_curves(
    workshop: InWorkshop,
    library: str | None = None,
    model: str | None = None,
    job: uuid.UUID | None = None,
) -> TrainingCurves:
    return await curves.read(workshop.pool, library=library, model=model, job=job)


async def _check_same(workshop: Workshop, job: Job, payload: dict[str, object]) -> None:
    before = await workshop.pool.fetchval("SELECT payload FROM jobs WHERE id = $1", job.id)
    if job.kind is not JobKind.TRAIN or before != payload:
        raise IdempotencyMismatch


async def _check_queries(workshop: Workshop, key: str) -> None:
    if not key.startswith("uploads/"):
        raise BadRequest("`queries` is the store key of an upload: it begins with uploads/.")
    if await workshop.store.size(key) is None:
        raise BlobNotFound(f"The store has nothing under {key}; upload the queries again.")
