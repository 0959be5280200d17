"""Files to a list in the making: the rows of every table read, every bad one named.

Owns which tables are given and what becomes of the others: a table that is given replaces that of
the list, one that is not given stays as it is. Must not put anything in force.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from gatewayd.directory import cells, listing
from gatewayd.directory.cells import Cell, CellError
from gatewayd.directory.columns import Column, Names, Reading, Table
from gatewayd.directory.listing import KINDS, Listing, Record
from gatewayd.directory.problem import FileError, Place, Problem
from gatewayd.directory.records import BUILD, join_calendars
from gatewayd.directory.sheets import HEAD_ROWS, Row, Sheet, sheets_of
from gatewayd.directory.tables import TABLES, table_named
from gatewayd.store.whitelist_records import LineReader, WhitelistDataError

PROGRESS_ROWS = 2_000
MANY_MISSING = 5  # more are told in one line
MAX_PROBLEMS = 10_000  # that many are one mistake, made in every row
QUOTED = 40  # characters of a cell in a message

Progress = Callable[[str], None]


@dataclass(slots=True)
class Draft:
    """What the files make of the list `base`. `notices` are no mistakes, but someone should know.

    `listing` must not be used while there are `problems`.
    """

    base: Listing
    listing: dict[str, dict[str, bytes]]
    given: dict[str, Place] = field(default_factory=dict)  # by kind
    rows: dict[str, dict[str, int]] = field(default_factory=dict)  # by kind and id
    problems: list[Problem] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def bad(self, place: Place, what: str, instead: str) -> None:
        self.problems.append(Problem(place, what, instead))


def draft_of(paths: Sequence[Path], base: Listing, reading: Reading, progress: Progress) -> Draft:
    """Read all files. `reading.names` must have the settings' doors; it gets what is read."""
    draft = Draft(base, dict(base))
    with ExitStack() as stack:
        sheets = _sheets(paths, draft, stack)
        for table in TABLES:
            names = Names()
            if table.kind in sheets:
                _TableReader(table, sheets[table.kind], reading, draft, names, progress).read()
            else:
                _name_all(table.kind, base, names)
            reading.names[table.kind] = names
    _check_kept(draft, reading)
    _check_escorts(draft, reading.names["person"])
    if not draft.problems:
        _check_lines(draft)
    return draft


def _sheets(paths: Sequence[Path], draft: Draft, stack: ExitStack) -> dict[str, Sheet]:
    """The sheet of each table that is given, by its kind."""
    found: dict[str, Sheet] = {}
    for path in paths:
        try:
            sheets = sheets_of(path, _known_headers, stack)
        except FileError as error:
            draft.problems.append(error.problem)
            continue
        named = [(sheet, table_named(sheet.title)) for sheet in sheets]
        if not any(table for _, table in named):
            names = ", ".join(f"{table.names[0]} ({table.names[1]})" for table in TABLES)
            draft.bad(Place(path.name), "nothing in it has a table's name", f"one of {names}")
        for sheet, table in named:
            _take(sheet, table, found, draft)
    return found


def _take(sheet: Sheet, table: Table | None, found: dict[str, Sheet], draft: Draft) -> None:
    if table is None:
        draft.notices.append(f"{sheet.place}: not read: it has no table's name")
    elif table.kind in found:
        earlier = found[table.kind].place
        draft.bad(sheet.place, f"it is {table.names[0]} again, after {earlier}", "one of both")
    else:
        found[table.kind] = sheet
        draft.given[table.kind] = sheet.place
        if sheet.read_as:
            draft.notices.append(f"{sheet.place}: {sheet.read_as}")


def _known_headers(title: str, row: Row) -> int:
    table = table_named(title)
    if table is None:
        return 0
    return sum(not cells.is_empty(cell) and table.column(cell) is not None for cell in row)


def _name_all(kind: str, base: Listing, names: Names) -> None:
    if kind == "person":
        for id_ in base[kind]:
            names.add(id_)
    elif kind != "credential":
        for line in base[kind].values():
            record = listing.record_of(line)
            names.add(record["id"], record["name"])


# ------------------------------------------------------------------------------ one table


