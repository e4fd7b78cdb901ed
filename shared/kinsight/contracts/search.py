"""Search: what is asked and what is answered."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from kinsight.contracts.base import Wire


class SpaceName(StrEnum):
    SOFTMAX = "softmax"
    FEATURE = "feature"
    HASH = "hash"
    AUTO = "auto"


class RoutingMode(StrEnum):
    ARGMAX = "argmax"
    ADAPTIVE = "adaptive"
    ALL = "all"
    NAMED = "named"


class ClassProbability(Wire):
    class_: str = Field(alias="class")
    probability: float


class Routing(Wire):
    mode: RoutingMode
    classes: list[str] = Field(description="Classes whose tables were scanned.")
    probability: float = Field(description="Summed probability of those classes.")
    compared: int = Field(description="Rows compared with the query.")
    library_size: int = Field(description="Rows in all class tables of the live index.")


class Hit(Wire):
    image_id: str
    class_: str = Field(alias="class", description="Predicted class: the table it was found in.")
    label: str | None = Field(description="What a person called it.")
    distance: float
    similarity: float = Field(description="1 / (1 + distance).")
    filename: str
    content_url: str
    thumbnail_url: str


class Query(Wire):
    width: int
    height: int
    classes: list[ClassProbability]


class IndexAnswer(Wire):
    """What the indexer knows of a search; the gateway adds the picture's part."""

    library: str
    model: str
    match: bool = Field(
        description="False when nothing in the library is as near as a picture of one of its "
        "classes should be, by the distances seen on validation images."
    )
    classes: list[ClassProbability]
    routing: Routing
    hits: list[Hit]
    search_ms: float


class SearchAnswer(Wire):
    library: str
    model: str
    space: SpaceName
    match: bool
    query: Query
    routing: Routing
    hits: list[Hit]
    timings_ms: dict[str, float] = Field(
        description="queue, decode, embed and search add up to total, but for transfer: "
        "the time between the services."
    )
    device: str
