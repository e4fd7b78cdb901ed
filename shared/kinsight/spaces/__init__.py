"""Spaces (★): what two images are compared by; one file per space.

`auto` is no space of its own: it takes a shortlist in `hash` and orders it in `feature`.
"""

from __future__ import annotations

from kinsight.spaces.base import Column, Metric, Space, distances, similarity
from kinsight.spaces.feature import FeatureSpace
from kinsight.spaces.hash import HashSpace
from kinsight.spaces.softmax import SoftmaxSpace
from kinsight.spaces.ties import TIE_KEY_SQL, tie_keys

__all__ = [
    "SPACES",
    "TIE_KEY_SQL",
    "Column",
    "Metric",
    "Space",
    "distances",
    "similarity",
    "tie_keys",
]

SPACES: dict[str, Space] = {
    "softmax": SoftmaxSpace(),
    "feature": FeatureSpace(),
    "hash": HashSpace(),
}
