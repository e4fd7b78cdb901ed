"""What an evaluation of a model says: precision, error and cost, per space and routing."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from kinsight.contracts.base import Wire


class ClassFigures(Wire):
    """The queries of one class, in one space under one routing mode."""

    queries: int
    p_at_1: float
    p_at_5: float
    p_at_10: float
    p_at_100: float
    map: float


class EvaluationRow(Wire):
    """One space under one routing mode: means over all queries."""

    space: str
    routing: str
    p_at_1: float
    p_at_5: float
    p_at_10: float
    p_at_100: float = 0.0
    map: float = Field(description="Mean average precision over the first 100 hits.")
    map_all: float | None = Field(
        default=None, description="Mean average precision over all rows, where it was computed."
    )
    top1_error: float = Field(description="Of the network's own prediction; the same in each row.")
    top5_error: float = 0.0
    routing_recall: float | None = Field(
        default=None,
        description="Share of the top 10 of routing `all` in this space that this routing keeps.",
    )
    hash_recall: float | None = Field(
        default=None,
        description="In `auto`: share of the top 10 of `feature` under this routing that is kept.",
    )
    bytes_per_image: int = Field(default=0, description="Of what this space compares, unpadded.")
    compared_mean: float
    milliseconds_mean: float | None = Field(
        default=None, description="Of the search, without embedding; unknown where none was timed."
    )
    per_class: dict[str, ClassFigures] = Field(
        default_factory=dict, description="By the queries' label."
    )


class ClassErrors(Wire):
    """How the network itself classifies the queries of one label."""

    queries: int
    top1_error: float
    top5_error: float


class Evaluation(Wire):
    library: str
    model: str
    queries: int
    results: list[EvaluationRow]
    queries_from: Literal["held-out", "folder"] = "held-out"
    crops: int = Field(default=1, description="Crops that each query was embedded by.")
    skipped: int = Field(default=0, description="Queries that could not be read, or lack a label.")
    near_duplicates: int = Field(
        default=0,
        description="Queries left out because the library (of held-out queries: its other images, "
        "which the model may have been trained on) holds nearly the same picture.",
    )
    unknown_labels: dict[str, int] = Field(
        default_factory=dict, description="Queries per label that no image of the library has."
    )
    per_class: dict[str, ClassErrors] = Field(
        default_factory=dict, description="By the queries' label."
    )
    confusion: dict[str, dict[str, int]] = Field(
        default_factory=dict,
        description="Queries per label and predicted class: confusion[label][predicted].",
    )
    embed_milliseconds_mean: float | None = Field(
        default=None, description="Reading, decoding and embedding, per query, in batches."
    )
    measured_at: datetime | None = None

    def brief(self) -> Evaluation:
        """Without what is said of each class: of a thousand classes that is megabytes."""
        rows = [row.model_copy(update={"per_class": {}}) for row in self.results]
        return self.model_copy(update={"results": rows, "per_class": {}, "confusion": {}})
