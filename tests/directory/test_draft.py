"""Sheets in the trade's own words become the list's records; every bad row is named with what to
write instead; a table that is not given stays as it is."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from gatewayd.directory import draft as drafts
from gatewayd.directory import listing
from gatewayd.domain.model import PersonId, card
from gatewayd.domain.pin import access_code, person_pin
from gatewayd.domain.wiegand import encode
from gatewayd.store import whitelist_file
from tests.directory.files import (
    CALENDARS,
    CREDENTIALS,
    GROUPS,
    KEY,
    LEVELS,
    PEOPLE,
    SCHEDULES,
    SHANGHAI,
    csv_file,
    draft,
    record,
    site,
    told,
    workbook,
)


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp())


# ------------------------------------------------------------------------ what is understood


def test_a_whole_site_in_chinese(tmp_path: Path) -> None:
    made = site(tmp_path)
    assert record(made, "calendar", "national")["dates"] == [
        *("2026-10-01", "2026-10-02", "2026-10-03", "2027-01-01")
    ]
    assert record(made, "calendar", "worked") == {
        "t": "calendar", "id": "worked", "name": "调休", "dates": ["2026-09-27"],
        "kind": "workday",
    }  # fmt: skip
    office = record(made, "schedule", "office")
    assert office["week"][0] == [["08:00:00", "12:00:00"], ["13:00:00", "18:00:00"]]
    assert office["week"][5:] == [[], []]
    assert office["special_days"] == [
        {"calendar": "national", "hours": []},
        {"calendar": "worked", "as": "mon"},
    ]
    assert record(made, "group", "gates")["doors"] == ["main-gate", "side"]
    assert record(made, "level", "residents") == {
        "t": "level", "id": "residents", "name": "业主通行", "doors": [], "groups": ["gates"],
        "schedule": "always",
    }  # fmt: skip
    assert record(made, "level", "cleaning")["schedule"] == "office"
    assert record(made, "person", "p-17") == {
        "t": "person", "id": "p-17", "name": "王芳", "role": "owner", "building": "6",
        "unit": "2", "room": "1203", "phone": "13800001234", "photo": "",
        "levels": ["residents", "parking"],
    }  # fmt: skip
    shown = card(encode("H10301", 12, 34567), 26)
    assert record(made, "credential", shown.key) == {
        "t": "credential", "kind": "card", "bits": 26, "value": shown.value, "person": "p-17",
        "status": "active", "valid_from": None, "valid_until": at("2026-12-01 00:00"),
    }  # fmt: skip
    lost = card(encode("H10306", 0x86, 0xF444), 34)
    assert record(made, "credential", lost.key)["status"] == "lost"
    assert record(made, "credential", lost.key)["valid_until"] == at("2026-11-30 18:00")
    assert "plate:0:沪A12345" in made["credential"]


def test_the_store_takes_what_was_read(tmp_path: Path) -> None:
    made = site(tmp_path)
    count, _ = whitelist_file.build(tmp_path / "list.db", 1, listing.chunks(made))
    assert count == 3


def test_english_headers_however_they_are_spaced_and_a_title_above_them(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path / "People.csv",
        "Residents of 2026,,,",
        "ID,Name,needs_escort,Extended opening,Notes,",
        "7,Ann,yes,1,knows the guard,",
    )
    made = draft(path)
    assert told(made) == []
    assert record(made.listing, "person", "7") == {
        "t": "person", "id": "7", "name": "Ann", "role": "owner", "building": "", "unit": "",
        "room": "", "phone": "", "photo": "", "levels": [], "extended_opening": True,
        "needs_escort": True,
    }  # fmt: skip
    assert "People.csv, row 2, column E: the column 'Notes' is not read" in made.notices


def test_escorts_may_stand_further_down_and_must_be_somewhere(tmp_path: Path) -> None:
    rows = ("v-1,访客,p-1、p-2", "p-1,王芳,", "p-2,李强,")
    made = draft(csv_file(tmp_path / "人员.csv", "编号,姓名,陪同人", *rows))
    assert told(made) == []
    assert record(made.listing, "person", "v-1")["escorts"] == ["p-1", "p-2"]
    assert "escorts" not in record(made.listing, "person", "p-1")
    made = draft(csv_file(tmp_path / "people.csv", "id,name,escorts", *rows, "v-2,访客,p-3;v-2"))
    assert told(made) == [
        "people.csv, row 5, column C (escorts): 'p-3;v-2': nobody is their own escort "
        "(instead: the ids of others)"
    ]
    made = draft(csv_file(tmp_path / "people.csv", "id,name,escorts", *rows, "v-2,访客,p-3"))
    assert told(made) == [
        "people.csv, row 5: there is no person 'p-3' (instead: an escort's id that there is)"
    ]


def test_an_escort_who_has_moved_out_is_no_mistake_of_who_stays(tmp_path: Path) -> None:
    base = draft(csv_file(tmp_path / "人员.csv", "编号,姓名,陪同人", "v-1,访客,p-1", "p-1,王芳,"))
    people = csv_file(tmp_path / "people.csv", "id,name,escorts", "v-1,访客,p-1")
    made = draft(people, base=base.listing)
    assert told(made) == []
    assert "people.csv, row 2: there is no person 'p-1' any more to escort 'v-1'" in made.notices
    assert record(made.listing, "person", "v-1")["escorts"] == ["p-1"]


def test_gb18030_with_semicolons_as_excel_in_china_saves(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "住户.csv", "编号;姓名;房号", "p-1;王芳;0301", encoding="gb18030")
    made = draft(path)
    assert record(made.listing, "person", "p-1")["room"] == "0301"
    assert made.notices == ["住户.csv: read as GB18030, separated by semicolons"]


def test_pins_are_hashed_before_anything_is_kept(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "site.xlsx",
        {
            "人员": [["编号", "姓名", "密码", "胁迫密码"], ["p-1", "王芳", "0123", "4567"]],
            "凭证": [["类型", "卡号", "人员编号"], ["密码", "246810", "p-1"]],
        },
    )
    made = draft(path)
    assert told(made) == []
    person = record(made.listing, "person", "p-1")
    assert person["pin"] == person_pin(KEY, PersonId("p-1"), "0123")
    assert person["duress_pin"] == person_pin(KEY, PersonId("p-1"), "4567")
    assert list(made.listing["credential"]) == [access_code(KEY, "246810").key]
    assert b"0123" not in b"".join(listing.lines(made.listing))


def test_a_pin_in_the_clear_replaces_the_hash_beside_it(tmp_path: Path) -> None:
    old = person_pin(KEY, PersonId("p-1"), "0123")
    path = csv_file(tmp_path / "people.csv", "id,name,pin,pin hash", f"p-1,x,9876,{old}")
    new = record(draft(path).listing, "person", "p-1")["pin"]
    assert new == person_pin(KEY, PersonId("p-1"), "9876")


def test_all_the_other_fields_of_a_credential(tmp_path: Path) -> None:
    people = csv_file(tmp_path / "people.csv", "id,name", "p-1,x")
    path = csv_file(
        tmp_path / "credentials.csv",
        "kind,number,person,valid from,uses,duress,permit until,watch",
        "qr,  pass 7 ,p-1,2026-11-01 08:00,3,是,2026-12-31,'=stolen",
    )
    made = draft(people, path)
    assert told(made) == []
    assert record(made.listing, "credential", "qr:0:pass 7") == {
        "t": "credential", "kind": "qr", "bits": 0, "value": "pass 7", "person": "p-1",
        "status": "active", "valid_from": at("2026-11-01 08:00"), "valid_until": None, "uses": 3,
        "duress": True, "permit_until": at("2027-01-01 00:00"), "watch": "=stolen",
    }  # fmt: skip


# -------------------------------------------------------------------------- every bad row


def people(tmp_path: Path, *lines: str, header: str = "id,name,pin,watch") -> list[str]:
    return told(draft(csv_file(tmp_path / "people.csv", header, *lines)))


def test_every_bad_cell_of_every_bad_row_is_named_and_good_rows_are_not(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "site.xlsx",
        {
            "人员": [*PEOPLE, ["李 四", "李四", *[None] * 5, "residents; moon"], [None, "赵六"]],
            "凭证": [
                CREDENTIALS[0],
                [None, "1,2", "H10301", None, "p-99", "碎了", "30.11.2026"],
                ["卡", 12345, None, 26, "p-17", None, None],
            ],
        },
    )
    made = draft(path, base=site(tmp_path))
    assert told(made) == [
        "site.xlsx, sheet 人员, row 4, column A (编号): '李 四': it is no id (instead: 1 to 64 of "
        "the letters A-Z and a-z, digits and . _ : -, without spaces)",
        "site.xlsx, sheet 人员, row 4, column H (权限): 'residents; moon': there is no level "
        "'moon' (instead: the id of a level that there is)",
        "site.xlsx, sheet 人员, row 5, column A (编号): it is no id (instead: 1 to 64 of the "
        "letters A-Z and a-z, digits and . _ : -, without spaces)",
        "site.xlsx, sheet 凭证, row 2, column E (人员编号): 'p-99': there is no person 'p-99' "
        "(instead: the id of a person that there is)",
        "site.xlsx, sheet 凭证, row 2, column F (状态): '碎了': the word is not known (instead: "
        "one of active (正常), suspended (停用), lost (挂失), revoked (注销))",
        "site.xlsx, sheet 凭证, row 2, column G (有效期至): '30.11.2026': it is no date (instead: "
        "write 2026-11-30 or 2026-11-30 18:00, the year first)",
        "site.xlsx, sheet 凭证, row 3, column B (卡号): the spreadsheet made a number of it "
        "(instead: format the column as text and write it again, or put 0x first)",
    ]


def test_a_person_without_a_name_is_refused(tmp_path: Path) -> None:
    people = csv_file(tmp_path / "people.csv", "id,name", "p-1,x", "p-2,", "p-3,'", 'p-4,"  "')
    found = [(p.place.row, p.place.column, p.what) for p in draft(people).problems]
    assert found == [(row, "B (name)", "it is empty") for row in (3, 4, 5)]


def test_what_only_several_cells_say_is_checked_too(tmp_path: Path) -> None:
    owner = csv_file(tmp_path / "people.csv", "id,name,pin,duress pin", "p-1,x,1234,1234")
    header = "kind,number,format,bits,hash,person,valid from,valid until"
    made = draft(
        owner,
        csv_file(
            tmp_path / "credentials.csv",
            header,
            "card,1-1,H10301,,,p-1,,",
            "card,,H10301,,,p-1,,",
            "plate,沪A1,,26,,p-1,,",
            "qr,x,hex,,,p-1,,",
            f"qr,y,,,{'0' * 64},p-1,,",
            "pin,,,,,p-1,,",
            "pin,,,,beef,p-1,,",
            "pin,12,,,,p-1,,",
            "qr,z,,,,p-1,2026-11-30,2026-11-29",
            "qr,z,,,,p-1,,",
            "qr,z,,,,p-1,,",
        ),
    )
    found = [(p.place.row, p.place.column, p.what) for p in made.problems]
    assert found == [
        (2, "D (duress pin)", "it is the PIN as well"),
        (2, "B (number)", "it is not two numbers"),
        (3, "B (number)", "it is empty"),
        (4, "D (bits)", "'26': it is for cards only"),
        (5, "C (format)", "'hex': it is for cards only"),
        (6, "E (hash)", "it is for codes only"),
        (7, "B (number)", "it is empty"),
        (8, "E (hash)", "it is no hash of a PIN"),
        (9, "B (number)", "it is no PIN"),
        (10, "H (valid until)", "'2026-11-29': it ends before it begins"),
        (12, "B (number)", "it stands in row 11 already"),
    ]


def test_calendars_whose_rows_contradict_each_other_are_named(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path / "calendars.csv",
        "id,name,kind,from,until",
        "a,A,holiday,2026-10-01,2026-09-01",
        "b,B,,,2026-10-01",
        "c,C,,2026-10-01,",
        "c,other,,2026-10-02,",
        "d,D,,2026-10-01,2028-10-01",
        "e,E,,,",
    )
    made = draft(path)
    assert [(p.place.row, p.place.column) for p in made.problems] == [
        *((2, "E (until)"), (3, "D (from)"), (5, "B (name)"), (6, "E (until)"))
    ]
    assert record(made.listing, "calendar", "e")["dates"] == []


def test_an_id_that_stands_there_twice_is_named_with_both_rows(tmp_path: Path) -> None:
    [line] = people(tmp_path, "p-1,x,,", "p-2,x,,", "p-1,y,,")
    assert line.startswith("people.csv, row 4, column A (id): 'p-1': it stands in row 2 already")


@pytest.mark.parametrize("cell", ["123", "123456789", "12a4", "１２３４"])
def test_what_is_no_pin_is_refused_without_its_digits(tmp_path: Path, cell: str) -> None:
    [line] = people(tmp_path, f"p-1,x,{cell},")
    assert "column C (pin): it is no PIN (instead: 4 to 8 digits)" in line
    assert cell not in line


def test_a_pin_that_a_spreadsheet_made_a_number_of_may_have_lost_its_zeros(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"people": [["id", "name", "pin"], ["p-1", "x", 1234]]})
    [line] = told(draft(path))
    assert "made a number of it" in line
    assert "1234" not in line


def test_pins_without_a_key_say_which_setting_is_missing(tmp_path: Path) -> None:
    made = draft(
        csv_file(tmp_path / "people.csv", "id,name,pin", "p-1,x,1234"),
        csv_file(tmp_path / "credentials.csv", "kind,number,person", "pin,1234,p-1"),
        pin_key=None,
    )
    assert ["[site] pin_key_file" in line for line in told(made)] == [True, True]


def test_a_name_that_several_have_is_no_reference(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "a.xlsx",
        {
            "schedules": [SCHEDULES[0], ["a", "全天", *["全天"] * 7], ["b", "全天"]],
            "levels": [LEVELS[0], ["x", "X", None, None, "全天"], ["y", "Y", None, None, "a"]],
        },
    )
    made = draft(path)
    [line] = told(made)
    assert "row 2, column E (时段): '全天': several have this name (instead: an id: a, b)" in line
    assert "y" in made.listing["level"]


def test_one_mistake_is_not_told_again_by_all_that_refer_to_it(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "a.xlsx",
        {
            "groups": [GROUPS[0], ["gates", "出入口", "不 存在!"]],
            "levels": [LEVELS[0], ["all", "x", None, "gates", "nothing"]],
            "people": [["id", "name", "levels"], *([f"p-{n}", "x", "all"] for n in range(5))],
        },
    )
    assert [p.place.sheet for p in draft(path).problems] == ["groups", "levels"]
    # Nor by those of a table that stays.
    bad = workbook(tmp_path / "b.xlsx", {"groups": [GROUPS[0], ["gates", "出入口", "不 存在!"]]})
    assert len(draft(bad, base=site(tmp_path)).problems) == 1


# ----------------------------------------------------------------------- files and tables


def test_files_that_are_no_tables_are_named(tmp_path: Path) -> None:
    residents = csv_file(tmp_path / "residents.csv", "id,name", "p-1,x")
    missing = tmp_path / "people.csv"
    empty = csv_file(tmp_path / "levels.csv", "")
    headless = csv_file(tmp_path / "groups.csv", "gates,Gates,main-gate")
    nameless = csv_file(tmp_path / "人员.csv", "编号,电话", "p-1,1")
    lines = told(draft(residents, missing, empty, headless, nameless))
    assert "residents.csv: nothing in it has a table's name (instead: one of calendars" in lines[0]
    assert "people.csv: it can't be read: No such file" in lines[1]
    assert "groups.csv: there is no row with this table's headers" in lines[2]
    assert "levels.csv: there is no row with this table's headers" in lines[3]
    assert lines[4] == (
        "人员.csv, row 1: there is no column name (姓名) (instead: one with that header)"
    )


def test_a_text_that_is_named_a_workbook_is_told_so(tmp_path: Path) -> None:
    assert told(draft(csv_file(tmp_path / "people.xlsx", "id,name", "p-1,x"))) == [
        "people.xlsx: it is no workbook, whatever its name says "
        "(instead: one saved as .xlsx, or a CSV file named .csv)"
    ]


def test_a_table_or_a_column_that_is_given_twice_is_named(tmp_path: Path) -> None:
    one = csv_file(tmp_path / "people.csv", "id,name,姓名", "p-1,x,y")
    other = csv_file(tmp_path / "人员.csv", "编号,姓名", "p-1,x")
    lines = told(draft(one, other))
    assert lines == [
        "人员.csv: it is people again, after people.csv (instead: one of both)",
        "people.csv, row 1, column C: a second column name (instead: one of both)",
    ]


def test_a_sheet_of_notes_is_left_alone(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"说明": [["Hello"]], "people": [["id", "name"]]})
    made = draft(path)
    assert told(made) == []
    assert made.notices == ["a.xlsx, sheet 说明: not read: it has no table's name"]
    assert made.listing["person"] == {}


def test_a_damaged_file_stops_nothing_but_its_own_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewayd.directory.sheets.MAX_ROWS", 12)
    path = csv_file(tmp_path / "people.csv", "id,name", *(f"p-{n},x" for n in range(20)))
    [line] = told(draft(path))
    assert "more than 12 rows" in line


def test_a_table_that_is_not_given_stays_as_it_is(tmp_path: Path) -> None:
    base = site(tmp_path)
    rows = [*PEOPLE, ["p-19", "赵六", None, None, None, None, None, "cleaning"]]
    made = draft(workbook(tmp_path / "a.xlsx", {"人员": rows}), base=base)
    assert told(made) == []
    assert list(made.listing["person"]) == ["p-17", "p-18", "p-19"]
    assert {**made.listing, "person": {}} == {**base, "person": {}}


def test_what_a_kept_table_still_needs_must_not_go(tmp_path: Path) -> None:
    base = site(tmp_path)
    made = draft(
        workbook(tmp_path / "a.xlsx", {"人员": PEOPLE[:2], "时段": SCHEDULES[:2]}), base=base
    )
    assert told(made) == [
        "a.xlsx, sheet 时段: schedule 'office' is not in it, but 1 level record still refers to it "
        "(instead: its row, or give the levels as well)",
        "a.xlsx, sheet 人员: person 'p-18' is not in it, but 1 credential record still refers "
        "to it (instead: its row, or give the credentials as well)",
    ]


def test_a_few_people_given_for_all_are_one_mistake(tmp_path: Path) -> None:
    base = site(tmp_path)
    many = [[f"p-{n}", "某", None, None, None, None, None, "cleaning"] for n in range(20, 30)]
    whole = draft(workbook(tmp_path / "b.xlsx", {"人员": [*PEOPLE, *many]}), base=base).listing
    card = next(line for line in whole["credential"].values() if b"p-17" in line)
    cards = {f"card-{n}": card.replace(b"p-17", f"p-{n}".encode()) for n in range(20, 30)}
    kept = {**whole, "credential": {**whole["credential"], **cards}}
    made = draft(workbook(tmp_path / "a.xlsx", {"人员": PEOPLE}), base=kept)
    [problem] = made.problems
    assert problem.what == (
        "10 persons are not in it, but credentials still refer to them:"
        " 'p-20', 'p-21', 'p-22', 'p-23', 'p-24', …"
    )


def test_what_schedules_and_levels_that_stay_refer_to_must_stay_too(tmp_path: Path) -> None:
    made = draft(
        workbook(tmp_path / "a.xlsx", {"日历": CALENDARS[:1], "门组": GROUPS[:1]}),
        base=site(tmp_path),
    )
    assert [problem.what for problem in made.problems] == [
        "calendar 'national' is not in it, but 1 schedule record still refers to it",
        "calendar 'worked' is not in it, but 1 schedule record still refers to it",
        "group 'gates' is not in it, but 1 level record still refers to it",
    ]


def test_what_the_store_would_refuse_is_told_here_with_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewayd.directory.records._digits", lambda _cell, _column: "1" * 4)
    monkeypatch.setattr("gatewayd.directory.records.person_pin", lambda *_: "short")
    path = csv_file(tmp_path / "people.csv", "id,name,pin", "p-1,x,", "p-2,x,1234")
    [line] = told(draft(path))
    assert line.startswith("people.csv, row 3: pin: is not the keyed hash")


def test_after_very_many_mistakes_reading_stops_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafts, "MAX_PROBLEMS", 20)
    path = csv_file(tmp_path / "people.csv", "id,name", *["王,x"] * 50)
    made = draft(path)
    assert len(made.problems) == 20
    assert "people.csv: not read beyond row 22" in made.notices


def test_a_list_of_very_many_rows_says_how_far_it_is(tmp_path: Path) -> None:
    from gatewayd.directory.columns import DOORS, Names, Reading

    said: list[str] = []
    path = csv_file(tmp_path / "people.csv", "id,name", *(f"p-{n},x" for n in range(4_100)))
    reading = Reading(SHANGHAI, None, {DOORS: Names()})
    drafts.draft_of([path], listing.empty(), reading, said.append)
    assert said == ["people.csv: 2000 rows read", "people.csv: 4000 rows read"]


def test_rows_and_columns_are_named_as_spreadsheets_do() -> None:
    letters = [drafts._letter(index) for index in (0, 25, 26, 27, 51, 52, 701, 702)]
    assert letters == ["A", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA"]
