"""What a search with the model's settings finds: space `auto`, adaptive routing (design §5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinsight.contracts.models import RetrievalSettings
from kinsight.networks import EmbeddingArrays
from kinsight.spaces import SPACES, distances
from trainer.training.calibration import tables_scanned


def nearest(
    query: EmbeddingArrays,
    database: EmbeddingArrays,
    settings: RetrievalSettings,
    feature_metric: str,
    count: int,
) -> list[tuple[int, float]]:
    """Rows of the database with their distance, nearest first.

    query: one image's outputs, without the first axis. Each row lies in the table of its most
    probable class; where the scanned tables are empty there is nothing.
    """
    probabilities = query.probabilities
    tables = tables_scanned(
        probabilities[None], settings.routing_threshold, settings.routing_limit
    )[0]
    scanned = np.argsort(-probabilities, kind="stable")[:tables]
    rows = np.flatnonzero(np.isin(database.probabilities.argmax(axis=1), scanned))
    hamming = distances("hamming", query.code, database.code[rows])
    if len(rows) > settings.shortlist:
        # All that tie with the last of the shortlist.
        furthest = np.partition(hamming, settings.shortlist - 1)[settings.shortlist - 1]
        rows = rows[hamming <= furthest]
    metric = SPACES["feature"].metric(feature_metric)
    far: NDArray[np.float64] = distances(metric, query.feature, database.feature[rows])
    best = np.lexsort((rows, far))[:count]
    return [(int(rows[i]), float(far[i])) for i in best]
