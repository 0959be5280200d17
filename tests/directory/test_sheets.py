"""Files as offices save them are read; what is too large, or no spreadsheet, is refused early."""

from __future__ import annotations

import random
import re
import zipfile
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from openpyxl import Workbook

from gatewayd.directory import sheets
from gatewayd.directory.cells import UNCALCULATED
from gatewayd.directory.problem import FileError
from gatewayd.directory.sheets import Row
from tests.directory.files import csv_file, workbook

HEADERS = {"编号", "姓名", "id", "name"}


def known(_title: str, row: Row) -> int:
    return sum(cell in HEADERS for cell in row)


def read(path: Path) -> list[tuple[str, list[list[object]]]]:
    with ExitStack() as stack:
        return [
            (sheet.title, [list(row) for row in sheet.rows])
            for sheet in sheets.sheets_of(path, known, stack)
        ]


def refused(path: Path) -> str:
    with pytest.raises(FileError) as caught:
        read(path)
    assert str(caught.value.problem.place).startswith(path.name)
    return str(caught.value)


# --------------------------------------------------------------------------------------- CSV


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8"), ("gb18030", "GB18030"), ("utf-16", "UTF-16")],
)
@pytest.mark.parametrize(
    ("separator", "word"), [(",", "commas"), (";", "semicolons"), ("\t", "tabs")]
)
def test_encoding_and_separator_of_a_csv_are_found(
    tmp_path: Path, encoding: str, name: str, separator: str, word: str
) -> None:
    lines = [
        separator.join(row) for row in (["编号", "姓名"], ["p-17", "王芳"], ["p-18", '"a,;b"'])
    ]
    path = csv_file(tmp_path / "people.csv", *lines, encoding=encoding)
    assert read(path) == [("people", [["编号", "姓名"], ["p-17", "王芳"], ["p-18", "a,;b"]])]
    with ExitStack() as stack:
        [sheet] = sheets.sheets_of(path, known, stack)
        assert sheet.read_as == f"read as {name}, separated by {word}"


def test_a_title_above_the_headers_does_not_hide_the_separator(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "people.csv", "名单,2026,;;", "id;name", "1;x")
    assert read(path)[0][1][1:] == [["id", "name"], ["1", "x"]]


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"\xff\xfe\x00", "neither UTF-8 nor GB18030"),
        (b"\xef\xbb\xbfid,name\r\n1,\xff\xff", "neither UTF-8 nor GB18030"),
        (b"id,name\r\n1,\x00", "neither UTF-8 nor GB18030"),
        (b"\x81\xff\xff\xff", "neither UTF-8 nor GB18030"),
        (b'id,name\r\n1,"' + b"x" * 200_000 + b'"', "no CSV"),
        (b'"' + b"x" * 200_000, "no CSV"),
        (b"\xd0\xcf\x11\xe0 old", "old .xls or an encrypted"),
        (b"PK\x03\x04 not really", "no workbook"),
    ],
)
def test_what_is_no_spreadsheet_is_refused(tmp_path: Path, raw: bytes, what: str) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(raw)
    assert what in refused(path)


def test_a_file_that_is_not_there_or_huge_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "can't be read: No such file" in refused(tmp_path / "people.csv")
    monkeypatch.setattr(sheets, "MAX_FILE_BYTES", 1 << 20)
    path = tmp_path / "large.csv"
    path.write_bytes(b"x" * ((1 << 20) + 1))
    assert "larger than 1 MB" in refused(path)


def test_too_many_rows_or_columns_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheets, "MAX_ROWS", 3)
    monkeypatch.setattr(sheets, "MAX_COLUMNS", 2)
    rows = [["id", "name"], *[["1", "x"]] * 3]
    lines = [",".join(row) for row in rows]
    assert "more than 3 rows" in refused(csv_file(tmp_path / "people.csv", *lines))
    assert "more than 3 rows" in refused(workbook(tmp_path / "a.xlsx", {"people": rows}))
    assert "3 columns" in refused(workbook(tmp_path / "b.xlsx", {"people": [["id", "name", "x"]]}))


# -------------------------------------------------------------------------------------- XLSX


