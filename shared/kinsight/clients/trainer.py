"""The trainer, as gateway and admin call it."""

from __future__ import annotations

from kinsight.clients.http import Query, ServiceClient
from kinsight.contracts.jobs import Job
from kinsight.contracts.models import Model, ModelList, TrainingCurves, TrainRequest, WeightsInfo


class TrainerClient:
    def __init__(self, service: ServiceClient) -> None:
        self._service = service

    async def train(self, request: TrainRequest, idempotency_key: str | None = None) -> Job:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        answer = await self._service.json(
            "POST", "/train", json=request.model_dump(mode="json"), headers=headers
        )
        return Job(**answer)

    async def add_weights(self, upload: str) -> WeightsInfo:
        """Checks the uploaded file (a store key) and keeps it as safetensors."""
        answer = await self._service.json(
            "POST", "/weights", json={"upload": upload}, timeout_seconds=600
        )
        return WeightsInfo(**answer)

    async def models(self, library: str | None = None) -> ModelList:
        """`live` is not the trainer's to know: it is false here."""
        return ModelList(**await self._service.json("GET", "/models", params={"library": library}))

    async def model(self, model: str) -> Model:
        return Model(**await self._service.json("GET", f"/models/{model}"))

    async def report(self, model: str, file: str) -> bytes:
        """A file of the model's report; the page with the newest evaluation."""
        return await self._service.bytes("GET", f"/models/{model}/report/{file}")

    async def delete_model(self, model: str) -> None:
        """Whoever calls this has made sure that no index uses the model."""
        await self._service.json("DELETE", f"/models/{model}")

    async def evaluate(self, model: str, queries: str | None = None, *, crops: int = 1) -> Job:
        """`queries`: store key of an archive of class folders; None: the validation images."""
        body = {"queries": queries, "crops": crops}
        answer = await self._service.json("POST", f"/models/{model}/evaluate", json=body)
        return Job(**answer)

    async def training_curves(self, query: Query) -> TrainingCurves:
        return TrainingCurves(**await self._service.json("GET", "/training-curves", params=query))
