"""The simulated compound: the same from a seed, with cards that readers accept."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime

import pytest

from simulators.compound import (
    SITE_ZONE,
    Card,
    Tech,
    calendars,
    make_compound,
    off_duty_shift,
    records,
    schedules,
)

TODAY = date(2026, 11, 24)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=SITE_ZONE).timestamp() * 1000)


def test_the_same_seed_gives_the_same_compound_and_another_another() -> None:
    assert records(make_compound(7, TODAY)) == records(make_compound(7, TODAY))
    assert records(make_compound(7, TODAY)) != records(make_compound(8, TODAY))


def test_three_hundred_residents_live_in_six_buildings() -> None:
    residents = make_compound(1, TODAY).residents
    assert len(residents) == 300
    assert {r.building for r in residents} == set("123456")
    assert {r.role for r in residents} == {"owner", "tenant", "family"}


def test_no_card_is_issued_twice_and_strangers_cards_are_nobodys() -> None:
    compound = make_compound(1, TODAY)
    issued = [(i.card.bits, i.card.value) for person in compound.people for i in person.issued]
    strange = [(card.bits, card.value) for card in compound.strangers]
    assert len({*issued, *strange}) == len(issued) + len(strange)


def test_records_come_in_the_order_of_a_full_list_and_refer_only_backwards() -> None:
    listed = records(make_compound(1, TODAY))
    types = [record["t"] for record in listed]
    assert list(dict.fromkeys(types)) == ["calendar", "schedule", "level", "person", "credential"]
    assert all(next(iter(record)) == "t" for record in listed)
    ids = {(r["t"], r.get("id")) for r in listed}
    for record in listed:
        for level in record.get("levels", []):
            assert ("level", level) in ids
        if record["t"] == "credential":
            assert ("person", record["person"]) in ids
        if record["t"] == "level":
            assert ("schedule", record["schedule"]) in ids


@pytest.mark.parametrize(("tech", "bits"), [(Tech.WIEGAND_26, 26), (Tech.WIEGAND_34, 34)])
def test_wiegand_cards_carry_right_parity(tech: Tech, bits: int) -> None:
    compound = make_compound(1, TODAY)
    cards = [i.card for p in compound.people for i in p.issued if i.card.tech is tech]
    assert cards
    for card in cards:
        text = f"{int(card.value, 16):0{bits}b}"
        assert len(text) == bits
        assert text[: bits // 2].count("1") % 2 == 0
        assert text[bits // 2 :].count("1") % 2 == 1
        assert len(card.value) == (bits + 3) // 4


def test_the_special_characters_are_what_they_are_called() -> None:
    special = make_compound(1, TODAY).special
    [ended] = {issued.valid_until for issued in special["expired"].issued}
    assert ended is not None
    assert datetime.fromtimestamp(ended, UTC).date() < TODAY
    assert {issued.status for issued in special["lost"].issued} == {"lost"}
    assert {issued.status for issued in special["suspended"].issued} == {"suspended"}


@pytest.mark.parametrize("hour", range(24))
def test_at_any_hour_the_cleaner_off_duty_is_off_for_hours(hour: int) -> None:
    shift = off_duty_shift(ms(f"2026-11-24T{hour:02d}:59:59"))
    [schedule] = [s for s in schedules() if s["id"] == shift]
    soon = [(hour + later) % 24 for later in range(5)]
    for start, end in schedule["week"][0]:
        assert not any(int(start[:2]) <= h < int(end[:2]) for h in soon)


def test_a_person_is_asked_for_a_card_that_the_reader_can_read() -> None:
    person = make_compound(1, TODAY).residents[0]
    assert person.card_for([40]).tech is Tech.EM4100
    assert person.card_for([26, 34]).bits in {26, 34}
    with pytest.raises(KeyError, match="37"):
        person.card_for([37])


def test_a_card_shows_its_last_four_digits_and_no_more() -> None:
    card = Card(Tech.EM4100, "100086F444")
    assert card.masked == "••••••F444"
    assert "86F444" not in repr(card)


def test_holidays_are_real_dates_without_repeats() -> None:
    for calendar in calendars():
        dates = [date.fromisoformat(text) for text in calendar["dates"]]
        assert dates == sorted(set(dates))
        assert {str(day.year) for day in dates} == {calendar["id"].removeprefix("cn-")}
    by_id = {calendar["id"]: calendar["dates"] for calendar in calendars()}
    assert Counter(text[:7] for text in by_id["cn-2026"])["2026-10"] == 7
