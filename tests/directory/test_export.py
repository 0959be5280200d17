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
from gatewayd.domain.model import card
from gatewayd.store.whitelist_records import WEEKDAYS, LineReader
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

ids = st.text("ABab019._:-", min_size=1, max_size=6)
TRICKY = ["=1+1", "+86", "-", "@x", "'", "''", " ", "1E+5", "3月1日", "#N/A", "业主", "Owner", "是"]
words = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))
texts = st.one_of(st.sampled_from(TRICKY), words.map(lambda text: text[:20]), st.just("a\tb\nc"))
seconds = st.one_of(st.none(), st.integers(-(2**53), 2**53), st.integers(10**9, 2 * 10**9))
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
clocks = st.integers(0, 86_399).map(lambda s: f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}")
spans = st.lists(st.tuples(clocks, clocks | st.just("24:00:00")).map(list), max_size=2)


def some(strategy: st.SearchStrategy[Any], known: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(strategy, max_size=3, unique=True) if known else st.just([])


@st.composite
def lists(draw: st.DrawFn) -> Listing:
    """Any list that the store would take, with references that lead somewhere."""
    records: list[dict[str, Any]] = []

    def named(t: str, **more: Any) -> list[str]:
        made = draw(st.lists(ids, max_size=3, unique=True))
        for one in made:
            fields = {key: draw(value) for key, value in more.items()}
            records.append({"t": t, "id": one, "name": draw(texts), **fields})
        return made

    days = st.lists(st.dates().map(str), max_size=4)
    calendars = named("calendar", dates=days, kind=st.sampled_from(["holiday", "workday"]))
    calendar = st.sampled_from(calendars or ["none"])
    special = st.one_of(
        st.fixed_dictionaries({"calendar": calendar, "hours": spans}),
        st.fixed_dictionaries({"calendar": calendar, "as": st.sampled_from(WEEKDAYS)}),
    )
    weeks = st.lists(spans, min_size=7, max_size=7)
    more = some(special, []) if not calendars else st.lists(special, max_size=2)
    schedules = named("schedule", week=weeks, special_days=more)
    doors = st.lists(ids, max_size=2)
    groups = named("group", doors=doors)
    levels: list[str] = []
    if schedules:
        in_groups = some(st.sampled_from(groups or ["none"]), groups)
        schedule = st.sampled_from(schedules)
        levels = named("level", doors=doors, groups=in_groups, schedule=schedule)
    pins = st.sampled_from(["", "a" * 64])
    people = named(
        "person", role=texts | st.sampled_from(["owner", "staff"]), building=texts, unit=texts,
        room=texts, phone=texts, photo=texts, levels=some(st.sampled_from(levels or [""]), levels),
        pin=pins, watch=texts, may_escort=st.booleans(), needs_escort=st.booleans(),
        extended_opening=st.booleans(), duress_pin=st.sampled_from(["", "b" * 64]),
    )  # fmt: skip
    if people:
        records += draw(st.lists(credentials(people), max_size=4))
    return listing.listing_of(records)


def credentials(people: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    cards = st.tuples(st.integers(1, 70), st.integers(0)).map(
        lambda pair: card(pair[1] % (1 << pair[0]), pair[0])
    )
    plates = texts.map(lambda text: "".join(text.upper().split())).filter(
        lambda text: text and text == text.upper() and text.split() == [text]
    )
    what = st.one_of(
        cards.map(lambda c: {"kind": "card", "bits": c.bit_count, "value": c.value}),
        hashes.map(lambda text: {"kind": "pin", "value": text}),
        texts.filter(bool).map(lambda text: {"kind": "qr", "value": text}),
        plates.map(lambda text: {"kind": "plate", "value": text}),
    )
    status = st.sampled_from(["active", "suspended", "lost", "revoked"])
    rest = st.fixed_dictionaries(
        {
            "t": st.just("credential"), "person": st.sampled_from(people), "status": status,
            "valid_from": seconds, "valid_until": seconds, "permit_until": seconds,
            "uses": st.none() | st.integers(1, 2**53), "duress": st.booleans(), "watch": texts,
        }
    )  # fmt: skip
    return st.tuples(rest, what).map(lambda pair: {**pair[0], **pair[1]}).filter(in_order)


def in_order(record: dict[str, Any]) -> bool:
    begins, ends = record["valid_from"], record["valid_until"]
    return begins is None or ends is None or begins < ends


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
