"""Sums of the figures of merit over batches of queries, overall and per class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinsight.contracts.evaluation import ClassFigures, EvaluationRow
from kinsight.spaces import SPACES as SINGLE_SPACES
from kinsight.spaces import Column
from trainer.evaluation import Queries, average_precision, precision_at

SPACES = (*SINGLE_SPACES, "auto")
CUTS = (1, 5, 10, 100)


def bytes_per_image(space: str, *, classes: int, feature_dimensions: int, code_bits: int) -> int:
    """Bytes of what a space compares of each image; `auto` compares code and feature."""
    columns: dict[Column, int] = {
        "probabilities": 4 * classes,
        "feature": 4 * feature_dimensions,
        "code": (code_bits + 7) // 8,
    }
    if space == "auto":
        return columns["code"] + columns["feature"]
    return columns[SINGLE_SPACES[space].column]


@dataclass(frozen=True)
class Found:
    """What N queries found in one space under one routing mode.

    relevant: (N, depth), see `evaluation.relevance`. compared: (N,) rows. milliseconds: (N,).
    routing_recall, hash_recall: (N,), see `evaluation.recall`. precision_all: (N,) average
    precision over all rows. What is None was not measured.
    """

    relevant: NDArray[np.bool_]
    compared: NDArray[np.float64]
    milliseconds: NDArray[np.float64] | None = None
    routing_recall: NDArray[np.float64] | None = None
    hash_recall: NDArray[np.float64] | None = None
    precision_all: NDArray[np.float64] | None = None


class Tally:
    """Sums up one space under one routing mode, batch by batch."""

    def __init__(self, space: str, routing: str, bytes_per_image: int = 0) -> None:
        self.space, self.routing = space, routing
        self._bytes_per_image = bytes_per_image
        self._per_class: dict[str, _Sums] = {}
        self._wrong = np.zeros(2)
        self._others: dict[str, float] = {}

    def add(self, queries: Queries, found: Found) -> None:
        figures = np.column_stack(
            [
                np.ones(len(queries.labels)),
                *(precision_at(found.relevant, k) for k in CUTS),
                average_precision(found.relevant, queries.possible),
            ]
        )
        for label, row in zip(queries.labels, figures, strict=True):
            self._per_class.setdefault(label, _Sums()).values += row
        self._wrong += [queries.top1_wrong.sum(), queries.top5_wrong.sum()]
        others = {
            "compared_mean": found.compared,
            "milliseconds_mean": found.milliseconds,
            "routing_recall": found.routing_recall,
            "hash_recall": found.hash_recall,
            "map_all": found.precision_all,
        }
        for name, values in others.items():
            if values is not None:
                self._others[name] = self._others.get(name, 0.0) + float(values.sum())

    def row(self, *, per_class: bool = True) -> EvaluationRow:
        """The means over all queries; of at least one."""
        whole = _Sums()
        for sums in self._per_class.values():
            whole.values += sums.values
        count = whole.values[0]
        return EvaluationRow(
            space=self.space,
            routing=self.routing,
            bytes_per_image=self._bytes_per_image,
            top1_error=self._wrong[0] / count,
            top5_error=self._wrong[1] / count,
            per_class={
                label: sums.means() for label, sums in sorted(self._per_class.items()) if per_class
            },
            **whole.means().model_dump(exclude={"queries"}),
            **{name: total / count for name, total in self._others.items()},
        )


class _Sums:
    """Over the queries of one class: their number, P@k for each cut, average precision."""

    def __init__(self) -> None:
        self.values = np.zeros(1 + len(CUTS) + 1)

    def means(self) -> ClassFigures:
        count = self.values[0]
        p_at_1, p_at_5, p_at_10, p_at_100, average = self.values[1:] / count
        return ClassFigures(
            queries=int(count),
            p_at_1=p_at_1,
            p_at_5=p_at_5,
            p_at_10=p_at_10,
            p_at_100=p_at_100,
            map=average,
        )
