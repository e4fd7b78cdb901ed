"""Networks: architectures with the three outputs of design §4.

Adding one is a file with its options, module and family, and a line in `NETWORKS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from kinsight.contracts.models import Preprocessing
from kinsight.errors import Unavailable, UnfitWeights, UnknownNetwork
from kinsight.networks.alexnet import AlexNetFamily
from kinsight.networks.base import (
    EmbeddingArrays,
    NetworkFamily,
    Outputs,
    RetrievalNetwork,
    packed,
    to_arrays,
)
from kinsight.networks.ensemble import EnsembleFamily
from kinsight.networks.headed import HeadedNetwork
from kinsight.networks.options import Options, describe, parse
from kinsight.networks.torchvision_networks import TorchvisionFamily
from kinsight.networks.unallocated import Unallocated
from kinsight.networks.weights import Fit, fit, load_into, load_state

__all__ = [
    "NETWORKS",
    "EmbeddingArrays",
    "Fit",
    "HeadedNetwork",
    "Outputs",
    "RetrievalNetwork",
    "build",
    "check_builds",
    "check_fit",
    "load_into",
    "load_state",
    "network_names",
    "option_descriptions",
    "options_for",
    "packed",
    "preprocessing_for",
    "published_state",
    "to_arrays",
]

NETWORKS: dict[str, NetworkFamily] = {
    "alexnet": AlexNetFamily(),
    "torchvision": TorchvisionFamily(),
    "ensemble": EnsembleFamily(
        lambda name, options, classes: build(name, options, classes=classes)
    ),
}


def network_names() -> list[str]:
    """Every name that `build` takes."""
    return [
        f"{family}/{variant}" if variant else family
        for family, entry in NETWORKS.items()
        for variant in entry.variants()
    ]


def options_for(name: str, options: Mapping[str, Any]) -> Options:
    """Validated options; raises UnknownNetwork or BadOption."""
    return parse(_find(name)[0].options, options, f"network {name}")


def option_descriptions(name: str) -> dict[str, dict[str, Any]]:
    """Per option of a network its JSON schema; raises UnknownNetwork."""
    return describe(_find(name)[0].options)


def build(name: str, options: Mapping[str, Any], *, classes: int) -> RetrievalNetwork:
    """A network with fresh parameters in training mode; raises UnknownNetwork, BadOption."""
    family, variant = _find(name)
    return family.build(variant, options_for(name, options), classes)


def preprocessing_for(name: str, options: Mapping[str, Any]) -> Preprocessing:
    """What this network's input is made by; raises UnknownNetwork, BadOption."""
    family, variant = _find(name)
    return family.preprocessing(variant, options_for(name, options))


def check_builds(name: str, options: Mapping[str, Any]) -> None:
    """Raises UnknownNetwork or BadOption as `build` does, without allocating the network."""
    with Unallocated():
        build(name, options, classes=2)


def check_fit(
    name: str, options: Mapping[str, Any], state: Mapping[str, Tensor], *, classes: int = 2
) -> Fit:
    """Whether the weights go into the network, without allocating it; raises UnfitWeights."""
    with Unallocated():
        network = build(name, options, classes=classes)
    return fit(network, state)


def published_state(name: str) -> dict[str, Tensor]:
    """The weights its authors publish, downloaded or from the cache.

    Raises UnfitWeights for a network without any, Unavailable where the download fails.
    """
    family, variant = _find(name)
    try:
        state = family.published_state(variant)
    except (OSError, RuntimeError) as error:
        raise Unavailable(
            f"The published weights of {name} could not be downloaded ({error}). Send a file to "
            "`POST /weights` and name it in `weights`, or train with weights `none`."
        ) from error
    if state is None:
        raise UnfitWeights(
            f"There are no published weights of {name}; train with weights `none`, or send a "
            "file to `POST /weights` and name it."
        )
    return state


def _find(name: str) -> tuple[NetworkFamily, str]:
    family_name, _, variant = name.partition("/")
    family = NETWORKS.get(family_name)
    if family is None or variant not in family.variants():
        raise UnknownNetwork(
            f"There is no network {name!r}; there are alexnet, torchvision/<name>, such as "
            "torchvision/mobilenet_v2 or torchvision/resnet50, and ensemble.",
            networks=network_names(),
        )
    return family, variant
