"""What every network is: pictures in, three outputs (design §4)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kinsight.contracts.models import Preprocessing
from kinsight.networks.hash_layer import Projection
from kinsight.networks.options import Options


class Outputs(NamedTuple):
    """Of a batch of B pictures."""

    logits: Tensor  # (B, K)
    feature: Tensor  # (B, d)
    activations: Tensor  # (B, n), in (0, 1)

    @property
    def probabilities(self) -> Tensor:
        """(B, K) float32, rows sum to 1."""
        return torch.softmax(self.logits.float(), dim=1)

    @property
    def code(self) -> Tensor:
        """(B, n) bool: activation >= 0.5 (hash paper §2.4)."""
        return self.activations >= 0.5


class EmbeddingArrays(NamedTuple):
    """The outputs as they leave torch: see `kinsight.contracts.embeddings.Embeddings`."""

    probabilities: NDArray[np.float32]  # (N, K)
    feature: NDArray[np.float32]  # (N, d)
    code: NDArray[np.uint8]  # (N, ceil(n / 8)), first bit highest, padded with zeros

    def rows(self, selection: Any) -> EmbeddingArrays:
        """These rows of all three, by any index of numpy."""
        return EmbeddingArrays(
            self.probabilities[selection], self.feature[selection], self.code[selection]
        )


def packed(activations: Tensor) -> NDArray[np.uint8]:
    """(B, n) to the codes (B, ceil(n / 8)) of `EmbeddingArrays`."""
    return np.packbits((activations >= 0.5).cpu().numpy(), axis=1)


def to_arrays(outputs: Outputs) -> EmbeddingArrays:
    """The outputs in numpy, float32, with packed codes."""
    return EmbeddingArrays(
        outputs.probabilities.cpu().numpy(),
        outputs.feature.float().cpu().numpy(),
        packed(outputs.activations),
    )


class RetrievalNetwork(nn.Module, ABC):
    """From pictures (B, 3, S, S) float, normalised as `preprocessing_for` says, to all outputs."""

    def __init__(self, feature_metric: Literal["euclidean", "cosine"]) -> None:
        super().__init__()
        self.feature_metric = feature_metric

    @abstractmethod
    def forward(self, x_BCHW: Tensor) -> Outputs: ...

    @abstractmethod
    def features(self, x_BCHW: Tensor) -> Tensor:
        """(B, d) alone."""

    @property
    def projection(self) -> Projection | None:
        """What makes the codes and is to be fitted when training ends; None where there is none."""
        return None

    def own_names(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state dict of this architecture's public layout under this module's names.

        A state that has this module's names already comes back as it is.
        """
        return dict(state)

    @property
    @abstractmethod
    def classes(self) -> int: ...

    @property
    @abstractmethod
    def feature_dimensions(self) -> int: ...

    @property
    @abstractmethod
    def code_bits(self) -> int: ...

    @property
    @abstractmethod
    def code_kind(self) -> Literal["hash-layer", "projection"]: ...

    @property
    def parameter_count(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())


class NetworkFamily(Protocol):
    """One entry of the table of networks: an architecture, or many of one origin.

    `variant` is what follows the family in a network's name: `mobilenet_v2` of
    `torchvision/mobilenet_v2`, empty for `alexnet`.
    """

    @property
    def options(self) -> type[Options]: ...

    def variants(self) -> list[str]: ...

    def build(self, variant: str, options: Options, classes: int) -> RetrievalNetwork: ...

    def preprocessing(self, variant: str, options: Options) -> Preprocessing: ...

    def published_state(self, variant: str) -> dict[str, Tensor] | None:
        """The weights its authors publish, in their layout; None where there are none."""
        ...
