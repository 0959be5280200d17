"""What is wrong with a file: where, what, and what to write instead. Pure.

Owns how that is told. Never shows a card's number, a PIN, a name or a phone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


class DirectoryError(Exception):
    """The command can't be carried out as things are; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file, or a sheet, row (from 1, as the spreadsheet counts) and column in it."""

    file: str
    sheet: str = ""
    row: int = 0
    column: str = ""

    def at(self, row: int, column: str = "") -> Place:
        return replace(self, row=row, column=column)

    def __str__(self) -> str:
        parts = [self.file]
        if self.sheet:
            parts.append(f"sheet {self.sheet}")
        if self.row:
            parts.append(f"row {self.row}")
        if self.column:
            parts.append(f"column {self.column}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Problem:
    place: Place
    what: str
    instead: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what} (instead: {self.instead})"


class FileError(Exception):
    """A file or sheet that can't be read as a whole."""

    def __init__(self, place: Place, what: str, instead: str) -> None:
        self.problem = Problem(place, what, instead)
        super().__init__(str(self.problem))
