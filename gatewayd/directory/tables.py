"""The tables of a site's list, in English and in the trade's own Chinese. Pure.

Owns both header tables of docs/guide/stand-alone.md. What a column's reading means is
`gatewayd.directory.columns`, how a row becomes a record `gatewayd.directory.records`.
"""

from __future__ import annotations

from gatewayd.directory import columns
from gatewayd.directory.columns import Table, column, plain
from gatewayd.directory.hours import WEEKDAY_WORDS
from gatewayd.directory.words import CALENDAR_KINDS, KINDS, ROLES, STATUSES

_DATES = "2026-11-30, 2026-11-30 18:00 or a spreadsheet's date"
_UNTIL = f"{_DATES}; a date alone is the whole day; nothing for no end"
_HOURS = "08:00-12:00, 13:00-18:00; 22:00-06:00, or closed (关闭), or all day (全天)"
_DOORS = "ids or names of doors, separated by ; or 、"
_HASH = "as an export wrote it; a PIN beside it counts instead"
_WATCH = column("watch|布控原因|黑名单原因", "why on the watch list; else nothing", columns.text)
_ID = column(
    "id|编号|代码",
    "1 to 64 of A-Z, a-z, digits and . _ : -; never changed afterwards",
    columns.id_,
    required=True,
)
_NAME = column("name|名称", "as people call it; other tables may refer to it", columns.text)

CALENDARS = Table(
    "calendar",
    ("calendars", "日历", "节假日"),
    "Holidays, and weekends that are worked. A row is one day, or some days in a row; the rows of "
    "one id are one calendar.",
    (
        _ID,
        _NAME,
        column(
            "kind|类型",
            f"{CALENDAR_KINDS.told()}; nothing for a holiday",
            columns.word(CALENDAR_KINDS),
        ),
        column("from|开始日期|date|日期", "a date, as in 2026-10-01", columns.day),
        column("until|结束日期", "the last day; nothing for one day alone", columns.day),
    ),
)
SCHEDULES = Table(
    "schedule",
    ("schedules", "时段", "时间表"),
    "Hours for each weekday, and what calendars change.",
    (
        _ID,
        _NAME,
        *(column("|".join(words), _HOURS, columns.hours_of_day) for words in WEEKDAY_WORDS),
        column(
            "special days|特殊日",
            "national = closed | worked = as monday | eve = 08:00-12:00; the first whose calendar "
            "has the day counts",
            columns.special_days,
        ),
    ),
)
GROUPS = Table(
    "group",
    ("groups", "门组"),
    "Doors under one name, for levels.",
    (_ID, _NAME, column("doors|门", _DOORS, columns.doors)),
)
LEVELS = Table(
    "level",
    ("levels", "权限", "权限组"),
    "Doors at the hours of one schedule.",
    (
        _ID,
        _NAME,
        column("doors|门", _DOORS, columns.doors),
        column("groups|门组", "ids or names, separated by ; or 、", columns.several("group")),
        column("schedule|时段|时间表", "its id or name", columns.one("schedule"), required=True),
    ),
)
PEOPLE = Table(
    "person",
    ("people", "人员", "住户"),
    "Who may have a credential.",
    (
        column("id|编号|人员编号|工号", _ID.what, columns.id_, required=True),
        column("name|姓名", "the person's name", columns.filled, required=True, secret=True),
        column(
            "role|身份|类别|人员类型",
            f"{ROLES.told()}, or another word; nothing for owner",
            columns.word_or_text(ROLES),
        ),
        column("building|楼栋|楼号|栋", "as it is spoken at the gate", columns.text),
        column("unit|单元", "as it is spoken at the gate", columns.text),
        column("room|房号|房间|室", "as it is spoken at the gate", columns.text),
        column("phone|电话|手机|手机号|联系电话", "digits", columns.text, secret=True),
        column("photo|照片", "a reference, as an export wrote it", columns.text),
        column(
            "levels|权限|权限组|门禁权限",
            "ids or names, separated by ; or 、",
            columns.several("level"),
        ),
        column("pin|密码", "4 to 8 digits; only a keyed hash is kept", columns.raw, secret=True),
        column("pin hash|密码密文", _HASH, columns.text, secret=True),
        column("duress pin|胁迫密码", "opens, raises a silent alarm", columns.raw, secret=True),
        column("duress pin hash|胁迫密码密文", _HASH, columns.text, secret=True),
        _WATCH,
        column("extended opening|延长开门", "yes (是): the door stays open longer", columns.yes),
        column("may escort|可陪同", "yes (是): others may pass after them", columns.yes),
        column("needs escort|须陪同|需陪同", "yes (是): passes only after an escort", columns.yes),
        column(
            "escorts|陪同人|接待人|被访人",
            "ids of people, separated by ; or 、: passes only after one of them",
            columns.ids,
        ),
    ),
)
CREDENTIALS = Table(
    "credential",
    ("credentials", "凭证", "卡片", "门卡"),
    "Cards, codes, QR passes and licence plates, each with the person it belongs to.",
    (
        column("kind|类型|凭证类型", f"{KINDS.told()}; nothing for a card", columns.word(KINDS)),
        column(
            "number|卡号|号码|车牌号",
            "as the format says; the digits of a code; a plate; the text of a QR pass",
            columns.raw,
            secret=True,
        ),
        column("format|格式|卡格式", "how the number of a card is written", columns.text),
        column("bits|位数", "how many bits the reader sends of a card", columns.count),
        column("hash|密文", "of a code, as an export wrote it", columns.text, secret=True),
        column(
            "person|人员编号|持有人|持卡人", "the person's id", columns.one("person"), required=True
        ),
        column("status|状态", f"{STATUSES.told()}; nothing for active", columns.word(STATUSES)),
        column(
            "valid from|有效期自|生效日期|开始时间",
            f"{_DATES}; nothing for always",
            columns.beginning,
        ),
        column("valid until|有效期至|到期日期|失效日期|结束时间", _UNTIL, columns.end),
        column("uses|可用次数|次数", "how often it opens; nothing for no limit", columns.count),
        column("duress|胁迫卡|胁迫", "yes (是): opens, raises a silent alarm", columns.yes),
        column("permit until|车证有效期至|月租至", f"a vehicle's permit: {_UNTIL}", columns.end),
        _WATCH,
    ),
)

# In the order of a full list: each refers to those before it only.
TABLES = (CALENDARS, SCHEDULES, GROUPS, LEVELS, PEOPLE, CREDENTIALS)


def table_named(name: str) -> Table | None:
    """The table of a sheet, or of a CSV file's name without its ending."""
    wanted = plain(name)
    for table in TABLES:
        if wanted in {plain(known) for known in table.names}:
            return table
    return None
