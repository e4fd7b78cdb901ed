"""The curve of a run, kept in a file so that a resumed run has all of it."""

from __future__ import annotations

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
        if path.exists():
            for line in path.read_text().splitlines():
                self._take(line)

    def add(self, point: CurvePoint) -> None:
        self._append(point)
        with self._path.open("a") as file:
            file.write(point.model_dump_json() + "\n")

    def _take(self, line: str) -> None:
        try:
            self._append(CurvePoint.model_validate_json(line))
        except ValidationError:
            return  # half a line, written when the process was killed

    def _append(self, point: CurvePoint) -> None:
        while self.points and self.points[-1].iteration >= point.iteration:
            self.points.pop()
        self.points.append(point)
