"""A table's column as bars."""

from __future__ import annotations

from trainer.reproduce.report import Picture, Row, Table, Value


def bar_picture(
    table: Table, key: str, *, file: str = "table.png", form: str = "{:.2f}"
) -> Picture:
    """The paper's values of one measure beside ours, for every row that has either."""
    from trainer.plots.bars import bars  # matplotlib takes half a second to load

    measure = next(one for one in table.measures if one.key == key)
    rows = [row for row in table.rows if any(_pair(row, key))]
    title = f"{table.title}: {measure.heading}"
    png = bars(
        [row.name for row in rows],
        ["paper", "ours"],
        [_pair(row, key) for row in rows],
        title=title,
        form=form,
    )
    return Picture(file, f"{title}; the paper's and ours.", png)


def number(value: Value) -> float | None:
    """None where it is no number."""
    return float(value) if isinstance(value, (int, float)) else None


def _pair(row: Row, key: str) -> list[float | None]:
    return [number(row.paper.get(key)), number(row.ours.get(key))]
