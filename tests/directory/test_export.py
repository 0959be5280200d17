"""What an export writes reads back as the same list, whatever is in it, and no spreadsheet takes
any of it for a formula."""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from gatewayd.directory import listing
from gatewayd.directory.columns import DOORS, Names, Reading
from gatewayd.directory.draft import draft_of
from gatewayd.directory.export import export
from gatewayd.directory.listing import Listing
from gatewayd.directory.problem import DirectoryError
from gatewayd.directory.shown import Showing
from gatewayd.directory.tables import TABLES
from gatewayd.directory.words import Language
from gatewayd.store.whitelist_records import LineReader
from tests.directory.any_list import lists
from tests.directory.files import SHANGHAI, site

CHINESE, ENGLISH = Language.CHINESE, Language.ENGLISH


def read_back(files: list[Path], zone: ZoneInfo = SHANGHAI, base: Listing | None = None) -> Listing:
    reading = Reading(zone, None, {DOORS: Names()})
    made = draft_of(files, base or listing.empty(), reading, lambda _text: None)
    assert [str(problem) for problem in made.problems] == []
    return made.listing


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("target", ["list.xlsx", "folder"])
def test_an_import_of_an_export_changes_nothing(
    tmp_path: Path, target: str, language: Language
) -> None:
    made = site(tmp_path)
    files = export(tmp_path / target, made, Showing(language, SHANGHAI))
    assert read_back(files, base=made) == made
    assert read_back(files) == made


# ------------------------------------------------------------------- whatever is in the list

ZONES = [SHANGHAI, ZoneInfo("Europe/Berlin"), ZoneInfo("Africa/Cairo")]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lists(), st.sampled_from(ZONES), st.sampled_from(list(Language)), st.booleans())
def test_any_list_that_the_store_takes_reads_back_as_it_was(
    made: Listing, zone: ZoneInfo, language: Language, as_workbook: bool
) -> None:
    for _ in LineReader().read(listing.chunks(made)):
        pass  # the store does take it
    folder = Path(tempfile.mkdtemp())
    try:
        target = folder / ("list.xlsx" if as_workbook else "csv")
        files = export(target, made, Showing(language, zone))
        assert read_back(files, zone) == made
    finally:
        shutil.rmtree(folder)


# ---------------------------------------------------------------------------- spreadsheets


def people(**more: Any) -> Listing:
    return listing.listing_of([{"t": "person", "id": "p-1", "name": "x", **more}])


FORMULAS = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "＝1", "\t=1"]


@pytest.mark.parametrize("name", FORMULAS)
def test_no_cell_of_a_csv_begins_as_a_formula(tmp_path: Path, name: str) -> None:
    export(tmp_path / "out", people(name=name, phone="+86 138"), Showing(ENGLISH, SHANGHAI))
    text = (tmp_path / "out" / "people.csv").read_bytes().decode("utf-8-sig")
    cells = [cell for row in csv.reader(io.StringIO(text, "")) for cell in row]
    assert "'" + name in cells
    assert not [cell for cell in cells if cell.startswith(tuple("=+-@＝＋－＠\t\r"))]


@pytest.mark.parametrize("name", FORMULAS)
def test_every_cell_of_a_workbook_is_a_text(tmp_path: Path, name: str) -> None:
    export(tmp_path / "list.xlsx", people(name=name, room="0301"), Showing(CHINESE, SHANGHAI))
    sheet = load_workbook(tmp_path / "list.xlsx")["人员"]
    filled = [cell for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert {(cell.data_type, cell.number_format) for cell in filled} == {("s", "@")}
    assert sheet["B2"].value == "'" + name
    assert sheet["F2"].value == "0301"
    # Also what is typed into the next row: 0123 stays 0123.
    assert sheet.column_dimensions["J"].number_format == "@"


def test_a_csv_is_one_that_excel_takes_for_utf_8(tmp_path: Path) -> None:
    files = export(tmp_path / "out", people(name="王芳"), Showing(CHINESE, SHANGHAI))
    assert [file.name for file in files] == [
        *("日历.csv", "时段.csv", "门组.csv", "权限.csv", "人员.csv", "凭证.csv")
    ]
    assert all(file.read_bytes().startswith(b"\xef\xbb\xbf") for file in files)


def test_files_are_for_their_owner_only_and_none_is_replaced(tmp_path: Path) -> None:
    for target in (tmp_path / "list.xlsx", tmp_path / "deep" / "out"):
        for file in export(target, people(), Showing(ENGLISH, SHANGHAI)):
            assert file.stat().st_mode & 0o777 == 0o600
        with pytest.raises(DirectoryError, match="is there already"):
            export(target, people(), Showing(ENGLISH, SHANGHAI))
    assert (tmp_path / "deep" / "out").stat().st_mode & 0o777 == 0o700


def test_a_list_that_no_sheet_can_hold_is_not_half_exported(tmp_path: Path) -> None:
    made = people(name="bell\x07")
    with pytest.raises(DirectoryError, match="the person of id 'p-1' can't be exported"):
        export(tmp_path / "out", made, Showing(ENGLISH, SHANGHAI))
    assert not (tmp_path / "out").exists()
    of_person = {"t": "credential", "kind": "qr", "value": "\x07", "person": "p-1"}
    with pytest.raises(DirectoryError, match="the credential of id 'p-1' can't be exported"):
        export(tmp_path / "o.xlsx", listing.listing_of([of_person]), Showing(ENGLISH, SHANGHAI))


def test_headers_and_tables_are_told_apart_in_both_languages() -> None:
    titles = [table.title(language) for table in TABLES for language in Language]
    assert len(set(titles)) == len(titles)
    for table in TABLES:
        for column in table.columns:
            for header in column.headers:
                assert table.column(header) is column
                assert table.column(f" {header.upper()} ") is column