class _TableReader:
    """One sheet's rows into the draft. A row that is bad is named and left out; what it is called
    is remembered all the same, so that one mistake is not told again by all that refer to it."""

    def __init__(
        self,
        table: Table,
        sheet: Sheet,
        reading: Reading,
        draft: Draft,
        names: Names,
        progress: Progress,
    ) -> None:
        self._table = table
        self._sheet = sheet
        self._reading = reading
        self._draft = draft
        self._names = names
        self._progress = progress
        self._columns: list[tuple[int, Column]] = []
        self._letters: dict[str, str] = {}  # by key: the column as the sheet calls it
        self._lines: dict[str, bytes] = {}
        self._rows: dict[str, int] = {}

    def read(self) -> None:
        kind, draft = self._table.kind, self._draft
        draft.listing[kind], draft.rows[kind] = self._lines, self._rows
        rows = enumerate(self._sheet.rows, 1)
        try:
            head = list(islice(rows, HEAD_ROWS))
            after = self._header(head)
            if after is not None:
                self._read_rows(chain(head[after:], rows))
        except FileError as error:
            draft.problems.append(error.problem)

    def _read_rows(self, rows: Iterator[tuple[int, Row]]) -> None:
        for number, row in rows:
            if number % PROGRESS_ROWS == 0:
                self._progress(f"{self._sheet.place}: {number} rows read")
            if len(self._draft.problems) >= MAX_PROBLEMS:
                self._draft.notices.append(f"{self._sheet.place}: not read beyond row {number}")
                return
            self._row(number, row)

    def _header(self, head: Sequence[tuple[int, Row]]) -> int | None:
        """Find the row of headers, below a title if there is one; the index of the row after it."""
        best, row = max(head, key=lambda numbered: self._known(numbered[1]), default=(0, ()))
        known = self._known(row)
        if not known or known < min(2, len(self._table.columns)):
            told = ", ".join(f"{c.headers[0]} ({c.headers[1]})" for c in self._table.columns)
            place = self._sheet.place
            self._draft.bad(place, "there is no row with this table's headers", f"some of {told}")
            return None
        return best if self._take_columns(best, row) else None

    def _known(self, row: Row) -> int:
        return _known_headers(self._table.names[0], row)

    def _take_columns(self, number: int, row: Row) -> bool:
        """Note which cells of a row are what; False where one that must be there is not."""
        seen: set[str] = set()
        for index, cell in enumerate(row):
            if cells.is_empty(cell):
                continue
            place = self._sheet.place.at(number, _letter(index))
            column = self._table.column(cell)
            if column is None:
                told = str(cell).strip()[:QUOTED]
                self._draft.notices.append(f"{place}: the column {told!r} is not read")
            elif column.key in seen:
                self._draft.bad(place, f"a second column {column.headers[0]}", "one of both")
            else:
                seen.add(column.key)
                self._columns.append((index, column))
                self._letters[column.key] = f"{_letter(index)} ({str(cell).strip()})"
        missing = [c for c in self._table.columns if c.required and c.key not in seen]
        for column in missing:
            what = f"there is no column {column.headers[0]} ({column.headers[1]})"
            self._draft.bad(self._sheet.place.at(number), what, "one with that header")
        return not missing

    def _row(self, number: int, row: Row) -> None:
        values: dict[str, Any] = {}
        good = True
        for index, column in self._columns:
            cell = row[index] if index < len(row) else None
            if cells.is_empty(cell) and not (column.required and self._says_something(row)):
                continue
            try:
                values[column.key] = column.read(cell, self._reading)
            except CellError as error:
                good = False
                self._bad_cell(number, column, cell, error)
        if "id" in values:  # people have namesakes, and are referred to by their ids alone
            named = self._table.kind != "person"
            self._names.add(values["id"], values.get("name", "") if named else "")
        if values and good:
            self._build(number, row, values)

    def _says_something(self, row: Row) -> bool:
        return any(not cells.is_empty(row[i]) for i, _ in self._columns if i < len(row))

    def _build(self, number: int, row: Row, values: dict[str, Any]) -> None:
        try:
            record = BUILD[self._table.kind](values, self._reading)
            id_ = listing.id_of(record)
            if id_ in self._rows:
                record = self._again(id_, record)
        except CellError as error:
            found = {column.key: (index, column) for index, column in self._columns}
            index, column = found.get(error.column, (None, None))
            cell = row[index] if index is not None and index < len(row) else None
            self._bad_cell(number, column, cell, error)
            return
        self._lines[id_] = listing.line_of(record)
        self._rows.setdefault(id_, number)

    def _again(self, id_: str, record: Record) -> Record:
        """A second row of the same id: another part of a calendar, or a mistake."""
        if self._table.kind == "calendar":
            return join_calendars(listing.record_of(self._lines[id_]), record)
        column = "number" if self._table.kind == "credential" else "id"
        raise CellError(f"it stands in row {self._rows[id_]} already", "one of both", column)

    def _bad_cell(self, row: int, column: Column | None, cell: Cell, error: CellError) -> None:
        place, quoted = self._sheet.place.at(row), ""
        if column is not None:
            place = self._sheet.place.at(row, self._letters[column.key])
            if not column.secret and not cells.is_empty(cell):
                quoted = f"{str(cell)[:QUOTED]!r}: "
        self._draft.bad(place, quoted + error.what, error.instead)


