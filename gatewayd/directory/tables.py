"""The tables of a site's list: their names, their columns and what each column holds. Pure.

Owns both header tables of docs/guide/stand-alone.md. How a row becomes a record is
`gatewayd.directory.records`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from gatewayd.directory import cells, hours
from gatewayd.directory.cells import Cell, CellError
from gatewayd.directory.words import CALENDAR_KINDS, KINDS, ROLES, STATUSES, Language

DOORS = "door"  # the kind of thing that the settings name, not the list
MAX_FORMAT = 20


class Names:
    """The ids of one kind of thing, and the names that stand for one of them alone."""

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        self._ids: set[str] = set()
        self._by_name: dict[str, set[str]] = {}
        for id_, name in (names or {}).items():
            self.add(id_, name)

    def add(self, id_: str, name: str = "") -> None:
        self._ids.add(id_)
        if name:
            self._by_name.setdefault(name, set()).add(id_)

    def __contains__(self, id_: str) -> bool:
        return id_ in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def find(self, word: str) -> str | None:
        """The id that is meant, by itself or by a name. Raises CellError for a name of several."""
        if word in self._ids:
            return word
        named = self._by_name.get(word, set())
        if len(named) > 1:
            raise CellError(f"several have the name {word!r}", f"an id: {', '.join(sorted(named))}")
        return next(iter(named), None)


@dataclass(slots=True)
class Reading:
    """What reading a cell needs to know of the site, and of the tables that were read before."""

    zone: tzinfo
    pin_key: bytes | None = field(default=None, repr=False)
    names: dict[str, Names] = field(default_factory=dict)

    def refer(self, kind: str, word: str) -> str:
        """The id of what a cell names. Raises CellError where the list has no such thing."""
        found = self.names[kind].find(word)
        if found is None:
            raise CellError(f"there is no {kind} {word!r}", f"the id or the name of a {kind}")
        return found


@dataclass(frozen=True, slots=True)
class Column:
    """`key` names it in the code; `headers` are its English and its Chinese one, then others that
    are understood. A problem never quotes a cell of a `secret` column."""

    key: str
    headers: tuple[str, ...]
    what: str
    read: Callable[[Cell, Reading], Any]
    required: bool = False
    secret: bool = False

    def header(self, language: Language) -> str:
        return self.headers[0 if language is Language.ENGLISH else 1]


@dataclass(frozen=True, slots=True)
class Table:
    """`names` are those of its sheet or CSV file: English, Chinese, then others understood.
    `kind` is the type of its records (docs/reference/mqtt.md)."""

    kind: str
    names: tuple[str, ...]
    what: str
    columns: tuple[Column, ...]

    @property
    def name(self) -> str:
        return self.names[0]

    def title(self, language: Language) -> str:
        return self.names[0 if language is Language.ENGLISH else 1]

    def column(self, header: Cell) -> Column | None:
        """The column that a header names, however it is spaced and capitalised."""
        wanted = plain(str(header))
        for column in self.columns:
            if any(plain(known) == wanted for known in column.headers):
                return column
        return None


def plain(header: str) -> str:
    """A header or name without what people write differently: case, spaces, _ and -."""
    return re.sub(r"[\s_\-\u3000*（）()：:]+", "", header).lower()


# ---------------------------------------------------------------------- what a column holds


def _text(cell: Cell, _reading: Reading) -> str:
    return cells.text(cell)


def _id(cell: Cell, _reading: Reading) -> str:
    return cells.id_(cell)


def _yes(cell: Cell, _reading: Reading) -> bool:
    return cells.yes(cell)


def _count(cell: Cell, _reading: Reading) -> int | None:
    return cells.count(cell)


def _hours(cell: Cell, _reading: Reading) -> hours.Spans:
    return hours.hours(cell)


def _special_days(cell: Cell, reading: Reading) -> list[dict[str, Any]]:
    return hours.special_days(cell, lambda word: reading.refer("calendar", word))


def _from(cell: Cell, reading: Reading) -> int | None:
    return cells.moment(cell, reading.zone, end=False)


def _until(cell: Cell, reading: Reading) -> int | None:
    return cells.moment(cell, reading.zone, end=True)


def _day(cell: Cell, _reading: Reading) -> Any:  # noqa: ANN401  # as every column's
    return cells.day(cell)


def _raw(cell: Cell, _reading: Reading) -> Cell:
    """Read with the cells beside it: what it means depends on them."""
    return cell


def _doors(cell: Cell, reading: Reading) -> list[str]:
    """Ids, or names of the settings' doors. Another box may have the door: an id is enough."""
    known = reading.names[DOORS]
    return [known.find(word) or cells.id_(word) for word in cells.names(cell)]


