"""The last hidden layer, compared by Euclidean distance (AlexNet, figure 4) or cosine."""

from __future__ import annotations

from kinsight.spaces.base import Column, Metric


class FeatureSpace:
    column: Column = "feature"

    def metric(self, feature_metric: str) -> Metric:
        return "cosine" if feature_metric == "cosine" else "euclidean"
