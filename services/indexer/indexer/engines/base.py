"""The engine port: the nearest rows among some class tables of an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.indexes import Index
from kinsight.contracts.search import SpaceName
from kinsight.database import Connection


@dataclass(frozen=True)
class QueryVectors:
    """The three outputs of the model for the query image."""

    probabilities: NDArray[np.float32]  # (K,)
    feature: NDArray[np.float32]  # (d,)
    code: NDArray[np.uint8]  # (⌈n/8⌉,), packed


@dataclass(frozen=True)
class Neighbour:
    image_id: int
    class_id: int
    distance: float


class Engine(Protocol):
    """Every engine gives the same answer: nearest first, equal distances by `spaces.tie_keys`."""

    async def search(
        self,
        connection: Connection,
        index: Index,
        query: QueryVectors,
        *,
        space: SpaceName,
        class_ids: Sequence[int],
        k: int,
        exclude: Sequence[int] = (),
    ) -> list[Neighbour]:
        """The k nearest rows of the class tables named; `exclude`: images to leave out.

        In `auto` the candidates are all rows whose Hamming distance is at most that of the
        `shortlist`-th nearest code (ties included), ordered by distance of the feature.
        """
        ...
