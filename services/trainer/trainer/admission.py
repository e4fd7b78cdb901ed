"""What must hold before a training job is made, so that a wrong one never begins."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinsight.clients.indexer import IndexerClient
from kinsight.contracts.models import TrainRequest
from kinsight.errors import TooFewClasses, TooFewImages, UnknownNetwork
from trainer import ensembles
from trainer.registry import ModelRegistry
from trainer.weights_store import WeightsStore

_CLASSES = 2
_NEAR = 3


async def admit(
    request: TrainRequest, indexer: IndexerClient, weights: WeightsStore, registry: ModelRegistry
) -> None:
    """Raises what is wrong with the request: its library, classes, recipe, network, weights, or
    the models of an ensemble.
    """
    library = await indexer.library(request.library)
    check_classes(library.name, library.labels, request.min_images_per_class)
    await weights.check_name(request.weights)
    network_options = await asyncio.to_thread(_check_options, request)
    if request.network == ensembles.NETWORK:
        cards = [(await registry.get(model)).card for model in network_options["models"]]
        ensembles.check_members(request, cards, library.labels)
    if request.weights == "none":
        return
    classes = len(library.labels)
    if request.weights == "default":
        await asyncio.to_thread(_check_default_weights, request)
    else:
        async with await weights.file(request.weights) as path:
            await asyncio.to_thread(_check_weights, request, path, classes)


def check_classes(library: str, labels: Mapping[str, int], minimum: int) -> None:
    """Raises TooFewClasses, or TooFewImages naming every class that is short.

    labels: labelled images per class.
    """
    if len(labels) < _CLASSES:
        found = f"only the class {next(iter(labels))!r}" if labels else "no labelled images"
        raise TooFewClasses(
            f"Training needs at least {_CLASSES} labelled classes; {library} has {found}. Ingest "
            "folders named by class, or label images with `PATCH /images/{id}`."
        )
    short = {name: count for name, count in sorted(labels.items()) if count < minimum}
    if short:
        counts = ", ".join(f"{name} has {count}" for name, count in short.items())
        raise TooFewImages(
            f"Training asks for {minimum} labelled images per class, but {counts}. Add images of "
            "these classes, or lower min_images_per_class.",
            classes=short,
            min_images_per_class=minimum,
        )


def _check_options(request: TrainRequest) -> dict[str, Any]:
    """The network's options, all of them."""
    # torch comes with these: a trainer that has never trained stays small and starts at once.
    from kinsight import networks
    from trainer import recipes

    recipes.options_for(request.recipe, request.recipe_options)
    try:
        options = networks.options_for(request.network, request.network_options)
    except UnknownNetwork as error:
        names = networks.network_names()
        near = difflib.get_close_matches(request.network, names, _NEAR, cutoff=0.4)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise UnknownNetwork(error.detail + hint, near=near, **error.extensions) from error
    ensembles.check_recipe(request)
    described = options.model_dump()
    if described.get("input_size") is not None:
        # What a network can take only shows when it is built.
        networks.check_builds(request.network, described)
    return described


def _check_default_weights(request: TrainRequest) -> None:
    from kinsight import networks

    # Every network of torchvision has published weights; the job downloads them.
    if not request.network.startswith("torchvision/"):
        networks.published_state(request.network)


def _check_weights(request: TrainRequest, path: Path, classes: int) -> None:
    from kinsight import networks

    state = networks.load_state(path)
    networks.check_fit(request.network, request.network_options, state, classes=classes)
