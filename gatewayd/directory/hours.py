"""Hours as people write them, and as a schedule's record has them. Pure.

"08:00-12:00, 13:00-18:00; 22:00-06:00" is a day; a span that ends before it begins goes on into the
next day. Special days are calendars with their hours: "national = closed | worked = as monday".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gatewayd.directory import cells
from gatewayd.directory.cells import Cell, CellError
from gatewayd.store.whitelist_records import WEEKDAYS

Spans = list[list[str]]

WHOLE_DAY = ["00:00:00", "24:00:00"]
CLOSED_WORDS = ("closed", "关闭", "休息", "-")
WHOLE_DAY_WORDS = ("all day", "全天", "24小时")
WEEKDAY_WORDS = (
    ("monday", "周一", "星期一"),
    ("tuesday", "周二", "星期二"),
    ("wednesday", "周三", "星期三"),
    ("thursday", "周四", "星期四"),
    ("friday", "周五", "星期五"),
    ("saturday", "周六", "星期六"),
    ("sunday", "周日", "星期日", "星期天"),
)
MOST_OF_DAY = 4_000  # characters: some 300 spans
MOST_OF_SPECIAL_DAYS = 20_000

_WEEKDAY = {
    word: name
    for name, words in zip(WEEKDAYS, WEEKDAY_WORDS, strict=True)
    for word in (name, *words)
}
_DASH = re.compile(r"\s*[-–—~～至到]\s*")
_CLOCK = r"(\d{1,2})[:：]([0-5]\d)(?:[:：]([0-5]\d))?"
_SPAN = re.compile(f"{_CLOCK}-{_CLOCK}")
_BETWEEN_SPANS = re.compile(r"[;；,，、\s]+")
_BETWEEN_DAYS = re.compile(r"[|｜\n]")
_EQUALS = re.compile("[=＝]")
_AS = re.compile(r"(?:as\s+|同|按)(.+)")
_NO_HOURS = CellError("it is no hours", "as in 08:00-12:00, 13:00-18:00; or closed, or all day")
_NO_SPECIAL_DAYS = CellError(
    "it is no special days", "as in national = closed | worked = as monday | eve = 08:00-12:00"
)


def hours(cell: Cell) -> Spans:
    """A day's spans, in their order; nothing is a closed day."""
    return _spans(cells.text(cell, most=MOST_OF_DAY))


def _spans(found: str) -> Spans:
    word = found.lower()
    if not word or word in CLOSED_WORDS:
        return []
    if word in WHOLE_DAY_WORDS:
        return [list(WHOLE_DAY)]
    parts = _BETWEEN_SPANS.split(_DASH.sub("-", found))
    return [_span(part) for part in parts if part]


def _span(part: str) -> list[str]:
    match = _SPAN.fullmatch(part)
    if match is None:
        raise _NO_HOURS
    start, end = _clock(*match.groups()[:3]), _clock(*match.groups()[3:])
    if start >= "24:00:00" or end > "24:00:00":
        raise CellError("there is no such time of day", "00:00 to 23:59, and 24:00 as an end")
    return [start, end]


def _clock(hour: str, minute: str, second: str | None) -> str:
    return f"{int(hour):02}:{int(minute):02}:{int(second or 0):02}"


def written_hours(spans: Iterable[Iterable[str]]) -> str:
    """As `hours` reads it back."""
    return ", ".join("-".join(clock.removesuffix(":00") for clock in span) for span in spans)


def special_days(cell: Cell, calendar_of: Callable[[str], str]) -> list[dict[str, Any]]:
    """Records of special days, in their order. `calendar_of` gives the id that is meant, or raises
    CellError."""
    parts = _BETWEEN_DAYS.split(cells.text(cell, most=MOST_OF_SPECIAL_DAYS))
    return [_special(part, calendar_of) for part in parts if part.strip()]


def _special(part: str, calendar_of: Callable[[str], str]) -> dict[str, Any]:
    name, *rest = _EQUALS.split(part)
    if len(rest) != 1 or not rest[0].strip():
        raise _NO_SPECIAL_DAYS
    calendar, meant = calendar_of(name.strip()), rest[0].strip().lower()
    weekday = _AS.fullmatch(meant)
    if weekday is None:
        return {"calendar": calendar, "hours": _spans(meant)}
    if weekday[1].strip() not in _WEEKDAY:
        raise _NO_SPECIAL_DAYS
    return {"calendar": calendar, "as": _WEEKDAY[weekday[1].strip()]}


def written_special_days(special: Iterable[Mapping[str, Any]]) -> str:
    """As `special_days` reads it back, whatever the calendars are called."""
    return " | ".join(f"{days['calendar']} = {_written_special(days)}" for days in special)


def _written_special(days: Mapping[str, Any]) -> str:
    if "as" in days:
        return f"as {days['as']}"
    return written_hours(days["hours"]) or CLOSED_WORDS[0]
