"""The curve of a run, kept in a file so that a resumed run has all of it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pydantic import ValidationError

from kinsight.contracts.models import CurvePoint


class CurveLog:
    """NDJSON, one point a line. A point takes back the points from its iteration on: the run went
    on from a checkpoint before them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.points: list[CurvePoint] = []
        written = path.read_text() if path.exists() else ""
        for line in written.splitlines():
            self._take(line)
        # The process may have been killed in the middle of a line.
        self._between = "\n" if written and not written.endswith("\n") else ""

    def add(self, point: CurvePoint) -> None:
        self._append(point)
        # A full disk costs a resumed run these points, not this run its end.
        with contextlib.suppress(OSError), self._path.open("a") as file:
            file.write(f"{self._between}{point.model_dump_json()}\n")
            self._between = ""

    def _take(self, line: str) -> None:
        try:
            self._append(CurvePoint.model_validate_json(line))
        except ValidationError:
            return  # half a line

    def _append(self, point: CurvePoint) -> None:
        while self.points and self.points[-1].iteration >= point.iteration:
            self.points.pop()
        self.points.append(point)
