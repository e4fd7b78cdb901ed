"""Routing: which class tables a query scans (CBIR paper, §3: the argmax table; and beyond)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinsight.contracts.models import RetrievalSettings
from kinsight.contracts.search import RoutingMode
from kinsight.errors import ClassNotFound


@dataclass(frozen=True)
class Route:
    """The classes whose tables are scanned, most probable first."""

    mode: RoutingMode
    class_ids: list[int]
    probability: float


def route(
    mode: RoutingMode,
    probabilities: NDArray[np.float32],
    filled: Collection[int],
    settings: RetrievalSettings,
    named: Sequence[int] = (),
) -> Route:
    """Chooses among the classes by the query's probabilities, shape (K,).

    argmax: the one most probable class, even when its table is empty, as in the paper.
    adaptive: filled tables by falling probability, until all classes passed over or taken sum to
    `routing_threshold`, at most `routing_limit` tables, at least one where any is filled.
    all: every filled table. named: the caller's classes.
    Equal probabilities go by class id, so that the same query always scans the same tables.
    """
    order = [int(i) for i in np.argsort(-probabilities, kind="stable")]
    chosen = {
        RoutingMode.ARGMAX: lambda: order[:1],
        RoutingMode.ADAPTIVE: lambda: _adaptive(order, probabilities, filled, settings),
        RoutingMode.ALL: lambda: [i for i in order if i in filled],
        RoutingMode.NAMED: lambda: sorted(named, key=order.index),
    }[mode]()
    return Route(mode, chosen, float(probabilities[chosen].sum(dtype=np.float64)))


def _adaptive(
    order: list[int],
    probabilities: NDArray[Any],
    filled: Collection[int],
    settings: RetrievalSettings,
) -> list[int]:
    chosen: list[int] = []
    reached = 0.0
    for class_id in order:
        enough = reached >= settings.routing_threshold or len(chosen) >= settings.routing_limit
        if chosen and enough:
            break
        reached += float(probabilities[class_id])
        if class_id in filled:
            chosen.append(class_id)
    return chosen


def class_ids(names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """The ids of named classes; raises ClassNotFound naming those the model knows.

    A name may be several with commas in between, unless a class has that very name.
    """
    known = {name: i for i, name in enumerate(classes)}
    single = [
        part for name in names for part in ([name] if name in known else name.split(",")) if part
    ]
    for name in single:
        if name not in known:
            shown = ", ".join(classes[:20]) + (", …" if len(classes) > 20 else "")
            raise ClassNotFound(f"The library's model knows no class {name!r}; it knows {shown}.")
    return list(dict.fromkeys(known[name] for name in single))
