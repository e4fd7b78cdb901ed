"""What every network is: a backbone, and a head with three outputs (design §4)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kinsight.contracts.models import Preprocessing
from kinsight.networks.hash_layer import HashLayer, Projection
from kinsight.networks.options import NetworkOptions


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


def to_arrays(outputs: Outputs) -> EmbeddingArrays:
    """The outputs in numpy, float32, with packed codes."""
    return EmbeddingArrays(
        outputs.probabilities.cpu().numpy(),
        outputs.feature.float().cpu().numpy(),
        np.packbits(outputs.code.cpu().numpy(), axis=1),
    )


class RetrievalHead(nn.Module):
    """From the feature (B, d) to all outputs; with a hash layer the classifier reads that."""

    def __init__(
        self, feature_dimensions: int, classes: int, options: NetworkOptions, dropout: float
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.hash: HashLayer | None = None
        self.projection: Projection | None = None
        if options.hash_bits:
            self.hash = HashLayer(feature_dimensions, options.hash_bits)
            self.bits = options.hash_bits
        else:
            # More bits than dimensions would only repeat what the others say.
            self.bits = min(options.projection_bits, feature_dimensions)
            cosine = options.feature_metric == "cosine"
            self.projection = Projection(feature_dimensions, self.bits, cosine=cosine)
        self.classifier = nn.Linear(options.hash_bits or feature_dimensions, classes)
        nn.init.xavier_normal_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, feature_Bd: Tensor) -> Outputs:
        dropped = self.dropout(feature_Bd)
        if self.hash is not None:
            activations = self.hash(dropped)
            return Outputs(self.classifier(activations), feature_Bd, activations)
        assert self.projection is not None
        return Outputs(self.classifier(dropped), feature_Bd, self.projection(feature_Bd))


class RetrievalNetwork(nn.Module, ABC):
    """A backbone that yields the feature, and the head.

    Pictures are (B, 3, S, S) float, normalised as `preprocessing_for` says.
    """

    head: RetrievalHead

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__()
        self.feature_metric: Literal["euclidean", "cosine"] = options.feature_metric

    @abstractmethod
    def features(self, x_BCHW: Tensor) -> Tensor:
        """(B, d): the last hidden layer."""

    def forward(self, x_BCHW: Tensor) -> Outputs:
        outputs: Outputs = self.head(self.features(x_BCHW))
        return outputs

    def own_names(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state dict of this architecture's public layout under this module's names.

        A state that has this module's names already comes back as it is.
        """
        return dict(state)

    @property
    def classes(self) -> int:
        return self.head.classifier.out_features

    @property
    def feature_dimensions(self) -> int:
        if self.head.projection is not None:
            return self.head.classifier.in_features
        assert self.head.hash is not None
        return self.head.hash.linear.in_features

    @property
    def code_bits(self) -> int:
        return self.head.bits

    @property
    def code_kind(self) -> Literal["hash-layer", "projection"]:
        return "projection" if self.head.hash is None else "hash-layer"

    @property
    def parameter_count(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())


class NetworkFamily(Protocol):
    """One entry of the table of networks: an architecture, or many of one origin.

    `variant` is what follows the family in a network's name: `mobilenet_v2` of
    `torchvision/mobilenet_v2`, empty for `alexnet`.
    """

    @property
    def options(self) -> type[NetworkOptions]: ...

    def variants(self) -> list[str]: ...

    def build(self, variant: str, options: NetworkOptions, classes: int) -> RetrievalNetwork: ...

    def preprocessing(self, variant: str, options: NetworkOptions) -> Preprocessing: ...

    def published_state(self, variant: str) -> dict[str, Tensor] | None:
        """The weights its authors publish, in their layout; None where there are none."""
        ...
