"""How long running jobs have shown no progress."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping


class Stalls:
    """Remembers when each running job was last seen to move.

    From outside the workers, so that one that hangs, or whose machine is gone, is noticed, too.
    """

    def __init__(self) -> None:
        self._moved: dict[str, tuple[str, float]] = {}

    def seconds(self, positions: Mapping[str, tuple[str, str]], now: float) -> dict[str, float]:
        """By kind, how long the running job that has stood still longest has done so.

        positions: of every running job its kind, and how far it has come. now: in seconds, on
        any clock that only goes forward.
        """
        longest: dict[str, float] = defaultdict(float)
        moved = {}
        for job, (kind, position) in positions.items():
            before, since = self._moved.get(job, (None, now))
            moved[job] = (position, since if position == before else now)
            longest[kind] = max(longest[kind], now - moved[job][1])
        self._moved = moved
        return dict(longest)
