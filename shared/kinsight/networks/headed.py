"""A backbone with a head: what every architecture of the table is, and ensembles are made of."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from torch import Tensor, nn

from kinsight.networks.base import Outputs, RetrievalNetwork
from kinsight.networks.hash_layer import HashLayer, Projection
from kinsight.networks.options import NetworkOptions


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


class HeadedNetwork(RetrievalNetwork):
    """A backbone that yields the feature, and the head."""

    head: RetrievalHead

    def __init__(self, options: NetworkOptions) -> None:
        super().__init__(options.feature_metric)

    @abstractmethod
    def features(self, x_BCHW: Tensor) -> Tensor:
        """(B, d): the last hidden layer."""

    def forward(self, x_BCHW: Tensor) -> Outputs:
        outputs: Outputs = self.head(self.features(x_BCHW))
        return outputs

    @property
    def projection(self) -> Projection | None:
        return self.head.projection

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
