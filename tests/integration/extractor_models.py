"""Small models in a store, for the tests of the feature extractor."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import torch

from kinsight.contracts.models import Accuracies, ModelCard, Preprocessing, RetrievalSettings
from kinsight.networks import RetrievalNetwork, build, preprocessing_for
from kinsight.networks.model_folder import card_key, weights_bytes, weights_key
from kinsight.store import Store

NETWORK = "torchvision/squeezenet1_1"
SMALL = Preprocessing(mode="crop", resize=72, input_size=64)


def network(
    name: str = NETWORK, options: dict[str, Any] | None = None, seed: int = 0
) -> RetrievalNetwork:
    """Seeded, in evaluation mode, with statistics in every batch normalisation."""
    torch.manual_seed(seed)
    built = build(name, options or {}, classes=5)
    for module in built.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
            torch.nn.init.normal_(module.running_mean, 0, 0.1)  # type: ignore[arg-type]
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return built.eval().requires_grad_(False)


def card_of(
    built: RetrievalNetwork,
    model_id: str,
    name: str = NETWORK,
    options: dict[str, Any] | None = None,
    preprocessing: Preprocessing | None = SMALL,
) -> ModelCard:
    options = options or {}
    return ModelCard(
        id=model_id,
        library="test",
        network=name,
        network_options=options,
        preprocessing=preprocessing or preprocessing_for(name, options),
        classes=[f"class {number}" for number in range(built.classes)],
        feature_dimensions=built.feature_dimensions,
        code_bits=built.code_bits,
        code_kind=built.code_kind,
        recipe="head",
        weights="none",
        seed=0,
        data_fingerprint="0" * 64,
        class_counts={},
        training_images=0,
        validation_images=0,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        seconds=0.0,
        iterations=0,
        epochs=0.0,
        device="cpu",
        machine="test",
        accuracy=Accuracies(),
        retrieval=RetrievalSettings(),
        parameters=built.parameter_count,
        bytes=0,
    )


async def put_model(store: Store, model_id: str, *, seed: int = 0, **card: Any) -> RetrievalNetwork:
    """As the trainer does: the card last."""
    built = network(seed=seed)
    await store.put(weights_key(model_id), weights_bytes(built))
    text = card_of(built, model_id, **card).model_dump_json()
    await store.put(card_key(model_id), text.encode())
    return built
