"""Bulk ingest: what the gateway hands to the indexer once the bytes are in the store."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from kinsight.contracts.base import Wire


class IngestRequest(Wire):
    """Exactly one of upload, folder and urls."""

    upload: str | None = Field(default=None, description="Store key of a zip or tar archive.")
    folder: str | None = None
    urls: list[str] | None = Field(default=None, max_length=10_000)
    labels: Literal["folders", "none"] = "folders"


class ModelUse(Wire):
    """Which libraries are searched with a model, or could be."""

    live: list[str]
    previous: list[str]
    candidate: list[str] = Field(
        default_factory=list, description="Indexed beside the live index, to be evaluated."
    )


class BatchAnswer(Wire):
    """One query of `search-batch`: what evaluation needs of it."""

    image_ids: list[int]
    labels: list[str | None]
    distances: list[float]
    compared: int
    search_ms: float


class BatchAnswers(Wire):
    answers: list[BatchAnswer]
