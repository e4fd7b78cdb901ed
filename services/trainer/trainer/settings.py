"""Settings of the trainer."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from pydantic import Field

from kinsight.web.settings import Settings


class TrainerSettings(Settings):
    """What every service has, and the trainer's own."""

    evaluation_batch: int = 64
    weights_check_seconds: float = 300.0
    weights_check_bytes: int = 16 << 30  # memory for reading one file of weights
    trainer_processes: int | None = Field(
        default=None,
        ge=1,
        description="Processes that train a model together; null: one for each CUDA device, one on "
        "the CPU.",
    )

    @classmethod
    def of(cls, settings: Settings | None) -> TrainerSettings:
        return cls(**settings.model_dump()) if settings else cls()

    @property
    def scratch(self) -> Path:
        """The folder of files that no job needs once it has ended."""
        if self.data_dir:
            return self.data_dir / "scratch"
        # Two instances on one machine clean up after their own jobs only.
        instance = hashlib.sha256(self.database_url.encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"kinsight-scratch-{instance}"
