"""Routing as the indexer does it (design §5), for whole blocks of queries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinsight.contracts.models import RetrievalSettings

ROUTINGS = ("argmax", "adaptive", "all")
"""Everything a search can be asked for but named classes."""


def routed_tables(
    probabilities_QK: NDArray[np.float32],
    filled_K: NDArray[np.bool_],
    settings: RetrievalSettings,
    mode: str,
) -> NDArray[np.bool_]:
    """(Q, K): whether a query scans a class's table; equal probabilities go by class number.

    argmax: the most probable class, even when its table is empty. adaptive: filled tables by
    falling probability, until all classes passed over or taken sum to the threshold, at most
    `routing_limit`, at least one where any is filled. all: every filled table.
    """
    order = np.argsort(-probabilities_QK, axis=1, kind="stable")
    if mode == "all":
        chosen = filled_K[order]
    elif mode == "argmax":
        chosen = np.zeros(order.shape, dtype=np.bool_)
        chosen[:, 0] = True
    else:
        falling = np.take_along_axis(probabilities_QK.astype(np.float64), order, axis=1)
        filled = filled_K[order]
        reached = np.cumsum(falling, axis=1) - falling
        taken: NDArray[np.int64] = np.cumsum(filled, axis=1) - filled
        going_on = (reached < settings.routing_threshold) & (taken < settings.routing_limit)
        chosen = filled & (going_on | (taken == 0))
    tables = np.zeros(order.shape, dtype=np.bool_)
    np.put_along_axis(tables, order, chosen, axis=1)
    return tables
