"""The model card of what a run has trained."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from kinsight.contracts.models import Accuracies, ModelCard, RetrievalSettings
from trainer.recipes import RecipeOptions, Trained
from trainer.training.data import MOST_NAMED
from trainer.training.run import Run
from trainer.training.spec import file_name

_PACKAGES = ("kinsight", "torch", "torchvision", "numpy", "pillow")


@dataclass(frozen=True)
class Measured:
    accuracy: Accuracies
    retrieval: RetrievalSettings
    started_at: datetime
    seconds: float
    weights_bytes: int


def model_card(
    model_id: str,
    run: Run,
    options: RecipeOptions,
    trained: Trained,
    measured: Measured,
) -> ModelCard:
    """All that is known of the model; options with their defaults, so that none is lost."""
    request, network, data = run.request, run.network, run.data
    unreadable = data.unreadable
    return ModelCard(
        id=model_id,
        library=request.library,
        network=request.network,
        network_options=run.network_options,
        preprocessing=run.preprocessing,
        classes=list(data.counts),
        feature_dimensions=network.feature_dimensions,
        code_bits=network.code_bits,
        code_kind=network.code_kind,
        feature_metric=network.feature_metric,
        recipe=request.recipe,
        recipe_options=options.model_dump(),
        weights=request.weights,
        seed=request.seed,
        split_seed=request.split_seed,
        data_fingerprint=data.fingerprint,
        class_counts=data.counts,
        training_images=len(data.split.training),
        validation_images=len(data.split.validation),
        validation_image_ids=[data.images[i].image_id for i in data.split.validation],
        unreadable_images=len(unreadable),
        unreadable_files=[file_name(image) for image in unreadable[:MOST_NAMED]],
        trained_by=request.trained_by,
        started_at=measured.started_at,
        seconds=round(measured.seconds, 3),
        iterations=trained.iterations,
        epochs=trained.epochs,
        device=run.device.name,
        machine=run.device.machine,
        accuracy=measured.accuracy,
        retrieval=measured.retrieval,
        parameters=network.parameter_count,
        bytes=measured.weights_bytes,
        versions={"python": platform.python_version(), **{p: version(p) for p in _PACKAGES}},
    )
