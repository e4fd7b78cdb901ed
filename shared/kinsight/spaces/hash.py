"""The binary code, compared by Hamming distance (the hash paper)."""

from __future__ import annotations

from kinsight.spaces.base import Column, Metric


class HashSpace:
    column: Column = "code"

    def metric(self, feature_metric: str) -> Metric:
        return "hamming"