def _letter(index: int) -> str:
    """As spreadsheets name columns: A to Z, then AA."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


# ------------------------------------------------------------------------- the whole list


def _check_kept(draft: Draft, reading: Reading) -> None:
    """A table that was not given may refer to what a given one no longer has."""
    for kind, targets in listing.TARGETS.items():
        if kind in draft.given or not targets & draft.given.keys():
            continue
        gone: Counter[tuple[str, str]] = Counter()
        for line in draft.listing[kind].values():
            gone.update(
                (of, id_)
                for of, id_ in listing.references(listing.record_of(line))
                if id_ not in reading.names[of]
            )
        for of in dict.fromkeys(of for of, _ in gone):
            missing = {id_: count for (whose, id_), count in gone.items() if whose == of}
            place = draft.given.get(of, Place("the list in force"))
            for what, instead in _still_referred_to(kind, of, missing):
                draft.bad(place, what, instead)


def _still_referred_to(kind: str, of: str, missing: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """What is wrong, and what to give instead: one by one, or all in one where they are many. A
    table of a few people given in the place of all of them would else hide its own mistakes."""
    if len(missing) > MANY_MISSING:
        first = ", ".join(repr(id_) for id_ in sorted(missing)[:MANY_MISSING])
        what = f"{len(missing)} {of}s are not in it, but {kind}s still refer to them: {first}, …"
        yield what, f"the whole table, since it replaces the one in force, or the {kind}s as well"
        return
    for id_, count in missing.items():
        records = f"1 {kind} record still refers" if count == 1 else f"{count} {kind} records refer"
        what = f"{of} {id_!r} is not in it, but {records} to it"
        yield what, f"its row, or give the {kind}s as well"


def _check_escorts(draft: Draft, people: Names) -> None:
    """Whoever is named may stand further down. The store takes a list whose escorts have moved out,
    since they admit nobody; in a table it is a mistake in typing."""
    if "person" not in draft.given:
        return
    for id_, row in draft.rows["person"].items():
        for other in _escorts(draft.listing, id_):
            place, what = draft.given["person"].at(row), f"there is no person {other!r}"
            if other not in people and other in _escorts(draft.base, id_):
                draft.notices.append(f"{place}: {what} any more to escort {id_!r}")
            elif other not in people:
                draft.bad(place, what, "an escort's id that there is")


def _escorts(whole: Listing, id_: str) -> list[str]:
    """Whom the list names as this person's own escorts."""
    line = whole["person"].get(id_)
    return [] if line is None else listing.record_of(line).get("escorts", [])


def _check_lines(draft: Draft) -> None:
    """The records by the same rules that the store has: what was read here must pass there."""
    reader = LineReader()
    try:
        for _ in reader.read(listing.chunks(draft.listing)):
            pass
    except WhitelistDataError as error:
        kind, id_ = _line(draft.listing, error.line or 1)
        place = draft.given.get(kind, Place("the list in force"))
        row = draft.rows.get(kind, {}).get(id_, 0)
        draft.bad(place.at(row), error.what, "what docs/reference/mqtt.md allows")


def _line(whole: Listing, number: int) -> tuple[str, str]:
    """Kind and id of a line of the full list."""
    ids = chain.from_iterable(((kind, id_) for id_ in whole[kind]) for kind in KINDS)
    return next(islice(ids, number - 1, None))
