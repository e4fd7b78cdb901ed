"""The model registry: which models there are, and what is known of each."""

from __future__ import annotations

import logging
import uuid

from kinsight.clients.extractor import ExtractorClient
from kinsight.contracts.evaluation import Evaluation
from kinsight.contracts.models import Model, ModelCard, ModelList, TrainRequest
from kinsight.database import Connection, Pool, Record
from kinsight.errors import ModelNotFound, Unavailable
from kinsight.store import Store

_log = logging.getLogger(__name__)


def model_id(request: TrainRequest, job_id: str) -> str:
    """The id of the model that a job trains: the same however often the job is taken up."""
    network = request.network.rpartition("/")[2]
    return f"{request.library}-{network}-{uuid.UUID(job_id).hex[:12]}"


def files(model: str) -> str:
    """Prefix of a model's files in the store."""
    return f"models/{model}/"


class ModelRegistry:
    """Rows of `models`; a model is listed once its files are complete in the store."""

    def __init__(self, pool: Pool, store: Store, extractor: ExtractorClient) -> None:
        self._pool = pool
        self._store = store
        self._extractor = extractor

    async def add(self, connection: Connection, job_id: str, card: ModelCard) -> bool:
        """Lists a model; adding it again changes nothing. Returns whether it is new."""
        return bool(
            await connection.fetchval(
                "INSERT INTO models (id, library, job_id, card) VALUES ($1, $2, $3, $4)"
                " ON CONFLICT (id) DO NOTHING RETURNING true",
                card.id,
                card.library,
                uuid.UUID(job_id),
                card.model_dump(mode="json"),
            )
        )

    async def list(self, library: str | None = None) -> ModelList:
        """Newest first; evaluations without what `get` says of each class."""
        rows = await self._pool.fetch(
            "SELECT * FROM models WHERE $1::text IS NULL OR library = $1"
            " ORDER BY created_at DESC, id",
            library,
        )
        return ModelList(models=[_model(row, brief=True) for row in rows])

    async def get(self, model: str) -> Model:
        """Raises ModelNotFound."""
        row = await self._pool.fetchrow("SELECT * FROM models WHERE id = $1", model)
        if row is None:
            raise _unknown(model)
        return _model(row)

    async def stored_card(self, model: str) -> ModelCard | None:
        """The card that training wrote last of all; None while the model is not complete."""
        key = f"{files(model)}card.json"
        if await self._store.size(key) is None:
            return None
        return ModelCard.model_validate_json(await self._store.get(key))

    async def keep_evaluation(self, connection: Connection, evaluation: Evaluation) -> None:
        """The card's newest evaluation; raises ModelNotFound where the model has gone."""
        kept = await connection.fetchval(
            "UPDATE models SET card = jsonb_set(card, '{evaluation}', $2) WHERE id = $1"
            " RETURNING true",
            evaluation.model,
            evaluation.model_dump(mode="json"),
        )
        if not kept:
            raise _unknown(evaluation.model)

    async def delete(self, model: str) -> None:
        """Row first, so that no one starts to use files that are about to go."""
        deleted = await self._pool.fetchval(
            "DELETE FROM models WHERE id = $1 RETURNING true", model
        )
        if not deleted:
            raise _unknown(model)
        await self.delete_files(model)
        try:
            await self._extractor.forget(model)
        except Unavailable as error:  # one that is away forgets by stopping
            _log.warning("The extractor could not be told that %s is gone: %s", model, error)

    async def delete_files(self, model: str) -> None:
        # The card goes first: without it there is no model, whatever else is left.
        await self._store.delete(f"{files(model)}card.json")
        await self._store.delete_prefix(files(model))


def _unknown(model: str) -> ModelNotFound:
    return ModelNotFound(f"There is no model {model!r}; `GET /models` lists them.")


def _model(row: Record, *, brief: bool = False) -> Model:
    card = ModelCard(**row["card"])
    if brief and card.evaluation:
        found = Evaluation.model_validate(card.evaluation).brief().model_dump(mode="json")
        card = card.model_copy(update={"evaluation": found})
    return Model(
        id=row["id"],
        library=row["library"],
        network=card.network,
        created_at=row["created_at"],
        card=card,
    )
