"""Figures as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime


def part(value: float | None, *, digits: int = 1) -> str:
    """A part of 1 in per cent: 97.3 %."""
    return "–" if value is None else f"{value * 100:.{digits}f} %"


def duration(seconds: float) -> str:
    """42 s, 3 min 5 s, 1 h 2 min."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def settings(options: dict[str, object]) -> str:
    """Options in one line: towers 2, pooling overlapping."""
    return ", ".join(f"{name} {_plain(value)}" for name, value in options.items()) or "–"


def _plain(value: object) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
