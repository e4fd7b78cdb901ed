"""The models of an ensemble, as the training process reads them from the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from kinsight import networks
from kinsight.contracts.models import ModelCard, TrainRequest
from kinsight.errors import BlobNotFound, ModelNotFound, TooFewImages
from kinsight.networks.model_folder import card_key, weights_key
from trainer import ensembles
from trainer.training.data import TrainingData
from trainer.training.split import Split
from trainer.training.store_access import StoreAccess


@dataclass(frozen=True)
class Members:
    """cards: of the models, in their order."""

    cards: list[ModelCard]

    def options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The ensemble's options with what its models are, so that its card says all."""
        members = [
            {
                "model": card.id,
                "network": card.network,
                "network_options": card.network_options,
                "preprocessing": card.preprocessing,
            }
            for card in self.cards
        ]
        filled = {**given, "members": members}
        return networks.options_for(ensembles.NETWORK, filled).model_dump(mode="json")

    def state(self, store: StoreAccess) -> dict[str, Tensor]:
        """The tensors of all models, under the ensemble's names; raises ModelNotFound."""
        return {
            f"members.{number}.{name}": tensor
            for number, card in enumerate(self.cards)
            for name, tensor in store.run(_weights(store, card.id)).items()
        }

    def validated_alike(self, data: TrainingData) -> TrainingData:
        """The same images, of which those are held out that were held out for every model.

        The library may have grown since, and its own split would then hold out others, which the
        models were trained on. Raises BadOption, TooFewImages.
        """
        ensembles.check_classes(self.cards[0], data.counts)
        used = np.sort(np.concatenate(data.split))
        ids = np.array([data.images[index].image_id for index in used])
        held = np.isin(ids, self.cards[0].validation_image_ids)
        if not held.any():
            raise TooFewImages(
                "None of the images that were held out for these models is in the library any "
                "more, so their ensemble cannot be validated; train the models again."
            )
        return replace(data, split=Split(used[~held], used[held]))


def find_members(
    request: TrainRequest, options: Mapping[str, Any], labels: set[str], store: StoreAccess
) -> Members | None:
    """The models of a request for an ensemble; None for other requests.

    Raises BadOption where they do not go together, ModelNotFound where one has gone.
    """
    ensembles.check_recipe(request)
    if request.network != ensembles.NETWORK:
        return None
    cards = [_card(store, model) for model in options["models"]]
    ensembles.check_members(request, cards, labels)
    return Members(cards)


def _card(store: StoreAccess, model: str) -> ModelCard:
    text = store.get(card_key(model))
    if text is None:
        raise _gone(model)
    return ModelCard.model_validate_json(text)


async def _weights(store: StoreAccess, model: str) -> dict[str, Tensor]:
    try:
        async with store.store.local_file(weights_key(model)) as path:
            return networks.load_state(path)
    except BlobNotFound as error:
        raise _gone(model) from error


def _gone(model: str) -> ModelNotFound:
    return ModelNotFound(
        f"There is no model {model!r} to make an ensemble of; `GET /models` lists them."
    )
