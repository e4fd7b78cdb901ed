"""Printing: answers on stdout, everything said on the way on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.table import Table

    from kinsight.errors import KinsightError

_WIDE = 400  # columns where nobody looks: a pipe must not get wrapped or shortened lines


@dataclass(frozen=True)
class Output:
    """Where a command's answer goes: one JSON document, or text for people."""

    json: bool

    def document(self, document: BaseModel | dict[str, Any]) -> None:
        """The one JSON document of a command."""
        if not isinstance(document, dict):
            document = document.model_dump(mode="json", by_alias=True)
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def line(self, text: str) -> None:
        """A line of the answer for people."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Columns whose name begins with `>` are set to the right."""
        # rich takes half of the start-up time of the command line: load it where it prints.
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
        for column in columns:
            right = column.startswith(">")
            table.add_column(
                Text(column.removeprefix(">")),
                justify="right" if right else "left",
                overflow="fold",
            )
        for row in rows:
            table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
        self._print(table)

    def facts(self, facts: Mapping[str, object]) -> None:
        """Names and values below each other; what is nested is written in one line."""
        width = max(map(len, facts), default=0)
        for name, value in facts.items():
            self.line(f"{name:{width}}   {_flat(value)}".rstrip())

    def _print(self, table: Table) -> None:
        from rich.console import Console  # as above

        console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
        with console.capture() as captured:
            console.print(table)
        for line in captured.get().splitlines():
            self.line(line.rstrip())


def note(text: str) -> None:
    """Something said on the way."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def refuse(error: KinsightError, as_json: bool) -> None:
    """The problem object: as the one JSON document, or title and detail for people."""
    if as_json:
        Output(True).document(error.problem())
        return
    note(f"{error.title}: {error.detail}")
    for item in error.extensions.get("errors") or []:
        note(f"  {item.get('in')}: {item.get('message')}" if isinstance(item, dict) else str(item))


def figure(value: float) -> str:
    """A measured value: 0.9817, 42.1, 270,900."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _flat(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_flat(part)}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_flat, value))
    return "" if value is None else str(value)


def count(number: int) -> str:
    return f"{number:,}"


def seconds(value: float | None) -> str:
    """A duration as a person says it: 42 s, 3:05 min, 1:02:09 h."""
    if value is None:
        return ""
    whole = round(value)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02} h"
    return f"{minutes}:{rest:02} min" if minutes else f"{rest} s"
