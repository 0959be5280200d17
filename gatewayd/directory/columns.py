"""What a column is, and what the cells of one hold. Pure; owns no table.

A reading takes a cell and what is known of the site and of the tables before; it raises CellError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, tzinfo
from typing import Any

from gatewayd.directory import cells, hours
from gatewayd.directory.cells import Cell, CellError
from gatewayd.directory.words import Language, Words

DOORS = "door"  # the kind of thing that the settings name, not the list


class Names:
    """The ids of one kind of thing, and the names that stand for one of them alone."""

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        self._ids: set[str] = set()
        self._by_name: dict[str, set[str]] = {}
        for known, name in (names or {}).items():
            self.add(known, name)

    def add(self, known: str, name: str = "") -> None:
        self._ids.add(known)
        if name:
            self._by_name.setdefault(name, set()).add(known)

    def __contains__(self, known: str) -> bool:
        return known in self._ids

    def find(self, wanted: str) -> str | None:
        """The id that is meant, by itself or by a name. Raises CellError for a name of several."""
        if wanted in self._ids:
            return wanted
        named = self._by_name.get(wanted, set())
        if len(named) > 1:
            raise CellError("several have this name", f"an id: {', '.join(sorted(named))}")
        return next(iter(named), None)


@dataclass(slots=True)
class Reading:
    """What reading a cell needs to know; `names` are by kind, DOORS among them."""

    zone: tzinfo
    pin_key: bytes | None = field(default=None, repr=False)
    names: dict[str, Names] = field(default_factory=dict)

    def refer(self, kind: str, wanted: str) -> str:
        """The id of what a cell names. Raises CellError where the list has no such thing."""
        found = self.names[kind].find(wanted)
        if found is None:
            raise CellError(f"there is no {kind} {wanted!r}", f"the id of a {kind} that there is")
        return found


Read = Callable[[Cell, Reading], Any]


@dataclass(frozen=True, slots=True)
class Column:
    """`key` names it in the code; `headers` are its English and its Chinese one, then others that
    are understood. A `required` one must be there; of a `secret` one no message quotes a cell."""

    key: str
    headers: tuple[str, ...]
    what: str
    read: Read
    required: bool = False
    secret: bool = False

    def header(self, language: Language) -> str:
        return self.headers[0 if language is Language.ENGLISH else 1]


def column(
    headers: str, what: str, read: Read, *, required: bool = False, secret: bool = False
) -> Column:
    """A column whose headers are written with | between them."""
    known = tuple(headers.split("|"))
    return Column(known[0].replace(" ", "_"), known, what, read, required, secret)


@dataclass(frozen=True, slots=True)
class Table:
    """`names` are those of its sheet or CSV file: English, Chinese, then others understood.
    `kind` is the type of its records (docs/reference/mqtt.md)."""

    kind: str
    names: tuple[str, ...]
    what: str
    columns: tuple[Column, ...]

    def title(self, language: Language) -> str:
        return self.names[0 if language is Language.ENGLISH else 1]

    def column(self, header: Cell) -> Column | None:
        """The column that a header names, however it is spaced and capitalised."""
        wanted = plain(str(header))
        for known in self.columns:
            if any(plain(one) == wanted for one in known.headers):
                return known
        return None


def plain(header: str) -> str:
    """A header or name without what people write differently: case, spaces, _ and -."""
    return re.sub(r"[\s_\-\u3000*]+", "", header).lower()


# ------------------------------------------------------------------------------- readings


def raw(cell: Cell, _reading: Reading) -> Cell:
    """As it stands: what it means depends on the cells beside it."""
    return cell


def text(cell: Cell, _reading: Reading) -> str:
    return cells.text(cell)


def filled(cell: Cell, _reading: Reading) -> str:
    """A text that must say something."""
    found = cells.text(cell)
    if not found:
        raise CellError("it is empty", "a name")
    return found


def id_(cell: Cell, _reading: Reading) -> str:
    return cells.id_(cell)


def ids(cell: Cell, _reading: Reading) -> list[str]:
    """Ids of things that may stand further down."""
    return [cells.id_(wanted) for wanted in cells.names(cell)]


def yes(cell: Cell, _reading: Reading) -> bool:
    return cells.yes(cell)


def count(cell: Cell, _reading: Reading) -> int | None:
    return cells.count(cell)


def day(cell: Cell, _reading: Reading) -> date | None:
    return cells.day(cell)


def beginning(cell: Cell, reading: Reading) -> int | None:
    return cells.moment(cell, reading.zone, end=False)


def end(cell: Cell, reading: Reading) -> int | None:
    return cells.moment(cell, reading.zone, end=True)


def hours_of_day(cell: Cell, _reading: Reading) -> hours.Spans:
    return hours.hours(cell)


def special_days(cell: Cell, reading: Reading) -> list[dict[str, Any]]:
    return hours.special_days(cell, lambda wanted: reading.refer("calendar", wanted))


def doors(cell: Cell, reading: Reading) -> list[str]:
    """Ids, or names of the settings' doors. Another box may have the door: an id is enough."""
    known = reading.names[DOORS]
    return [known.find(wanted) or cells.id_(wanted) for wanted in cells.names(cell)]


def word(words: Words) -> Read:
    return lambda cell, _reading: words.read(cell)


def word_or_text(words: Words) -> Read:
    return lambda cell, _reading: words.read_or_keep(cell)


def one(kind: str) -> Read:
    return lambda cell, reading: reading.refer(kind, cells.text(cell))


def several(kind: str) -> Read:
    return lambda cell, reading: [reading.refer(kind, wanted) for wanted in cells.names(cell)]
