"""What a record may hold, and what of it reaches a decision."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatewayd.domain.model import (
    CalendarKind,
    Credential,
    CredentialKind,
    CredentialRecord,
    CredentialStatus,
    HolidayCalendar,
    Interval,
    LevelId,
    Person,
    PersonId,
    Schedule,
    ScheduleId,
    SpecialDays,
    card,
)
from gatewayd.domain.schedule import WHOLE_DAY
from gatewayd.store.whitelist import WhitelistStore
from gatewayd.store.whitelist_records import WhitelistDataError
from tests.store.lists import (
    ALWAYS,
    calendar,
    chunk,
    credential,
    delete,
    full,
    group,
    level,
    person,
    schedule,
)

PIN, DURESS_PIN = "0a" * 32, "1b" * 32
HOUR = 3600


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[WhitelistStore]:
    made = await WhitelistStore.open(tmp_path / "whitelist")
    yield made
    made.close()


async def schedule_of(store: WhitelistStore, **fields: Any) -> Schedule:
    """The schedule that a record becomes, in a list with calendars cn and worked."""
    record = schedule("s", **fields)
    await store.apply_full(store.revision + 1, full(calendar("cn"), calendar("worked"), record))
    return store.schedules()[ScheduleId("s")]


# ------------------------------------------------------------------ schedules and calendars


@pytest.mark.parametrize(
    ("span", "from_s", "until_s"),
    [
        (["08:00:00", "12:30:15"], 28_800, 45_015),
        (["22:00:00", "24:00:00"], 79_200, 86_400),
        (["22:00:00", "06:00:00"], 79_200, 108_000),
        (["22:00:00", "00:00:00"], 79_200, 86_400),
        (["08:00:00", "08:00:00"], 28_800, 115_200),
        (["00:00:00", "00:00:00"], 0, 86_400),
    ],
)
async def test_an_end_at_or_before_the_start_is_the_next_days(
    store: WhitelistStore, span: list[str], from_s: int, until_s: int
) -> None:
    found = await schedule_of(store, week=[[span], *[[]] * 6])
    assert found.week == ((Interval(from_s, until_s),), *((),) * 6)


async def test_a_whole_day_is_one_object_so_that_always_is_seen_at_once(
    store: WhitelistStore,
) -> None:
    found = await schedule_of(store)
    assert all(day is WHOLE_DAY for day in found.week)


async def test_special_days_come_in_their_order_and_the_older_form_after_them(
    store: WhitelistStore,
) -> None:
    found = await schedule_of(
        store,
        special_days=[
            {"calendar": "worked", "as": "fri"},
            {"calendar": "cn", "hours": [["22:00:00", "06:00:00"]]},
            {"calendar": "cn", "hours": []},
        ],
        holiday_calendars=["cn", "worked"],
        holidays=[["08:00:00", "12:00:00"]],
    )
    older = (Interval(8 * HOUR, 12 * HOUR),)
    assert found.special_days == (
        SpecialDays("worked", as_weekday=4),
        SpecialDays("cn", (Interval(22 * HOUR, 30 * HOUR),)),
        SpecialDays("cn"),
        SpecialDays("cn", older),
        SpecialDays("worked", older),
    )


async def test_a_calendar_says_of_which_kind_its_dates_are(store: WhitelistStore) -> None:
    worked = calendar("worked", "2026-09-20", kind="workday")
    await store.apply_full(5, full(calendar("cn", "2026-10-01"), worked))
    assert store.calendars() == {
        "cn": HolidayCalendar("cn", "Holidays", frozenset({"2026-10-01"})),
        "worked": HolidayCalendar(
            "worked", "Holidays", frozenset({"2026-09-20"}), CalendarKind.WORKDAY
        ),
    }


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (calendar(kind="party"), "line 5: calendar.kind: Input should be 'holiday' or 'workday'"),
        (schedule("s", week=[[["24:00:00", "06:00:00"]]] * 7), "line 5: schedule.week.0.0.0: "),
        (schedule("s", week=[[["22:00:00", "24:30:00"]]] * 7), "line 5: schedule.week.0.0.1: "),
        (schedule("s", week=[[["22:00:00"]]] * 7), "line 5: schedule.week.0.0.1: Field required"),
        (schedule("s", holidays=[["9:00", "10:00"]]), "line 5: schedule.holidays.0.0: String"),
        (
            schedule("s", special_days=[{"calendar": "cn"}]),
            'line 5: schedule.special_days.0: .* needs either "hours" .* or "as"',
        ),
        (
            schedule("s", special_days=[{"calendar": "cn", "hours": [], "as": "mon"}]),
            "line 5: schedule.special_days.0: .* needs either",
        ),
        (
            schedule("s", special_days=[{"calendar": "cn", "as": "Monday"}]),
            "line 5: schedule.special_days.0.as: Input should be 'mon'",
        ),
        (
            schedule("s", special_days=[{"calendar": "gone", "as": "mon"}]),
            "line 5: schedule: its calendar 'gone' is not in the list",
        ),
        (schedule("s", holiday_calendars=["gone"]), "line 5: schedule: its calendar 'gone'"),
    ],
)
async def test_a_bad_schedule_or_calendar_is_refused(
    store: WhitelistStore, record: dict[str, Any], says: str
) -> None:
    with pytest.raises(WhitelistDataError, match=says):
        await store.apply_full(5, full(record))
    assert store.revision == 0


# ------------------------------------------------------------------------ levels and groups


async def test_a_level_has_its_own_doors_and_those_of_its_groups(store: WhitelistStore) -> None:
    groups = group("lobbies", "b1", "b2"), group("pool", "pool", "b2"), group("none")
    held = level("family", doors=["main-gate"], groups=["lobbies", "pool", "none"])
    mine = person(30, levels=["family", "pool"])
    pool = level("pool", doors=[], groups=["pool"])
    await store.apply_full(5, full(*groups, held, pool, mine, credential(30)))
    family, swimmers = store.snapshot(card(30, 26)).levels
    assert [family.id, swimmers.id] == ["family", "pool"]
    assert family.door_ids == {"main-gate", "b1", "b2", "pool"}
    assert swimmers.door_ids == {"pool", "b2"}
    assert store.levels()[LevelId("family")] is family


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (level("x", groups=["gone"]), "line 5: level: its group 'gone' is not in the list"),
        (level("x", groups="lobbies"), "line 5: level.groups: Input should be a valid array"),
        (group("two words"), "line 5: group.id: String should match"),
        ({"t": "group", "id": "g", "name": "G"}, "line 5: group.doors: Field required"),
    ],
)
async def test_a_bad_level_or_group_is_refused(
    store: WhitelistStore, record: dict[str, Any], says: str
) -> None:
    with pytest.raises(WhitelistDataError, match=says):
        await store.apply_full(5, full(record))
    assert store.revision == 0


async def test_a_second_group_of_the_same_id_is_refused(store: WhitelistStore) -> None:
    with pytest.raises(WhitelistDataError, match="line 6: group: its id is in the list already"):
        await store.apply_full(5, full(group(), group()))


async def test_a_delta_that_changes_a_group_changes_its_levels(store: WhitelistStore) -> None:
    held = level("family", groups=["lobbies"]), person(17, levels=["family"])
    await store.apply_full(5, [chunk(schedule(), group("lobbies", "b1"), *held, credential(17))])
    await store.apply_delta(5, 6, [chunk(group("lobbies", "b2"))])
    [found] = store.snapshot(card(17, 26)).levels
    assert found.door_ids == {"main-gate", "b2"}
    with pytest.raises(WhitelistDataError, match="line 2: delete: a level still names it"):
        await store.apply_delta(6, 7, [chunk(person(17, levels=[]), delete("group", "lobbies"))])
    await store.apply_delta(6, 7, [chunk(level("family"), delete("group", "lobbies"))])
    [found] = store.snapshot(card(17, 26)).levels
    assert found.door_ids == {"main-gate"}


async def test_a_delta_that_changes_a_schedule_or_calendar_is_seen(store: WhitelistStore) -> None:
    special = [{"calendar": "cn", "hours": []}]
    first = calendar("cn", "2026-10-01"), schedule(special_days=special)
    await store.apply_full(5, [chunk(*first, level())])
    await store.apply_delta(5, 6, [chunk(calendar("cn", "2026-10-02"))])
    assert store.calendars()["cn"].dates == {"2026-10-02"}
    with pytest.raises(WhitelistDataError, match="line 1: delete: a schedule still names it"):
        await store.apply_delta(6, 7, [chunk(delete("calendar", "cn"))])
    night = schedule(week=[[["22:00:00", "06:00:00"]]] * 7)
    await store.apply_delta(6, 7, [chunk(delete("calendar", "cn"), night)])
    assert store.schedules()[ScheduleId("always")].special_days == ()
    assert store.calendars() == {}


# ------------------------------------------------------------------- people and credentials


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (credential(19, uses=0), "line 5: credential.uses: Input should be greater than or equal"),
        (credential(19, uses=True), "line 5: credential.uses: Input should be a valid integer"),
        (credential(19, duress=1), "line 5: credential.duress: Input should be a valid boolean"),
        (credential(19, permit_until="2026-12-31"), "line 5: credential.permit_until: "),
        (credential(19, watch="x" * 201), "line 5: credential.watch: String should have at most"),
        (credential(kind="pin", bits=0, value="482913"), "line 5: value: is not the keyed hash"),
        (credential(kind="pin", bits=0, value="A" * 64), "line 5: value: is not the keyed hash"),
        (credential(kind="pin", bits=4, value=PIN), "line 5: bits: is for cards only"),
        (credential(kind="plate", bits=0, value="粤B 12345"), "line 5: value: a plate has no"),
        (credential(kind="plate", bits=0, value="粤B12345\t"), "line 5: value: a plate has no"),
        (credential(kind="plate", bits=0, value="粤b12345"), "line 5: value: a plate has no"),
        (person(19, pin="4829"), "line 5: pin: is not the keyed hash, 64 lower-case"),
        (person(19, duress_pin="4829"), "line 5: duress_pin: is not the keyed hash"),
        (person(19, pin=PIN.upper()), "line 5: pin: is not the keyed hash"),
        (person(19, pin=PIN, duress_pin=PIN), "line 5: duress_pin: is the pin as well"),
        (person(19, watch="x" * 201), "line 5: person.watch: String should have at most 200"),
        (person(19, may_escort="yes"), "line 5: person.may_escort: Input should be a valid bool"),
        (person(19, escorts="p-17"), "line 5: person.escorts: Input should be a valid array"),
        (person(19, escorts=["p 17"]), "line 5: person.escorts.0: String should match pattern"),
        (person(19, escorts=[f"p-{n}" for n in range(33)]), "line 5: person.escorts: List should"),
        (person(19, escorts=["p-17", "p-19"]), "line 5: escorts: nobody is their own escort"),
    ],
)
async def test_a_bad_person_or_credential_is_refused_and_its_value_not_told(
    store: WhitelistStore, record: dict[str, Any], says: str
) -> None:
    with pytest.raises(WhitelistDataError, match=says) as caught:
        await store.apply_full(5, full(record))
    assert not any(secret in str(caught.value) for secret in ("4829", "12345", PIN))
    assert store.revision == 0


hashes = st.sampled_from(["", PIN, DURESS_PIN])
people = st.fixed_dictionaries(
    {},
    optional={
        "pin": hashes,
        "duress_pin": hashes,
        "watch": st.sampled_from(["", '偷车 "P-1"']),
        "extended_opening": st.booleans(),
        "may_escort": st.booleans(),
        "needs_escort": st.booleans(),
        "escorts": st.sampled_from([[], ["p-1"], ["p-gone", "p-1"]]),
    },
).filter(lambda some: not some.get("pin") or some["pin"] != some.get("duress_pin"))
seconds = st.none() | st.sampled_from([-1, 0, 1, 1_790_000_000])
credentials = st.fixed_dictionaries(
    {},
    optional={
        "uses": st.none() | st.integers(1, 5),
        "duress": st.booleans(),
        "permit_until": seconds,
        "watch": st.sampled_from(["", "lost 2026-11-18"]),
        "valid_from": seconds,
        "valid_until": seconds,
    },
)
shown = st.sampled_from(
    [
        card(19, 26),
        Credential(CredentialKind.PLATE, "粤BD12345"),
        Credential(CredentialKind.PIN, PIN),
        Credential(CredentialKind.QR, "gw1.abc"),
    ]
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(who=people, what=credentials, by=shown)
async def test_what_the_centre_sends_is_what_a_decision_sees(
    store: WhitelistStore, who: dict[str, Any], what: dict[str, Any], by: Credential
) -> None:
    line = credential(19, kind=str(by.kind), bits=by.bit_count, value=by.value, **what)
    await store.apply_full(store.revision + 1, full(person(19, **who), line))
    found = store.snapshot(by)
    given_until = {f"{name}_s": what.get(name) for name in ("valid_from", "valid_until")}
    assert found.record == CredentialRecord(
        by,
        PersonId("p-19"),
        CredentialStatus.ACTIVE,
        given_until["valid_from_s"],
        given_until["valid_until_s"],
        what.get("uses"),
        what.get("duress", False),
        what.get("permit_until"),
        what.get("watch", ""),
    )
    place = "王芳", "owner", "6", "2", "1203", "13800001234", ""
    who = {**who, "escorts": tuple(who.get("escorts", ()))}
    expected = Person(PersonId("p-19"), *place, (LevelId("residents"),), **who)
    assert found.person == store.person(PersonId("p-19")) == expected
    for told in (repr(found.record), repr(found.person)):
        assert not any(secret in told for secret in (PIN, DURESS_PIN, "12345", "王芳"))


async def test_a_delta_takes_away_what_it_does_not_repeat(store: WhitelistStore) -> None:
    watched = person(17, watch="theft", pin=PIN), credential(17, uses=3, permit_until=0)
    await store.apply_full(5, [chunk(schedule(), level(), *watched)])
    found = store.snapshot(card(17, 26))
    assert (found.person and found.person.watch, found.record and found.record.uses) == ("theft", 3)
    await store.apply_delta(5, 6, [chunk(person(17), credential(17))])
    found = store.snapshot(card(17, 26))
    assert (found.person and found.person.watch, found.record and found.record.uses) == ("", None)


async def test_without_a_list_there_are_no_rules(store: WhitelistStore) -> None:
    assert [dict(store.levels()), dict(store.schedules()), dict(store.calendars())] == [{}] * 3


async def test_a_list_that_uses_every_field_survives_a_restart(
    store: WhitelistStore, tmp_path: Path
) -> None:
    special = [{"calendar": "cn", "as": "sun"}]
    rules = calendar("cn", "2026-10-01"), group("lobbies", "b1")
    night = schedule("night", week=ALWAYS, special_days=special)
    held = level("family", groups=["lobbies"], schedule="night")
    await store.apply_full(
        5, full(*rules, night, held, person(19, pin=PIN), credential(19, uses=1))
    )
    before = store.levels(), store.schedules(), store.calendars(), store.snapshot(card(19, 26))
    store.close()
    again = await WhitelistStore.open(tmp_path / "whitelist")
    after = again.levels(), again.schedules(), again.calendars(), again.snapshot(card(19, 26))
    assert after == before
    again.close()
