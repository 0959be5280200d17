"""The rows of the benchmark table and how they print. Owns no measuring."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_HEAD = ("what", "figure", "unit", "floor", "ratio", "goal", "met")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `floor` is what the bare tool does in the same run, `ratio` what the goal is
    about (None: there is none), `met` whether the goal is reached (None: no goal)."""

    name: str
    figure: float
    unit: str
    floor: float | None = None
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        met = "" if self.met is None else ("yes" if self.met else "NO")
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        floor = "" if self.floor is None else number(self.floor)
        return self.name, number(self.figure), self.unit, floor, ratio, self.goal, met


def number(value: float) -> str:
    """Three digits that matter: 0.0123, 4.56, 78.9, 12,345."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def markdown(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table, its columns in line for those who read it as text."""
    cells = [_HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
