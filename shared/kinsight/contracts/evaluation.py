"""What an evaluation of a model says: precision, error and cost, per space and routing."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from kinsight.contracts.base import Wire


class EvaluationRow(Wire):
    """One space under one routing mode."""

    space: str
    routing: str
    p_at_1: float
    p_at_5: float
    p_at_10: float
    map: float = Field(description="Mean average precision over the first 100 hits.")
    top1_error: float
    compared_mean: float
    milliseconds_mean: float


class Evaluation(Wire):
    library: str
    model: str
    queries: int
    results: list[EvaluationRow]
    skipped: int = Field(default=0, description="Queries that could not be read, or lack a label.")
    unknown_labels: dict[str, int] = Field(
        default_factory=dict, description="Queries per label that no image of the library has."
    )
    measured_at: datetime | None = None
