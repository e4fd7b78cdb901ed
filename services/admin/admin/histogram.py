"""Quantiles of a histogram's buckets."""

from __future__ import annotations

import math
from collections.abc import Mapping


def quantile(q: float, buckets: Mapping[float, float]) -> float | None:
    """The value that a share q of the observations does not exceed; None without observations.

    buckets: upper bound → observations up to it (cumulative; the last bound is infinity). Linear
    within a bucket, as Prometheus' histogram_quantile: bound_{i-1} + (bound_i − bound_{i-1}) ·
    (q·n − count_{i-1}) / (count_i − count_{i-1}). Beyond the last finite bound: infinity.
    """
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] <= 0:
        return None
    rank = q * buckets[bounds[-1]]
    lower, below = 0.0, 0.0
    for bound in bounds:
        count = buckets[bound]
        if count >= rank and count > below:
            if math.isinf(bound):
                return math.inf
            return lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return math.inf
