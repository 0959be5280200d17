"""Spreadsheets as people make them, and drafts of them, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from openpyxl import Workbook

from gatewayd.directory import listing
from gatewayd.directory.columns import DOORS, Names, Reading
from gatewayd.directory.draft import Draft, draft_of
from gatewayd.directory.listing import Listing

SHANGHAI = ZoneInfo("Asia/Shanghai")
KEY = b"k" * 16
DOORS_OF_SITE = {"main-gate": "大门", "garage": "车库", "side": "侧门"}

Rows = Sequence[Sequence[Any]]

CALENDARS: Rows = [
    ["编号", "名称", "类型", "开始日期", "结束日期"],
    ["national", "国庆", "节假日", "2026-10-01", "2026-10-03"],
    ["worked", "调休", "调休上班", "2026-09-27", None],
    ["national", "国庆", "节假日", "2027-01-01", None],
]
SCHEDULES: Rows = [
    ["编号", "名称", "周一", "周二", "周三", "周四", "周五", "周六", "周日", "特殊日"],
    ["always", "全天", *["00:00-24:00"] * 7, None],
    ["office", "白班", *["08:00-12:00, 13:00-18:00"] * 5, None, "休息",
     "国庆 = 关闭 | worked = 同周一"],
]  # fmt: skip
GROUPS: Rows = [["编号", "名称", "门"], ["gates", "出入口", "大门、side"]]
LEVELS: Rows = [
    ["编号", "名称", "门", "门组", "时段"],
    ["residents", "业主通行", None, "gates", "always"],
    ["parking", "车库", "garage", None, "全天"],
    ["cleaning", "保洁", "大门", None, "白班"],
]
PEOPLE: Rows = [
    ["编号", "姓名", "身份", "楼栋", "单元", "房号", "电话", "权限"],
    ["p-17", "王芳", "业主", 6, 2, 1203, "13800001234", "residents; 车库"],
    ["p-18", "李强", "租户", "6", "2", "1204", None, "residents"],
]
CREDENTIALS: Rows = [
    ["类型", "卡号", "格式", "位数", "人员编号", "状态", "有效期至"],
    ["卡", "12,34567", "H10301", None, "p-17", "正常", "2026-11-30"],
    [None, "0008844356", "em4100", 34, "p-18", "挂失", "2026-11-30 18:00"],
    ["车牌", "沪a·12345", None, None, "p-17", None, None],
]
SITE: Mapping[str, Rows] = {
    "日历": CALENDARS,
    "时段": SCHEDULES,
    "门组": GROUPS,
    "权限": LEVELS,
    "人员": PEOPLE,
    "凭证": CREDENTIALS,
}


def workbook(path: Path, sheets: Mapping[str, Rows]) -> Path:
    book = Workbook()
    book.remove(book.worksheets[0])
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path


def csv_file(path: Path, *lines: str, encoding: str = "utf-8", end: str = "\r\n") -> Path:
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return path


def draft(*paths: Path, base: Listing | None = None, pin_key: bytes | None = KEY) -> Draft:
    reading = Reading(SHANGHAI, pin_key, {DOORS: Names(DOORS_OF_SITE)})
    return draft_of(paths, base or listing.empty(), reading, lambda _text: None)


def site(folder: Path) -> Listing:
    """The list of SITE."""
    made = draft(workbook(folder / "site-before.xlsx", SITE))
    assert made.problems == []
    return made.listing


def record(made: Listing, kind: str, id_: str) -> listing.Record:
    return listing.record_of(made[kind][id_])


def told(made: Draft) -> list[str]:
    return [str(problem) for problem in made.problems]
