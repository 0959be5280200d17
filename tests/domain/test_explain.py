"""The smallest change that turns a denial into a grant: named, enough, and none of it idle."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import combinations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.domain import explain
from gatewayd.domain.explain import CHANGES, MENDS, explained, remedies
from gatewayd.domain.model import (
    AccessLevel,
    Companion,
    CredentialKind,
    CredentialRecord,
    CredentialStatus,
    Deny,
    DoorId,
    DoorMode,
    Grant,
    HolidayCalendar,
    Interval,
    LevelId,
    Person,
    PersonId,
    PinCheck,
    Remedy,
    Schedule,
    ScheduleId,
    Snapshot,
    SpecialDays,
    Verification,
    Whereabouts,
)
from gatewayd.domain.policy import RULES, decide
from gatewayd.domain.schedule import Calendars, Moment, is_open, next_change
from tests.domain.anything import EVENINGS, NEVER, SCHEDULES, Asked, any_asked
from tests.domain.situations import GARAGE, YARD, ask, of_wang, other, where
from tests.domain.world import (
    ALWAYS,
    CLEANERS,
    GATE,
    GATE_IN,
    NOON,
    RESIDENTS,
    WORKDAYS,
    moment,
    record,
    snapshot,
)

LATE = moment("2026-11-18 19:00:00")  # a Wednesday; the cleaners begin at 08:00
MORNING_S = moment("2026-11-19 08:00:00").wall_s
LOST_CLOCK = replace(NOON, stamp=replace(NOON.stamp, wall_trusted=False))


def codes(found: tuple[Remedy, ...]) -> list[str]:
    return [remedy.change for remedy in found]


def test_a_grant_needs_no_remedy() -> None:
    assert remedies(ask(), snapshot(), NOON) == ()


def test_every_rule_can_be_mended() -> None:
    assert list(MENDS) == [name for name, _ in RULES]


def test_a_denial_is_explained_with_what_would_do() -> None:
    held = snapshot(CLEANERS)
    deny = decide(ask(), held, LATE)
    assert isinstance(deny, Deny)
    assert deny.remedies == ()
    told = explained(deny, ask(), held, LATE)
    assert told.remedies == (Remedy("come_after", (("after_s", str(MORNING_S)),)),)
    assert replace(told, remedies=()) == deny


def test_with_a_level_or_after_a_time_either_will_do() -> None:
    assert remedies(ask(), snapshot(CLEANERS), LATE, (RESIDENTS, CLEANERS)) == (
        Remedy("come_after_or_hold_level", (("after_s", str(MORNING_S)), ("level", "residents"))),
    )


def test_nobody_is_told_to_wait_until_their_card_has_expired() -> None:
    held = snapshot(CLEANERS, credential_record=record(valid_until_s=LATE.wall_s + 60))
    assert codes(remedies(ask(), held, LATE, (RESIDENTS,))) == ["hold_level"]
    assert remedies(ask(), held, LATE) == (
        Remedy("come_after", (("after_s", str(MORNING_S)),)),
        Remedy("extend", (("beyond_s", str(MORNING_S)),)),
    )


def test_the_narrowest_level_that_opens_now_is_named() -> None:
    narrow = AccessLevel(LevelId("the gate only"), "Gate", frozenset({GATE.id}), ALWAYS.id)
    closed = AccessLevel(LevelId("a closed one"), "Closed", frozenset({GATE.id}), NEVER.id)
    held = replace(snapshot(), levels=(), schedules=dict(SCHEDULES))
    found = remedies(ask(), held, NOON, (RESIDENTS, closed, narrow))
    assert found == (Remedy("hold_level", (("level", "the gate only"),)),)


def test_a_level_that_opens_later_comes_with_its_hour() -> None:
    held = replace(snapshot(), levels=(), schedules=dict(SCHEDULES))
    evening = AccessLevel(LevelId("evening"), "E", frozenset({GATE.id}), EVENINGS.id)
    gone = AccessLevel(LevelId("gone"), "G", frozenset({GATE.id}), NEVER.id)
    found = remedies(ask(), held, NOON, (CLEANERS, evening, gone))
    at_one = moment("2026-11-18 13:00:00").wall_s
    assert found == (
        Remedy("hold_level", (("level", "cleaners"),)),
        Remedy("come_after", (("after_s", str(at_one)),)),
    )


def test_where_the_list_has_no_level_a_new_one_is_wanted() -> None:
    held = replace(snapshot(), levels=())
    assert remedies(ask(), held, NOON) == (Remedy("new_level", (("door", GATE.id),)),)


def test_a_stranger_needs_a_card_with_a_level() -> None:
    stranger = Snapshot(7, None, schedules=dict(SCHEDULES))
    assert remedies(ask(), stranger, NOON, (RESIDENTS,)) == (
        Remedy("add_credential", (("kind", "card"),)),
        Remedy("hold_level", (("level", "residents"),)),
    )


def test_a_date_years_away_is_wrong_and_nobody_waits_for_it() -> None:
    soon = snapshot(credential_record=record(valid_from_s=NOON.wall_s + 60))
    never = snapshot(credential_record=record(valid_from_s=10**30))
    assert remedies(ask(), soon, NOON) == (
        Remedy("come_after", (("after_s", str(NOON.wall_s + 60)),)),
    )
    assert remedies(ask(), never, NOON) == (Remedy("begin_by", (("by_s", str(NOON.wall_s)),)),)


def test_a_box_that_lost_its_time_is_set_right_first() -> None:
    bounded = snapshot(CLEANERS, credential_record=record(valid_until_s=NOON.wall_s + 999_999))
    assert codes(remedies(ask(), bounded, LOST_CLOCK)) == ["set_clock", "come_after"]
    assert codes(remedies(ask(), snapshot(CLEANERS), LOST_CLOCK)) == ["set_clock", "come_after"]
    nothing = replace(snapshot(), levels=())
    assert codes(remedies(ask(), nothing, LOST_CLOCK, (CLEANERS,))) == [
        "set_clock",
        "hold_level",
        "come_after",
    ]
    assert codes(remedies(ask(), nothing, LOST_CLOCK, (RESIDENTS, CLEANERS))) == ["hold_level"]


def test_a_clock_is_not_set_right_where_that_is_no_use() -> None:
    closed = AccessLevel(LevelId("closed"), "Closed", frozenset({GATE.id}), NEVER.id)
    held = replace(snapshot(closed), schedules=dict(SCHEDULES))
    assert codes(remedies(ask(), held, LOST_CLOCK)) == ["new_level"]
    assert codes(remedies(ask(), snapshot(CLEANERS), LOST_CLOCK, (RESIDENTS,))) == ["hold_level"]


def test_whoever_waits_for_their_card_waits_for_the_hours_as_well() -> None:
    begins = snapshot(CLEANERS, credential_record=record(valid_from_s=LATE.wall_s + 60))
    assert remedies(ask(), begins, LATE, (RESIDENTS,)) == (
        Remedy("come_after", (("after_s", str(MORNING_S)),)),
    )


@pytest.mark.parametrize(
    ("verification", "check", "pin", "change"),
    [
        (Verification.CARD_AND_PIN, PinCheck.NOT_TYPED, "hash", "type_pin"),
        (Verification.CARD_AND_PIN, PinCheck.WRONG, "hash", "type_right_pin"),
        (Verification.CARD_AND_PIN, PinCheck.WRONG, "", "set_pin"),
        (Verification.CARD_AND_PIN, PinCheck.NOT_TYPED, "", "set_pin"),
        (Verification.CARD_AND_PIN, PinCheck.LOCKED_OUT, "hash", "wait_for_reader"),
    ],
)
def test_what_was_typed_has_a_remedy_of_its_own(
    verification: Verification, check: PinCheck, pin: str, change: str
) -> None:
    request = ask(point=replace(GATE_IN, verification=verification), pin=check)
    assert codes(remedies(request, of_wang(pin=pin), NOON)) == [change]


def test_a_full_area_says_how_few_may_be_in_it() -> None:
    area = replace(YARD, maximum=3)
    assert remedies(ask(entering=area, inside=5), snapshot(), NOON) == (
        Remedy("make_room", (("area", "yard"), ("inside", "2"))),
    )
    nobody = replace(YARD, maximum=0)
    assert remedies(ask(entering=nobody, inside=0), snapshot(), NOON) == (
        Remedy("raise_limit", (("area", "yard"), ("maximum", "1"))),
    )


def test_two_who_come_together_need_room_for_two() -> None:
    pair_door = replace(GATE, two_person_s=10.0)
    request = ask(door=pair_door, entering=replace(YARD, maximum=3), inside=3)
    assert remedies(request, snapshot(), NOON) == (
        Remedy("bring_second", (("seconds", "10"),)),
        Remedy("make_room", (("area", "yard"), ("inside", "1"))),
    )


def test_whoever_is_forgiven_takes_the_place_that_they_had() -> None:
    area = replace(GARAGE, maximum=3)
    request = ask(entering=area, whereabouts=where(area), inside=3)
    assert codes(remedies(request, snapshot(), NOON)) == ["forgive"]


def test_passback_is_forgiven() -> None:
    for known in (where(GARAGE), None):
        area = replace(GARAGE, admit_unknown=False)
        assert codes(remedies(ask(entering=area, whereabouts=known), snapshot(), NOON)) == [
            "forgive"
        ]


# ------------------------------------------------------------------------- and it is the truth


def carried_out(asked: Asked, todo: tuple[Remedy, ...]) -> list[Asked]:
    """The same question after the remedies, from their codes and facts alone; two where either of
    two changes will do."""
    after = [asked]
    for remedy in todo:
        after = [then for one in after for then in _carry_out(one, remedy)]
    return after


def _carry_out(asked: Asked, remedy: Remedy) -> list[Asked]:  # noqa: C901  # a table
    facts = dict(remedy.facts)
    known, situation = asked.snapshot, asked.request.situation
    match remedy.change:
        case "add_credential":
            listed = CredentialRecord(asked.request.credential, PersonId("new"))
            person = Person(PersonId("new"), "New")
            return [_list(asked, record=listed, person=person, levels=())]
        case "take_off_watch_list":
            assert known.person is not None
            cleared = _list(asked, person=replace(known.person, watch=""))
            return [_record(cleared, watch="")]
        case "activate":
            return [_record(asked, status=CredentialStatus.ACTIVE)]
        case "set_clock":
            stamp = replace(asked.now.stamp, wall_trusted=True)
            return [replace(asked, now=replace(asked.now, stamp=stamp))]
        case "begin_by":
            return [_record(asked, valid_from_s=int(facts["by_s"]))]
        case "extend":
            return [_record(asked, valid_until_s=int(facts["beyond_s"]) + 1)]
        case "renew_permit":
            return [_record(asked, permit_until_s=int(facts["beyond_s"]) + 1)]
        case "add_uses":
            return [_record(asked, uses=int(facts["uses"]))]
        case "lift_lockdown" | "unblock_door":
            return [_request(asked, door_mode=DoorMode.LOCKED)]
        case "come_after":
            return [_later(asked, int(facts["after_s"]))]
        case "hold_level":
            return [_hold(asked, facts["level"])]
        case "come_after_or_hold_level":
            return [_later(asked, int(facts["after_s"])), _hold(asked, facts["level"])]
        case "new_level":
            level = AccessLevel(
                LevelId("new"), "New", frozenset({DoorId(facts["door"])}), ALWAYS.id
            )
            return [_list(asked, levels=(*known.levels, level))]
        case "show_card":
            card = replace(asked.request.credential, kind=CredentialKind.CARD)
            return [_request(asked, credential=card)]
        case "type_pin" | "type_right_pin" | "wait_for_reader":
            return [_situation(asked, pin=PinCheck.RIGHT)]
        case "set_pin":
            assert known.person is not None
            typed = _situation(asked, pin=PinCheck.RIGHT)
            return [_list(typed, person=replace(known.person, pin="another hash"))]
        case "forgive":
            before = situation.whereabouts or Whereabouts(None, 0, None)
            counted = situation.entering is not None and before.area_id == situation.entering.id
            forgiven = replace(before, neutral=True)
            return [_situation(asked, whereabouts=forgiven, inside=situation.inside - counted)]
        case "make_room" | "fill_up":
            assert situation.entering is not None
            self_inside = situation.whereabouts is not None and (
                situation.whereabouts.area_id == facts["area"] and not situation.whereabouts.neutral
            )
            return [_situation(asked, inside=int(facts["inside"]) + self_inside)]
        case "raise_limit":
            assert situation.entering is not None
            raised = replace(situation.entering, maximum=int(facts["maximum"]))
            return [_situation(asked, entering=raised)]
        case "close_other_door":
            return [_situation(asked, blocked_by=None)]
        case "drive_up":
            return [_situation(asked, vehicle=True)]
        case "bring_escort":
            return [_situation(asked, companion=other(0.5, may_escort=True, who="p-99"))]
        case "bring_escort_first":
            return [_situation(asked, waiting=other(0.5, may_escort=True, who="p-99"))]
        case "bring_own_escort":
            each = (other(0.5, who=who) for who in facts["people"].split(", "))
            return [_situation(asked, companion=host) for host in each]
        case "bring_own_escort_first":
            each = (other(0.5, who=who) for who in facts["people"].split(", "))
            return [_situation(asked, waiting=host) for host in each]
        case "bring_second":
            return [_situation(asked, waiting=other(0.5, who="p-99"))]
    raise AssertionError(remedy.change)


def _list(asked: Asked, **changes: object) -> Asked:
    return replace(asked, snapshot=replace(asked.snapshot, **changes))  # type: ignore[arg-type]  # test sugar


def _record(asked: Asked, **changes: object) -> Asked:
    assert asked.snapshot.record is not None
    return _list(asked, record=replace(asked.snapshot.record, **changes))  # type: ignore[arg-type]  # test sugar


def _request(asked: Asked, **changes: object) -> Asked:
    return replace(asked, request=replace(asked.request, **changes))  # type: ignore[arg-type]  # test sugar


def _situation(asked: Asked, **changes: object) -> Asked:
    return _request(asked, situation=replace(asked.request.situation, **changes))  # type: ignore[arg-type]  # test sugar


def _hold(asked: Asked, level_id: str) -> Asked:
    level = next(level for level in asked.levels if level.id == level_id)
    return _list(asked, levels=(*asked.snapshot.levels, level))


def _later(asked: Asked, at_s: int) -> Asked:
    by_s, situation = at_s - asked.now.wall_s, asked.request.situation
    stamp = replace(asked.now.stamp, wall_ms=at_s * 1000)

    def aged(companion: Companion | None) -> Companion | None:
        return None if companion is None else replace(companion, age_s=companion.age_s + by_s)

    known = situation.whereabouts
    if known is not None and known.age_s is not None:
        known = replace(known, age_s=known.age_s + by_s)
    return _situation(
        replace(asked, now=replace(asked.now, stamp=stamp)),
        whereabouts=known,
        companion=aged(situation.companion),
        waiting=aged(situation.waiting),
    )


def granted(asked: Asked) -> bool:
    return isinstance(decide(asked.request, asked.snapshot, asked.now), Grant)


def prove(asked: Asked) -> tuple[Remedy, ...]:
    """What is named is enough, and with any of it left out it is not."""
    found = remedies(asked.request, asked.snapshot, asked.now, asked.levels)
    assert all(granted(after) for after in carried_out(asked, found))
    for fewer in combinations(found, len(found) - 1) if found else ():
        if ("add_credential" in codes(found)) == ("add_credential" in codes(fewer)):
            assert not any(granted(after) for after in carried_out(asked, fewer))
    return found


@settings(max_examples=200)
@given(st.randoms(use_true_random=False))
def test_what_is_named_is_enough_and_none_of_it_is_idle(rng: Random) -> None:
    prove(any_asked(rng))


def test_it_stays_so_over_many_questions_and_every_change_is_named() -> None:
    rng, named = Random(11), dict[str, tuple[str, ...]]()
    for _ in range(4_000):
        found = prove(any_asked(rng))
        named |= {remedy.change: tuple(name for name, _ in remedy.facts) for remedy in found}
    assert named == CHANGES


# ------------------------------------------------------------------------- what it may cost


def many(count: int, schedule: Schedule) -> tuple[tuple[AccessLevel, ...], Snapshot]:
    """A list with so many levels at the gate, each with a schedule like this of its own."""
    schedules = {
        ScheduleId(f"s{n}"): replace(schedule, id=ScheduleId(f"s{n}")) for n in range(count)
    }
    levels = tuple(
        AccessLevel(LevelId(f"l{n}"), "", frozenset({GATE.id}), each)
        for n, each in enumerate(schedules)
    )
    return levels, replace(snapshot(), levels=(), schedules=schedules)


def test_no_denial_looks_at_more_schedules_than_it_may_nor_far_ahead_twice_a_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked_for: list[int] = []

    def noted(schedule: Schedule, calendars: Calendars, at: Moment, days: int = 400) -> int | None:
        asked_for.append(days)
        return next_change(schedule, calendars, at, days)

    monkeypatch.setattr(explain, "next_change", noted)
    closed = SpecialDays("all", ())
    dates = frozenset((date(2026, 1, 1) + timedelta(n)).isoformat() for n in range(800))
    levels, held = many(200, replace(WORKDAYS, special_days=(closed,)))
    held = replace(held, calendars={"all": HolidayCalendar("all", "", dates)})
    for at in (NOON, moment("2026-11-18 12:30:00"), moment("2026-11-18 13:30:00")):
        assert codes(remedies(ask(), held, at, levels)) == ["new_level"]
    far = [days for days in asked_for if days > explain.NEAR_DAYS]
    assert len(far) == explain.MAX_SCHEDULES
    assert len(asked_for) == 4 * explain.MAX_SCHEDULES


def test_hours_that_are_past_are_not_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def near(schedule: Schedule, calendars: Calendars, at: Moment, days: int = 400) -> int | None:
        assert days == explain.NEAR_DAYS
        return next_change(schedule, calendars, at, days)

    monkeypatch.setattr(explain, "next_change", near)
    past = Schedule(ScheduleId("fair"), "", ((),) * 7, WORKDAYS.special_days)  # in October
    levels, held = many(20, past)
    assert codes(remedies(ask(), held, NOON, levels)) == ["new_level"]


@pytest.mark.parametrize("days", [-1, 0, 1, 2, 3, 30, 399, 400, 401])
def test_what_opens_later_is_found_to_the_second_and_up_to_the_horizon(days: int) -> None:
    opens = date(2026, 11, 18) + timedelta(days)
    fair = Schedule(ScheduleId("fair"), "", ((),) * 7, (SpecialDays("d", (Interval(5, 9),)),))
    held = replace(
        snapshot(CLEANERS),
        schedules={CLEANERS.schedule_id: fair},
        calendars={"d": HolidayCalendar("d", "", frozenset({opens.isoformat()}))},
    )
    for clock in ("00:00:00", "00:00:07", "07:59:59", "08:00:00", "12:00:00", "23:59:59"):
        at = moment(f"2026-11-18 {clock}")
        if is_open(fair, held.calendars, at.local):
            continue
        [remedy] = remedies(ask(), held, at)
        expected = next_change(fair, held.calendars, at)
        named = dict(remedy.facts).get("after_s")
        assert named == (None if expected is None else str(expected))


def test_of_levels_that_share_a_schedule_the_narrowest_is_looked_at() -> None:
    wide = replace(RESIDENTS, id=LevelId("wide"), door_ids=RESIDENTS.door_ids | {DoorId("b7")})
    elsewhere = replace(RESIDENTS, id=LevelId("elsewhere"), door_ids=frozenset({DoorId("b8")}))
    levels = [wide, elsewhere, RESIDENTS, CLEANERS]
    assert explain.worth_naming(levels, GATE.id) == (CLEANERS, RESIDENTS)
