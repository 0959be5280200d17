"""A cell is read as what it says, refused where that can't be told, and written so that it reads
back the same."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatewayd.directory import cells
from gatewayd.directory.cells import Cell, CellError

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone: ZoneInfo = SHANGHAI) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp())


# ---------------------------------------------------------------------------------- texts


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("王芳", "王芳"),
        ("\u3000王 芳 \u00a0", "王 芳"),
        (None, ""),
        (17, "17"),
        (13800001234.0, "13800001234"),
        ("'=1+1", "=1+1"),
        ("'  spaces stay ", "  spaces stay "),
        ("'", ""),
    ],
)
def test_a_text_or_a_whole_number_is_read(cell: Cell, text: str) -> None:
    assert cells.text(cell) == text


@pytest.mark.parametrize(
    "cell",
    [
        *("1.38E+10", "1E+5", "3月1日", "1-Mar", "Mar-01", "#N/A", "#REF!", cells.UNCALCULATED),
        *(True, 17.5, 1e15, float("nan"), float("inf"), date(2026, 3, 1), time(8), timedelta(1)),
        *("bell\x07", "cut\rshort", "x" * 201),
    ],
)
def test_what_a_spreadsheet_has_made_something_else_of_is_refused(cell: Cell) -> None:
    with pytest.raises(CellError) as caught:
        cells.text(cell)
    assert caught.value.instead


@pytest.mark.parametrize(
    "cell", ["=cmd|' /C calc'!A0", "+86 138", "-1", "@SUM(A1)", "＝1+1", "\tx"]
)
def test_what_a_spreadsheet_would_take_for_a_formula_is_written_as_a_text(cell: str) -> None:
    assert cells.written(cell) == "'" + cell
    assert cells.text("'" + cell) == cell


texts = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs", "Cc"]), st.sampled_from("\t\n '=+-@1E+5月日")
    ),
    max_size=30,
)


@given(texts)
@example("1E+5")
@example("3月1日")
@example("#N/A")
@example("'")
@example(" ")
def test_a_written_text_reads_back_as_it_was(text: str) -> None:
    if any(sign in text for sign in "\ufffe\uffff"):
        return
    assert cells.text(cells.written(text)) == text


@pytest.mark.parametrize("text", ["a\x00b", "\r", "\ufffe", "\ud800", "\x7f"])
def test_what_no_sheet_can_hold_is_not_written(text: str) -> None:
    with pytest.raises(CellError, match="no spreadsheet can hold"):
        cells.written(text)


# ------------------------------------------------------------------------------ ids, counts


def test_ids_are_those_of_the_whitelist_also_as_numbers() -> None:
    assert cells.id_("p-17") == "p-17"
    assert cells.id_(17.0) == "17"
    for cell in ("", None, "王芳", "a b", "x" * 65, 1.5):
        with pytest.raises(CellError):
            cells.id_(cell)


@pytest.mark.parametrize("cell", ["a; b", "a、b", "a，b", "a,b", "a\nb;;a", "；a； b；"])
def test_several_names_are_separated_as_people_do(cell: str) -> None:
    assert cells.names(cell) == ["a", "b"]
    assert cells.names("Main gate; side") == ["Main gate", "side"]
    assert cells.names(None) == []


def test_counts() -> None:
    assert cells.count(3.0) == 3
    assert cells.count(" 12 ") == 12
    for never in (None, "", "不限", "-", "Unlimited"):
        assert cells.count(never) is None
    for cell in ("0", 0, "-1", "１２", "many", 2**53 + 1, str(2**53 + 1)):
        with pytest.raises(CellError):
            cells.count(cell)


@pytest.mark.parametrize("cell", [True, "yes", "Y", "是", "TRUE", "√", 1, 1.0])
def test_yes(cell: Cell) -> None:
    assert cells.yes(cell)


@pytest.mark.parametrize("cell", [False, "no", "否", "无", "FALSE", "", None, 0])
def test_no(cell: Cell) -> None:
    assert not cells.yes(cell)


def test_neither_yes_nor_no_is_refused() -> None:
    with pytest.raises(CellError, match="neither yes nor no"):
        cells.yes("perhaps")


# -------------------------------------------------------------------------------- moments


@pytest.mark.parametrize(
    "cell",
    [
        *("2026-11-30", "2026/11/30", "2026.11.30", "2026年11月30日", " 2026-11-30 "),
        *(date(2026, 11, 30), datetime(2026, 11, 30)),  # noqa: DTZ001  # as spreadsheets have them
    ],
)
def test_a_date_alone_is_the_whole_day(cell: Cell) -> None:
    assert cells.moment(cell, SHANGHAI, end=False) == at("2026-11-30 00:00")
    assert cells.moment(cell, SHANGHAI, end=True) == at("2026-12-01 00:00")


@pytest.mark.parametrize(
    "cell",
    [
        *("2026-11-30 18:00", "2026/11/30 18:00:00", "2026-11-30T18:00", "2026年11月30日 18:00"),
        *("2026-11-30 11:00+01:00", f"@{at('2026-11-30 18:00')}"),
        datetime(2026, 11, 30, 18),  # noqa: DTZ001  # as spreadsheets have them
    ],
)
def test_a_time_of_day_is_meant_to_the_second(cell: Cell) -> None:
    for end in (False, True):
        assert cells.moment(cell, SHANGHAI, end=end) == at("2026-11-30 18:00")


def test_midnight_that_is_written_is_midnight() -> None:
    assert cells.moment("2026-11-30 00:00", SHANGHAI, end=True) == at("2026-11-30 00:00")


@pytest.mark.parametrize("cell", [None, "", "  ", "长期", "永久", "never", "-"])
def test_no_date_is_no_limit(cell: Cell) -> None:
    assert cells.moment(cell, SHANGHAI, end=True) is None


@pytest.mark.parametrize(
    "cell",
    [
        *("30.11.2026", "11/30/2026", "2026-11", "2026-02-30", "2026-13-01", "2026-11/30", "soon"),
        *("2026-11-30 24:00", "2026-11-30 18", 46000, 46000.5, True, time(8), "20261130"),
        *("9999-12-31",),
    ],
)
def test_what_is_no_date_for_sure_is_refused(cell: Cell) -> None:
    with pytest.raises(CellError):
        cells.moment(cell, SHANGHAI, end=True)


def test_the_first_and_the_last_day_that_there_is() -> None:
    with pytest.raises(CellError, match="too far away"):
        cells.moment("9999-12-31", SHANGHAI, end=True)
    assert cells.moment("0001-01-01", SHANGHAI, end=False) == -62_135_625_943
    written = cells.written_moment(-62_135_596_800, ZoneInfo("America/New_York"), end=True)
    assert cells.moment(written, ZoneInfo("America/New_York"), end=True) == -62_135_596_800


def test_a_day_ends_with_the_next_ones_first_second_also_where_that_is_not_midnight() -> None:
    cairo = ZoneInfo("Africa/Cairo")  # on 2026-04-24 its clocks go from 00:00 to 01:00
    expected = datetime(2026, 4, 23, 22, tzinfo=UTC).timestamp()
    assert cells.moment("2026-04-23", cairo, end=True) == expected
    assert cells.moment("2026-04-24", cairo, end=False) == expected


@pytest.mark.parametrize(
    ("moment", "zone", "end", "text"),
    [
        (at("2026-12-01 00:00"), SHANGHAI, True, "2026-11-30"),
        (at("2026-12-01 00:00"), SHANGHAI, False, "2026-12-01"),
        (at("2026-11-30 18:00"), SHANGHAI, True, "2026-11-30 18:00"),
        (at("2026-11-30 18:00:05"), SHANGHAI, False, "2026-11-30 18:00:05"),
        (at("2026-10-25 02:30", BERLIN), BERLIN, True, "2026-10-25 02:30"),
        (at("2026-10-25 02:30", BERLIN) + 3600, BERLIN, True, "2026-10-25 02:30:00+01:00"),
        (2**53, SHANGHAI, True, f"@{2**53}"),
        (-(2**53), SHANGHAI, False, f"@{-(2**53)}"),
    ],
)
def test_moments_are_written_as_people_write_them(
    moment: int, zone: ZoneInfo, end: bool, text: str
) -> None:
    assert cells.written_moment(moment, zone, end=end) == text


ZONES = [SHANGHAI, BERLIN, ZoneInfo("Africa/Cairo"), ZoneInfo("Australia/Lord_Howe")]


@given(
    st.one_of(st.none(), st.integers(-(2**53), 2**53), st.integers(0, 2**33)),
    st.sampled_from(ZONES),
    st.booleans(),
)
def test_a_written_moment_reads_back_as_it_was(
    moment: int | None, zone: ZoneInfo, end: bool
) -> None:
    assert cells.moment(cells.written_moment(moment, zone, end=end), zone, end=end) == moment


@pytest.mark.parametrize("cell", ["2026-10-01", date(2026, 10, 1), datetime(2026, 10, 1)])  # noqa: DTZ001  # as above
def test_a_day_of_a_calendar(cell: Cell) -> None:
    assert cells.day(cell) == date(2026, 10, 1)


def test_a_day_of_a_calendar_has_no_time() -> None:
    assert cells.day(" ") is None
    for cell in ("2026-10-01 08:00", 46000, "October"):
        with pytest.raises(CellError):
            cells.day(cell)
