"""One cell of a sheet, read as what its column holds, and written so that it reads back the same.

Pure. Owns what a text, an id, a count, a yes or a moment looks like. What can't be told for sure is
a CellError that says what to write instead: nothing is guessed. The site's zone is an argument.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final

Cell = str | int | float | bool | date | time | timedelta | None

VERBATIM: Final = "'"  # in front of a text: exactly what follows, as a spreadsheet's own sign
MAX_TEXT = 200  # whitelist_records.Text
NEVER = frozenset({"-", "never", "unlimited", "永久", "长期", "不限", "无"})

_SPACE = " \t\r\n\u3000\u00a0"
_SEPARATORS = re.compile(r"[;；、,，\n]")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
# What starts a formula when a spreadsheet opens a CSV; the wide forms do so in Chinese ones.
_FORMULA_STARTS = tuple("=+-@＝＋－＠\t\r")
# What a spreadsheet makes of digits and of "3-1" when it opens a CSV and saves it again.
_MANGLED = re.compile(
    r"\d+([.,]\d+)?[eE]\+\d+|\d{1,2}月\d{1,2}日|\d{1,2}-[A-Z][a-z]{2}|[A-Z][a-z]{2}-\d{2}"
)
# No sheet can hold them, or they would break a row in two.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_DATE = re.compile(
    r"(\d{4})(?:-(\d{1,2})-(\d{1,2})|/(\d{1,2})/(\d{1,2})|\.(\d{1,2})\.(\d{1,2})"
    r"|年(\d{1,2})月(\d{1,2})日)"
    r"(?:[ T]+(\d{1,2}):(\d{2})(?::(\d{2}))?([+-]\d{2}:\d{2}(?::\d{2})?)?)?"
)
_SECONDS = re.compile(r"@(-?\d{1,16})")
_YES = frozenset({"yes", "y", "true", "1", "是", "有", "√", "✓"})
_NO = frozenset({"no", "n", "false", "0", "否", "没有", "×", "✗"}) | NEVER
UNCALCULATED: Final = "#FORMULA!"  # a formula whose value the file does not hold
_ERRORS = frozenset(
    {"#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!", UNCALCULATED}
)

AS_TEXT = "format the column as text and write it again"


class CellError(ValueError):
    """What is wrong with a cell, and what to write instead. Never quotes the cell: the caller
    knows whether it is a secret."""

    def __init__(self, what: str, instead: str, column: str = "") -> None:
        """`column` is the key of the column to blame, where it is not the one being read."""
        self.what = what
        self.instead = instead
        self.column = column
        super().__init__(f"{what}: {instead}")


_NO_DATE_CELL = CellError("it is no date", "format the column as a date, or write 2026-11-30")


def is_empty(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip(_SPACE))


def is_verbatim(cell: Cell) -> bool:
    """Whether a text is to be taken as it stands, not as one of the trade's words."""
    return isinstance(cell, str) and cell.startswith(VERBATIM)


def trimmed(cell: str) -> str:
    """A text without the spaces around it; one that begins with ' is all that follows that."""
    return cell[1:] if is_verbatim(cell) else cell.strip(_SPACE)


# ---------------------------------------------------------------------------------- texts


def text(cell: Cell, *, most: int = MAX_TEXT) -> str:
    """A text, or a whole number that a spreadsheet made of one."""
    found = _as_text(cell)
    if _CONTROL.search(found):
        raise CellError("it has a character that is no text", "type it again")
    if len(found) > most:
        raise CellError(f"it has {len(found)} characters", f"at most {most}")
    return found


