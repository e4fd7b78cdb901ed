"""Engines (★): what finds the nearest rows; one file per engine."""

from __future__ import annotations

from indexer.engines.base import Engine, Neighbour, QueryVectors
from indexer.engines.sql import SqlEngine

__all__ = ["ENGINES", "Engine", "Neighbour", "QueryVectors", "SqlEngine"]

ENGINES: dict[str, Engine] = {"sql": SqlEngine()}
