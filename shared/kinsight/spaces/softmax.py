"""The class probabilities as a vector, compared by Euclidean distance (the CBIR paper's space)."""

from __future__ import annotations

from kinsight.spaces.base import Column, Metric


class SoftmaxSpace:
    column: Column = "probabilities"

    def metric(self, feature_metric: str) -> Metric:
        return "euclidean"