def _as_text(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case str():
            _refuse_mangled(cell)
            return trimmed(cell)
        case bool() | date() | time() | timedelta():
            raise CellError("the spreadsheet made a date, a time or a yes/no of it", AS_TEXT)
        case int() | float():
            return str(whole(cell))


def _refuse_mangled(cell: str) -> None:
    bare = cell.strip(_SPACE)
    if bare in _ERRORS:
        raise CellError("it is an error, or a formula without a value", "write the value")
    if _MANGLED.fullmatch(bare):
        raise CellError("the spreadsheet has shortened it, or made a date of it", AS_TEXT)


def whole(cell: float) -> int:
    """A number cell that is meant as digits."""
    if cell != cell // 1:
        raise CellError("it is a number with a fraction", AS_TEXT)
    if abs(cell) >= 10**15:
        raise CellError("a spreadsheet keeps no more than 15 digits of a number", AS_TEXT)
    return int(cell)


def written(value: str) -> str:
    """A text as a cell that reads back as it, and that no spreadsheet takes for anything else.

    Raises CellError for what no sheet can hold.
    """
    if _CONTROL.search(value):
        raise CellError("it has a character that no spreadsheet can hold", "correct the name")
    if not value:
        return ""
    strange = value.startswith((*_FORMULA_STARTS, VERBATIM)) or value != value.strip(_SPACE)
    if strange or _MANGLED.fullmatch(value) or value in _ERRORS:
        return VERBATIM + value
    return value


# ------------------------------------------------------------------------------ ids, counts


def id_(cell: Cell) -> str:
    found = text(cell)
    if not _ID.fullmatch(found):
        raise CellError(
            "it is no id", "1 to 64 of the letters A-Z and a-z, digits and . _ : -, without spaces"
        )
    return found


def names(cell: Cell) -> list[str]:
    """Several, separated by ; or 、 or a comma; each once, in their order."""
    parts = (part.strip(_SPACE) for part in _SEPARATORS.split(_as_text(cell)))
    return list(dict.fromkeys(part for part in parts if part))


def count(cell: Cell) -> int | None:
    """A whole number from 1; none is no limit."""
    found = text(cell)
    if not found or found.lower() in NEVER:
        return None
    if not found.isascii() or not found.isdigit() or not 0 < int(found) <= 2**53:
        raise CellError("it is no count", "a whole number from 1, or nothing for no limit")
    return int(found)


def yes(cell: Cell) -> bool:
    if isinstance(cell, bool):
        return cell
    found = text(cell).lower()
    if found and found not in _YES | _NO:
        raise CellError("it is neither yes nor no", "yes or no, 是 or 否, or nothing for no")
    return found in _YES


# -------------------------------------------------------------------------------- moments


def moment(cell: Cell, zone: tzinfo, *, end: bool) -> int | None:
    """Seconds since 1970 UTC of a date, with or without a time, by the site's wall clock.

    A date alone begins with its first second; as an end it is the whole day: the first second
    of the next, since ends are exclusive. Nothing is None.
    """
    if cell is None:
        return None
    if isinstance(cell, date):
        # A spreadsheet knows no date without a time: midnight is one.
        alone = isinstance(cell, datetime) and cell.time() == time()
        return _moment_of(date(cell.year, cell.month, cell.day) if alone else cell, zone, end=end)
    if not isinstance(cell, str):
        raise _NO_DATE_CELL
    found = trimmed(cell)
    if not found or found.lower() in NEVER:
        return None
    if seconds := _SECONDS.fullmatch(found):
        return int(seconds[1])
    return _moment_of(_read(found), zone, end=end)


def day(cell: Cell) -> date | None:
    """A date without a time."""
    if cell is None or is_empty(cell):
        return None
    if not isinstance(cell, str | date):
        raise _NO_DATE_CELL
    found = cell if isinstance(cell, date) else _read(trimmed(cell))
    if isinstance(found, datetime):
        if found.time() != time():
            raise CellError("it has a time of day", "a date alone, as in 2026-10-01")
        return found.date()
    return found


def _read(found: str) -> date:
    """A date, or a datetime where there is a time of day."""
    parts = _DATE.fullmatch(found)
    wrong = CellError("it is no date", "write 2026-11-30 or 2026-11-30 18:00, the year first")
    if parts is None:
        raise wrong
    year, *others = parts.groups()
    month, dayofmonth = [part for part in others[:8] if part is not None]
    hour, minute, second, offset = others[8:]
    try:
        if hour is None:
            return date(int(year), int(month), int(dayofmonth))
        iso = f"{year}-{month:0>2}-{dayofmonth:0>2}T{hour:0>2}:{minute}:{second or '00'}"
        return datetime.fromisoformat(iso + (offset or ""))
    except ValueError:
        raise wrong from None


def _moment_of(found: date, zone: tzinfo, *, end: bool) -> int:
    if isinstance(found, datetime):
        return _utc_s(found, zone)
    if end and found == date.max:
        raise CellError("it is too far away", "leave it empty for no limit")
    first = found + timedelta(days=1 if end else 0)
    return _utc_s(datetime.combine(first, time()), zone)


def _utc_s(found: datetime, zone: tzinfo) -> int:
    local = found if found.tzinfo is not None else found.replace(tzinfo=zone)
    return int(local.timestamp() // 1)


def written_moment(value: int | None, zone: tzinfo, *, end: bool) -> str:
    """As `moment` reads it back: a date alone where it is one, with the offset from UTC only in an
    hour that the zone's clocks show twice."""
    if value is None:
        return ""
    try:
        local = datetime.fromtimestamp(value, tz=zone)
    except (OverflowError, ValueError, OSError):
        return f"@{value}"
    bare = local.replace(tzinfo=None)
    last = bare.date() - timedelta(days=1) if end and bare.toordinal() > 1 else bare.date()
    clock = bare.isoformat(" ", "seconds" if bare.second else "minutes")
    for short in (last.isoformat(), clock, local.isoformat(" ", "seconds")):
        if _reads_as(short, value, zone, end=end):
            return short
    return f"@{value}"


def _reads_as(short: str, value: int, zone: tzinfo, *, end: bool) -> bool:
    try:
        return moment(short, zone, end=end) == value
    except CellError:
        return False
