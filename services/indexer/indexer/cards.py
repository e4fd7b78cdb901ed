"""The cards of models, as the trainer left them in the store."""

from __future__ import annotations

from kinsight.contracts.models import ModelCard
from kinsight.errors import BlobNotFound, ModelNotFound
from kinsight.store import Store


async def card(store: Store, model: str) -> ModelCard:
    """Raises ModelNotFound."""
    try:
        return ModelCard.model_validate_json(await store.get(f"models/{model}/card.json"))
    except BlobNotFound as error:
        raise ModelNotFound(f"There is no model {model!r}; `GET /models` lists them.") from error
