"""Settings of the admin service."""

from __future__ import annotations

from kinsight.web.settings import Settings


class AdminSettings(Settings):
    """What every service has, and how the SLA is measured."""

    sla_sample_seconds: float = 5.0
    watch_seconds: float = 30.0  # how old the metrics of quality and room may be
    sla_thin_after_hours: float = 24.0
    sla_keep_days: float = 30.0
    free_bytes_wanted: int = 5 << 30  # below this much room the doctor warns

    @classmethod
    def of(cls, settings: Settings | None) -> AdminSettings:
        return cls(**settings.model_dump()) if settings else cls()
