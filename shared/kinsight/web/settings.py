"""Settings, read from KINSIGHT_* variables when a service is created."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """One set for every service: only these differ between embedded, Compose and cluster."""

    model_config = SettingsConfigDict(env_prefix="KINSIGHT_", extra="ignore", frozen=True)

    database_url: str = "postgresql://kinsight@localhost/kinsight"
    broker_url: str | None = None  # None: jobs are announced through the database itself
    store_url: str = "file:///var/lib/kinsight/store"

    gateway_url: str = "http://127.0.0.1:8000"
    extractor_url: str = "http://127.0.0.1:8001"
    indexer_url: str = "http://127.0.0.1:8002"
    trainer_url: str = "http://127.0.0.1:8003"
    admin_url: str = "http://127.0.0.1:8004"

    api_keys: Annotated[list[str], NoDecode] = []
    ingest_roots: Annotated[list[str], NoDecode] = []
    fetch_private_addresses: bool = False  # image_url and urls may name hosts of this network

    max_image_bytes: int = 32 << 20
    max_image_pixels: int = 100_000_000
    max_upload_bytes: int = 64 << 30
    request_seconds: float = 60.0

    job_lease_seconds: float = 10.0
    job_attempts: int = 20
    data_dir: Path | None = None

    @field_validator("api_keys", mode="before")
    @classmethod
    def _comma_separated(cls, value: Any) -> Any:
        return (
            [k.strip() for k in value.split(",") if k.strip()] if isinstance(value, str) else value
        )

    @field_validator("ingest_roots", mode="before")
    @classmethod
    def _path_separated(cls, value: Any) -> Any:
        return [p for p in value.split(os.pathsep) if p] if isinstance(value, str) else value
