"""Hours as people write them become a schedule's spans, and read back from how they are written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.directory import hours
from gatewayd.directory.cells import Cell, CellError
from gatewayd.store.whitelist_records import WEEKDAYS, ScheduleRecord, intervals

MORNING, NIGHT = ["08:00:00", "12:00:00"], ["22:00:00", "06:00:00"]


@pytest.mark.parametrize(
    ("cell", "spans"),
    [
        ("08:00-12:00", [MORNING]),
        ("8:00 - 12:00; 22:00-06:00", [MORNING, NIGHT]),
        ("08:00—12:00、22：00～06：00", [MORNING, NIGHT]),
        ("08:00至12:00，22:00到06:00", [MORNING, NIGHT]),
        ("08:00:00-12:00:00\n22:00-06:00", [MORNING, NIGHT]),
        ("08:00:30-24:00", [["08:00:30", "24:00:00"]]),
        ("全天", [hours.WHOLE_DAY]),
        ("All day", [hours.WHOLE_DAY]),
        ("休息", []),
        ("closed", []),
        ("-", []),
        ("", []),
        (None, []),
    ],
)
def test_hours_of_a_day(cell: Cell, spans: hours.Spans) -> None:
    assert hours.hours(cell) == spans


@pytest.mark.parametrize(
    "cell",
    ["8-12", "08:00", "08:00-", "08:00-12:60", "25:00-26:00", "24:00-01:00", "08:00-24:01",
     "08:00-12:00 and 13:00-14:00", "morning", 8, True],
)  # fmt: skip
def test_what_is_no_hours_is_refused(cell: Cell) -> None:
    with pytest.raises(CellError):
        hours.hours(cell)


def resolve(name: str) -> str:
    known = {"国庆": "national", "national": "national", "cn:2026": "cn:2026"}
    if name not in known:
        raise CellError("there is no calendar", "another")
    return known[name]


def test_special_days() -> None:
    cell = (
        "国庆 = 关闭 | national ＝ 08:00-12:00; 22:00-06:00 ｜ cn:2026 = as Monday\nnational=同周日"
    )
    assert hours.special_days(cell, resolve) == [
        {"calendar": "national", "hours": []},
        {"calendar": "national", "hours": [MORNING, NIGHT]},
        {"calendar": "cn:2026", "as": "mon"},
        {"calendar": "national", "as": "sun"},
    ]
    assert hours.special_days(None, resolve) == []


@pytest.mark.parametrize(
    "cell",
    ["national", "national =", "= closed", "a = closed", "national = as holiday",
     "national = 8-12", "national = closed = closed"],
)  # fmt: skip
def test_what_is_no_special_days_is_refused(cell: str) -> None:
    with pytest.raises(CellError):
        hours.special_days(cell, resolve)


clocks = st.integers(0, 86_399).map(lambda s: f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}")
days = st.lists(st.tuples(clocks, clocks | st.just("24:00:00")).map(list), max_size=4)


@given(days)
def test_written_hours_read_back_and_are_what_the_whitelist_takes(spans: hours.Spans) -> None:
    read = hours.hours(hours.written_hours(spans))
    assert read == spans
    assert len(intervals([(start, end) for start, end in read])) == len(spans)


special = st.one_of(
    st.fixed_dictionaries({"calendar": st.just("cn:2026"), "hours": days}),
    st.fixed_dictionaries({"calendar": st.just("national"), "as": st.sampled_from(WEEKDAYS)}),
)


@given(st.lists(special, max_size=3))
def test_written_special_days_read_back(wanted: list[dict[str, object]]) -> None:
    read = hours.special_days(hours.written_special_days(wanted), resolve)
    assert read == wanted
    record = {"t": "schedule", "id": "s", "name": "", "week": [[]] * 7, "special_days": read}
    ScheduleRecord.model_validate_json(json.dumps(record))
