"""Settings of the extractor alone, read from KINSIGHT_* variables when the service is created."""

from __future__ import annotations

import os

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _half_the_cores() -> int:
    return max(1, usable_cores() // 2)


class ExtractorOptions(BaseSettings):
    """All have working defaults; an operator changes them to fit a machine."""

    model_config = SettingsConfigDict(env_prefix="KINSIGHT_", extra="ignore", frozen=True)

    device: str = "auto"  # `cuda`, `cuda:1`, `cpu`; auto: CUDA where there is one
    # Threads that share one batch; on a CPU so many batches run at once as the cores allow. Not
    # all cores for one batch: its threads wait for one another at every layer, so when anything
    # else runs, one that lost its core holds up all (seen on 2 busy cores: 22 ms with 1 thread,
    # 80 to 1,800 ms with 2; on 2 idle cores 10 against 7 ms).
    torch_threads: int = Field(default_factory=_half_the_cores, ge=1)
    loaded_models: int = Field(default=3, ge=1)
    decode_workers: int = Field(default_factory=usable_cores, ge=1)
    decode_seconds: float = Field(default=10.0, gt=0)  # a decode that takes longer is given up

    search_queue: int = Field(default=64, ge=1)  # searches and previews in hand at once
    search_body_bytes: int = 256 << 20  # and the bytes of their bodies together
    search_seconds: float = 10.0  # how long a search may wait for the device
    bulk_requests: int = Field(default=16, ge=1)
    bulk_seconds: float = 120.0
    batch_seconds: float = 0.075  # what one batch may take: the longest a search waits behind