def _one(kind: str) -> Callable[[Cell, Reading], str]:
    return lambda cell, reading: reading.refer(kind, cells.text(cell))


def _several(kind: str) -> Callable[[Cell, Reading], list[str]]:
    return lambda cell, reading: [reading.refer(kind, word) for word in cells.names(cell)]


# ------------------------------------------------------------------------------- the tables

_ID = Column(
    "id",
    ("id", "编号", "代码"),
    "1 to 64 of A-Z, a-z, digits and . _ : -; never changed afterwards",
    _id,
    required=True,
)
_NAME = Column("name", ("name", "名称"), "as people call it; other tables may refer to it", _text)
_DATES = "2026-11-30, 2026-11-30 18:00 or a spreadsheet's date"
_UNTIL = f"{_DATES}; a date alone is the whole day; nothing for no end"

CALENDARS = Table(
    "calendar",
    ("calendars", "日历", "节假日"),
    "Holidays, and weekends that are worked. A row is a day or some days in a row; rows of the same "
    "id are one calendar.",
    (
        _ID,
        _NAME,
        Column(
            "kind",
            ("kind", "类型"),
            f"{CALENDAR_KINDS.told()}; nothing for a holiday",
            lambda cell, _reading: CALENDAR_KINDS.read(cell),
        ),
        Column("from", ("from", "开始日期", "date", "日期"), "a date, as in 2026-10-01", _day),
        Column("until", ("until", "结束日期"), "the last day; nothing for one day alone", _day),
    ),
)
SCHEDULES = Table(
    "schedule",
    ("schedules", "时段", "时间表"),
    "Hours for each weekday, and what calendars change.",
    (
        _ID,
        _NAME,
        *(
            Column(
                words[0],
                words,
                "08:00-12:00, 13:00-18:00; 22:00-06:00, or closed (关闭), or all day (全天)",
                _hours,
            )
            for words in hours.WEEKDAY_WORDS
        ),
        Column(
            "special_days",
            ("special days", "特殊日"),
            "national = closed | worked = as monday | eve = 08:00-12:00; the first whose calendar "
            "has the day counts",
            _special_days,
        ),
    ),
)
GROUPS = Table(
    "group",
    ("groups", "门组"),
    "Doors under one name, for levels.",
    (_ID, _NAME, Column("doors", ("doors", "门"), "ids or names of doors, separated by ; or 、", _doors)),
)
LEVELS = Table(
    "level",
    ("levels", "权限", "权限组"),
    "Doors at the hours of one schedule.",
    (
        _ID,
        _NAME,
        Column("doors", ("doors", "门"), "ids or names of doors, separated by ; or 、", _doors),
        Column("groups", ("groups", "门组"), "ids or names, separated by ; or 、", _several("group")),
        Column(
            "schedule",
            ("schedule", "时段", "时间表"),
            "its id or name",
            _one("schedule"),
            required=True,
        ),
    ),
)
_HASH = "as an export wrote it; a PIN beside it counts instead"
PEOPLE = Table(
    "person",
    ("people", "人员", "住户"),
    "Who may have a credential.",
    (
        Column("id", ("id", "编号", "人员编号", "工号"), _ID.what, _id, required=True),
        Column("name", ("name", "姓名"), "the person's name", _text, required=True, secret=True),
        Column(
            "role",
            ("role", "身份", "类别", "人员类型"),
            f"{ROLES.told()}, or another word; nothing for owner",
            lambda cell, _reading: ROLES.read_or_keep(cell),
        ),
        Column("building", ("building", "楼栋", "楼号", "栋"), "as it is spoken at the gate", _text),
        Column("unit", ("unit", "单元"), "the same", _text),
        Column("room", ("room", "房号", "房间", "室"), "the same", _text),
        Column("phone", ("phone", "电话", "手机", "手机号", "联系电话"), "digits", _text, secret=True),
        Column("photo", ("photo", "照片"), "a reference, as an export wrote it", _text),
        Column(
            "levels",
            ("levels", "权限", "权限组", "门禁权限"),
            "ids or names, separated by ; or 、",
            _several("level"),
        ),
        Column("pin", ("pin", "密码"), "4 to 8 digits, as text; only its hash is kept", _raw, secret=True),
        Column("pin_hash", ("pin hash", "密码密文"), _HASH, _text, secret=True),
        Column("duress_pin", ("duress pin", "胁迫密码"), "the same, raises a silent alarm", _raw, secret=True),
        Column("duress_pin_hash", ("duress pin hash", "胁迫密码密文"), _HASH, _text, secret=True),
        Column("watch", ("watch", "布控原因", "黑名单原因"), "why on the watch list; else nothing", _text),
        Column("extended_opening", ("extended opening", "延长开门"), "yes (是): the door stays open longer", _yes),
        Column("may_escort", ("may escort", "可陪同"), "yes (是): others may pass after them", _yes),
        Column("needs_escort", ("needs escort", "须陪同", "需陪同"), "yes (是): only after an escort", _yes),
    ),
)
CREDENTIALS = Table(
    "credential",
    ("credentials", "凭证", "卡片", "门卡"),
    "Cards, codes, QR passes and licence plates, each with the person it belongs to.",
    (
        Column(
            "kind",
            ("kind", "类型", "凭证类型"),
            f"{KINDS.told()}; nothing for a card",
            lambda cell, _reading: KINDS.read(cell),
        ),
        Column(
            "number",
            ("number", "卡号", "号码", "车牌号"),
            "as the format says; the digits of a code, 4 to 8; a plate; the text of a QR pass",
            _raw,
            secret=True,
        ),
        Column("format", ("format", "格式", "卡格式"), "how a card's number is written: see below", _text),
        Column("bits", ("bits", "位数"), "how many bits the reader sends: see below", _count),
        Column("hash", ("hash", "密文"), "of a code, instead of its number, as an export wrote it", _text, secret=True),
        Column("person", ("person", "人员编号", "持有人", "持卡人"), "the person's id", _id, required=True),
        Column(
            "status",
            ("status", "状态"),
            f"{STATUSES.told()}; nothing for active",
            lambda cell, _reading: STATUSES.read(cell),
        ),
        Column("valid_from", ("valid from", "有效期自", "生效日期", "开始时间"), f"{_DATES}; nothing for always", _from),
        Column("valid_until", ("valid until", "有效期至", "到期日期", "失效日期", "结束时间"), _UNTIL, _until),
        Column("uses", ("uses", "可用次数", "次数"), "how often it may open a door; nothing for no limit", _count),
        Column("duress", ("duress", "胁迫卡", "胁迫"), "yes (是): opens, and raises a silent alarm", _yes),
        Column("permit_until", ("permit until", "车证有效期至", "月租至"), f"a vehicle's permit: {_UNTIL}", _until),
        Column("watch", ("watch", "布控原因", "黑名单原因"), "why on the watch list; else nothing", _text),
    ),
)

# In the order of a full list: each refers to those before it only.
TABLES = (CALENDARS, SCHEDULES, GROUPS, LEVELS, PEOPLE, CREDENTIALS)


def table_named(name: str) -> Table | None:
    """The table of a sheet or of a CSV file's name without its ending."""
    wanted = plain(name)
    for table in TABLES:
        if wanted in {plain(known) for known in table.names}:
            return table
    return None
