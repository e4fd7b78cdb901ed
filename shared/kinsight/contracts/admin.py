"""What the admin service reports of the running system."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from kinsight.contracts.base import Wire


class SlaRequirement(Wire):
    """One promise, and what was measured of it."""

    name: str
    target: str = Field(examples=["< 1 s"])
    value: float | None = Field(description="Null while nothing has been measured.")
    unit: str
    ok: bool | None = Field(description="Null while nothing has been measured.")
    measured_from: datetime | None = Field(description="When the first measurement was taken.")
    measurements: int = Field(description="Searches, queries or samples behind the value.")
    advice: str | None = Field(default=None, description="What to do where `ok` is not true.")


class SlaReport(Wire):
    window_hours: float
    ok: bool | None = Field(description="False when one is missed, null when one is not measured.")
    requirements: list[SlaRequirement]


class DoctorCheck(Wire):
    """One line of the doctor's report."""

    check: str
    ok: bool
    detail: str = Field(description="What was found.")
    advice: str | None = Field(default=None, description="What to do about it.")


class DoctorReport(Wire):
    ok: bool
    checks: list[DoctorCheck]


class Cleared(Wire):
    library: str
    removed: int = Field(description="Rows taken out of the class tables; the images stay.")
