"""How many inputs of a network go best together, learned while it works."""

from __future__ import annotations

_FIRST_ROWS = 4
_SAMPLES = 4
_DECISIONS_REMEMBERED = 100


class Pace:
    """The batch size with the highest throughput among those that keep within their time.

    Sizes are tried by doubling. Larger is not always quicker: on a CPU the activations of a large
    batch no longer fit the cache. What was learned is forgotten now and then, because a machine
    is not equally busy all day.
    """

    def __init__(self, batch_seconds: float, *, most_rows: int = 256) -> None:
        self.rows = min(_FIRST_ROWS, most_rows)
        self._batch_seconds = batch_seconds
        self._most_rows = most_rows
        self._seconds_per_row: dict[int, float] = {}
        self._samples: list[float] = []
        self._decisions = 0

    def observe(self, rows: int, seconds: float) -> None:
        """After every batch; only those of the present size say something."""
        if rows != self.rows:
            return
        self._samples.append(seconds / rows)
        if len(self._samples) < _SAMPLES:
            return
        # Their mean, not the least: a short batch slips in between interruptions more often than
        # a long one, which makes it no quicker on the whole.
        self._seconds_per_row[rows] = sum(self._samples) / len(self._samples)
        self._samples.clear()
        self.rows = self._choose()
        self._decisions += 1
        if self._decisions % _DECISIONS_REMEMBERED == 0:
            self._seconds_per_row.clear()

    def _choose(self) -> int:
        known = self._seconds_per_row
        fitting = {r: s for r, s in known.items() if r * s <= self._batch_seconds}
        if not fitting:
            return max(1, min(known) // 2)
        best = min(fitting, key=lambda r: fitting[r])
        for neighbour in (best * 2, best // 2):
            expected = neighbour * fitting[best]
            possible = 1 <= neighbour <= self._most_rows and expected <= self._batch_seconds
            if possible and neighbour not in known:
                return neighbour
        return best
