"""The simulated compound: the same from a seed, with cards that readers accept."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from gatewayd.domain.model import Credential, CredentialKind, LevelId, PersonId, ScheduleId
from gatewayd.domain.pin import person_pin
from gatewayd.domain.schedule import is_open
from gatewayd.store.whitelist import WhitelistStore
from simulators.compound import (
    INNER_DOORS,
    LANES,
    SITE_ZONE,
    Card,
    Tech,
    make_compound,
    off_duty_shift,
)
from simulators.compound_records import calendars, records, schedules

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
    kinds = ["calendar", "schedule", "group", "level", "person", "credential"]
    assert list(dict.fromkeys(types)) == kinds
    assert all(next(iter(record)) == "t" for record in listed)
    ids = {(r["t"], r.get("id")) for r in listed}
    for record in listed:
        for level in record.get("levels", []):
            assert ("level", level) in ids
        if record["t"] == "credential":
            assert ("person", record["person"]) in ids
        if record["t"] == "level":
            assert ("schedule", record["schedule"]) in ids
            assert all(("group", group) in ids for group in record["groups"])
        for special in record.get("special_days", []):
            assert ("calendar", special["calendar"]) in ids


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
    assert special["watched"].watch
    midnight_s = ms("2026-11-24T00:00:00") // 1000
    for who, paid in (("driver", True), ("late-payer", False)):
        [until] = {issued.permit_until for issued in special[who].issued}
        assert until is not None
        assert (until > midnight_s) is paid


def test_pins_are_given_out_only_under_the_sites_key_and_digits_never() -> None:
    compound, key = make_compound(1, TODAY), b"a key of the site"
    assert not any("pin" in record for record in records(compound))
    [accountant] = [record for record in records(compound, key) if "pin" in record]
    someone = compound.special["accountant"]
    person = PersonId(someone.id)
    assert accountant["pin"] == person_pin(key, person, someone.pin)
    assert accountant["duress_pin"] == person_pin(key, person, someone.duress_pin)
    assert someone.pin not in repr(someone)


def test_a_visitors_pass_is_for_one_opening_and_nobody_of_the_crowd_has_one() -> None:
    compound = make_compound(1, TODAY)
    limited = {r["person"] for r in records(compound) if r["t"] == "credential" and "uses" in r}
    assert limited == {visitor.id for visitor in (*compound.visitors, *compound.guests)}
    assert limited.isdisjoint(person.id for person in compound.residents)


def test_a_guests_pass_is_a_qr_code_and_a_drivers_plate_has_the_permit_of_the_cards() -> None:
    compound = make_compound(1, TODAY)
    passes = [guest.text_for("qr").value for guest in compound.guests]
    assert len(set(passes)) == len(passes) == 100
    by_value = {r["value"]: r for r in records(compound) if r["t"] == "credential"}
    assert {by_value[value]["kind"] for value in passes} == {"qr"}
    for who in ("driver", "late-payer"):
        someone = compound.special[who]
        plate = by_value[someone.text_for("plate").value]
        card = by_value[someone.card_for((40,)).value]
        assert (plate["kind"], plate["bits"]) == ("plate", 0)
        assert plate["permit_until"] == card["permit_until"]
        assert plate["value"] == plate["value"].upper()
    with pytest.raises(KeyError, match="guest-1 has no plate"):
        compound.guests[0].text_for("plate")


async def test_the_box_takes_passes_and_plates(tmp_path: Path) -> None:
    compound = make_compound(1, TODAY)
    store = await WhitelistStore.open(tmp_path)
    lines = "".join(json.dumps(record) + "\n" for record in records(compound))
    await store.apply_full(1, [lines.encode()])
    try:
        for kind, someone in (("qr", compound.guests[3]), ("plate", compound.special["driver"])):
            value = someone.text_for(kind).value
            found = store.snapshot(Credential(CredentialKind(kind), value))
            assert found.person is not None
            assert found.person.id == someone.id
    finally:
        store.close()


@pytest.mark.parametrize("hour", range(24))
def test_at_any_hour_the_cleaner_off_duty_is_off_for_hours(hour: int) -> None:
    shift = off_duty_shift(ms(f"2026-11-24T{hour:02d}:59:59"))
    [schedule] = [s for s in schedules() if s["id"] == shift]
    [[start, end]] = schedule["week"][0]
    begins, lasts = int(start[:2]), (int(end[:2]) - int(start[:2])) % 24
    soon = [hour + later for later in range(5)]
    assert not any((h - begins) % 24 < lasts for h in soon)


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
        assert {str(day.year) for day in dates} == {calendar["id"][3:7]}
    by_id = {calendar["id"]: calendar["dates"] for calendar in calendars()}
    assert Counter(text[:7] for text in by_id["cn-2026"])["2026-10"] == 7


def test_working_weekends_are_weekends_and_no_holidays() -> None:
    by_id = {calendar["id"]: calendar["dates"] for calendar in calendars()}
    worked = by_id["cn-2026-worked"]
    assert all(date.fromisoformat(text).weekday() >= 5 for text in worked)
    assert set(worked).isdisjoint(by_id["cn-2026"])


@pytest.mark.parametrize(
    ("schedule", "at", "open_"),
    [
        ("office", "2026-11-24T09:00:00", True),
        ("office", "2026-11-24T12:30:00", False),
        ("office", "2026-11-22T09:00:00", False),  # a Sunday
        ("office", "2026-09-20T09:00:00", True),  # one that is worked as a Monday
        ("office", "2026-10-01T09:00:00", False),
        ("cleaners-night", "2026-11-25T05:59:59", True),
        ("cleaners-night", "2026-10-01T05:00:00", True),  # the night before the holiday
        ("cleaners-night", "2026-10-02T05:00:00", False),
        ("cleaners-night", "2026-10-01T23:00:00", True),  # its two hours on holidays
    ],
)
async def test_the_gateways_own_whitelist_takes_the_list_and_keeps_the_hours(
    tmp_path: Path, schedule: str, at: str, open_: bool
) -> None:
    lines = [json.dumps(record).encode() + b"\n" for record in records(make_compound(1, TODAY))]
    store = await WhitelistStore.open(tmp_path)
    await store.apply_full(1, [b"".join(lines)])
    local = datetime.fromisoformat(at).replace(tzinfo=SITE_ZONE)
    assert is_open(store.schedules()[ScheduleId(schedule)], store.calendars(), local) is open_
    assert {*store.levels()[LevelId("office")].door_ids} == {"main-gate", "side-door"}
    assert {*store.levels()[LevelId("keyholders")].door_ids} == set(INNER_DOORS)
    assert {*store.levels()[LevelId("drivers")].door_ids} == set(LANES)
    store.close()