def test_all_sheets_of_a_workbook_are_read_as_values(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"人员": [["编号", 17], [], ["x"]], "说明": [[1.5, True]]})
    assert read(path) == [("人员", [["编号", 17], [], ["x"]]), ("说明", [[1.5, True]])]


def test_a_formula_is_its_value_and_without_one_an_error(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"people": [["=1+1", "=A1", None, "'=A1"]]})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet] = (
        parts[sheet]
        .replace(b"<f>1+1</f><v></v>", b"<f>1+1</f><v>2</v>")
        .replace(b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>")
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    assert read(path) == [("people", [[2, UNCALCULATED, None, "'=A1"]])]


def altered(path: Path, part: str, pattern: bytes, by: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    changed = re.sub(pattern, by, parts[part], count=1)
    assert changed != parts[part]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**parts, part: changed}.items():
            archive.writestr(name, content)


def test_what_a_sheet_says_of_its_size_is_not_believed(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"people": [["id"], ["1"], ["2"]]})
    altered(path, "xl/worksheets/sheet1.xml", b'ref="A1:A3"', b'ref="A1"')
    assert read(path) == [("people", [["id"], ["1"], ["2"]])]


def test_a_row_far_below_is_refused_and_not_counted_up_to(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"people": [["id"], ["1"]]})
    altered(path, "xl/worksheets/sheet1.xml", b'row r="2"', b'row r="99999999999"')
    assert "more than 300000 rows" in refused(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = workbook(tmp_path / "bomb.xlsx", {"people": [["id"]]})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(f"xl/media/{number}.bin", b"\0" * (128 << 20))
    assert path.stat().st_size < 1 << 20
    assert "unpacks to 640 MB" in refused(path)


def test_a_workbook_of_very_many_parts_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "parts.xlsx", {"people": [["id"]]})
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(1_001):
            archive.writestr(f"x/{number}", b"")
    assert "parts" in refused(path)


def test_entities_that_multiply_are_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "laughs.xlsx", {"people": [["id"], ["boom"]]})
    entities = b"".join(
        b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10 if n else b"ha" * 10) for n in range(9)
    )
    part = "xl/worksheets/sheet1.xml"
    altered(path, part, b"^", b"<!DOCTYPE worksheet [" + entities + b"]>")
    altered(path, part, b'<c r="A2".*?</c>', b'<c r="A2" t="str"><v>&e8;</v></c>')
    assert "no workbook that can be read (ParseError)" in refused(path)


@pytest.mark.parametrize(
    "part", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "[Content_Types].xml", "xl/styles.xml"]
)
@pytest.mark.parametrize("by", [b"", b"<broken", b"<a/>"])
def test_a_workbook_with_a_broken_part_is_refused_or_read_never_a_crash(
    tmp_path: Path, part: str, by: bytes
) -> None:
    path = workbook(tmp_path / "a.xlsx", {"people": [["id"], ["1"]]})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**parts, part: by}.items():
            archive.writestr(name, content)
    with suppress(FileError):
        read(path)


def test_a_workbook_with_any_damage_is_refused_or_read_never_a_crash(tmp_path: Path) -> None:
    chance = random.Random(7)
    path = workbook(tmp_path / "a.xlsx", {"people": [["id", "name"], ["1", "x"]] * 5})
    whole = path.read_bytes()
    for _ in range(150):
        raw = bytearray(whole)
        for _ in range(chance.randrange(1, 20)):
            raw[chance.randrange(4, len(raw))] = chance.randrange(256)
        path.write_bytes(raw[: chance.randrange(100, len(raw) * 2)])
        with suppress(FileError):
            read(path)


def test_a_workbook_that_opens_has_no_warnings_for_a_terminal(tmp_path: Path) -> None:
    book = Workbook()
    book.worksheets[0].title = "people"
    cell = book.worksheets[0]["A1"]
    cell.value = 10**9  # no date that there is
    cell.number_format = "yyyy-mm-dd"
    book.save(tmp_path / "a.xlsx")
    assert read(tmp_path / "a.xlsx") == [("people", [["#VALUE!"]])]
