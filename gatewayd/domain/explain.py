"""What would have turned a denial into a grant: the smallest change. Pure; changes nothing itself.

A denial is mended where it failed, in thought, and decided again, until it is a grant: so what is
found is what `policy.decide` itself would honour, rule by rule. Texts: the keys `remedy.<change>`
in gatewayd/console/static/i18n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import islice
from typing import Any, Generic, TypeVar

from gatewayd.domain.model import (
    DAY_S,
    AccessLevel,
    AccessRequest,
    Area,
    Companion,
    CredentialKind,
    CredentialRecord,
    CredentialStatus,
    Deny,
    DoorId,
    DoorMode,
    Grant,
    Interval,
    LevelId,
    Person,
    PersonId,
    PinCheck,
    Reason,
    Remedy,
    Schedule,
    ScheduleId,
    Snapshot,
    Stamp,
    Whereabouts,
)
from gatewayd.domain.place_rules import people_coming
from gatewayd.domain.policy import decide
from gatewayd.domain.schedule import HORIZON_DAYS, Calendars, Moment, is_open, next_change
from gatewayd.domain.verdict import case_of, first_open

HORIZON_S = HORIZON_DAYS * DAY_S  # nobody is told to come again later than that
# Of the levels with the door, one for each schedule, and of so many schedules: the gate waits while
# a denial is explained. With more, one that would do may go unnamed.
MAX_SCHEDULES = 16
NEAR_DAYS = 2  # at least 1; what opens later is looked up once a day
KEPT_OPENINGS = 1_024
# Every change that is ever named, with the blanks of its text.
CHANGES: Mapping[str, tuple[str, ...]] = {
    "add_credential": ("kind",),
    "take_off_watch_list": (),
    "activate": (),
    "set_clock": (),
    "come_after": ("after_s",),
    "begin_by": ("by_s",),
    "extend": ("beyond_s",),
    "renew_permit": ("beyond_s",),
    "add_uses": ("uses",),
    "lift_lockdown": ("door",),
    "unblock_door": ("door",),
    "hold_level": ("level",),
    "come_after_or_hold_level": ("after_s", "level"),
    "new_level": ("door",),
    "show_card": (),
    "type_pin": (),
    "type_right_pin": (),
    "wait_for_reader": (),
    "set_pin": (),
    "forgive": (),
    "make_room": ("area", "inside"),
    "fill_up": ("area", "inside"),
    "raise_limit": ("area", "maximum"),
    "close_other_door": ("other_door",),
    "drive_up": (),
    "bring_escort": ("seconds",),
    "bring_own_escort": ("people", "seconds"),
    "bring_escort_first": ("seconds",),
    "bring_own_escort_first": ("people", "seconds"),
    "bring_second": ("seconds",),
}
_NOBODY = PersonId("")
_ALWAYS = Schedule(ScheduleId(""), "", ((Interval(0, DAY_S),),) * 7)
_Thing = TypeVar("_Thing")
_Known = TypeVar("_Known", Whereabouts, Companion)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What `decide` is asked, with the levels of the list that have the door."""

    request: AccessRequest
    snapshot: Snapshot
    now: Moment
    levels: tuple[AccessLevel, ...]


Mend = tuple[Remedy, _Asked]


def explained(
    deny: Deny,
    request: AccessRequest,
    snapshot: Snapshot,
    now: Moment,
    levels: Iterable[AccessLevel] = (),
) -> Deny:
    """The denial that `decide` made of the same arguments, with its remedies."""
    return replace(deny, remedies=remedies(request, snapshot, now, levels))


def remedies(
    request: AccessRequest, snapshot: Snapshot, now: Moment, levels: Iterable[AccessLevel] = ()
) -> tuple[Remedy, ...]:
    """The smallest change that makes `decide` grant: all of these together, one for each rule that
    fails; none for a grant.

    `levels` are all of the list's, or what `worth_naming` made of them, to name one that would do;
    their schedules are in the snapshot.
    """
    return _mended(_Asked(request, snapshot, now, worth_naming(levels, request.door.id)))


def worth_naming(levels: Iterable[AccessLevel], door_id: DoorId) -> tuple[AccessLevel, ...]:
    """The levels that a remedy may name at the door, the narrowest first: the narrowest of each
    schedule, and at most MAX_SCHEDULES of them."""
    here = (level for level in levels if door_id in level.door_ids)
    narrowest: dict[ScheduleId, AccessLevel] = {}
    for level in sorted(here, key=lambda level: (len(level.door_ids), level.id)):
        narrowest.setdefault(level.schedule_id, level)
    return tuple(narrowest.values())[:MAX_SCHEDULES]


def _mended(asked: _Asked) -> tuple[Remedy, ...]:
    decision = decide(asked.request, asked.snapshot, asked.now)
    if isinstance(decision, Grant):
        return ()
    mends = MENDS[decision.trace[-1].rule](asked, decision)
    return _least([_joined(remedy, _mended(after)) for remedy, after in mends])


def _joined(first: Remedy, rest: tuple[Remedy, ...]) -> tuple[Remedy, ...]:
    """The same change may be asked for again and more of it: then that counts. Whoever has to wait
    anyway waits for the hours as well, and needs no level for them."""
    if first.change == "come_after":
        rest = tuple(_wait_for(remedy) for remedy in rest)
    return rest if any(remedy.change == first.change for remedy in rest) else (first, *rest)


def _wait_for(remedy: Remedy) -> Remedy:
    if remedy.change != "come_after_or_hold_level":
        return remedy
    return Remedy("come_after", remedy.facts[:1])


def _least(plans: list[tuple[Remedy, ...]]) -> tuple[Remedy, ...]:
    """The plan with the fewest changes. To wait or to hold a level, where all else is alike, is
    one: either will do."""
    best = min(plans, key=len)
    firsts = [plan[0].change for plan in plans]
    if firsts == ["come_after", "hold_level"] and plans[0][1:] == plans[1][1:]:
        facts = (*plans[0][0].facts, *plans[1][0].facts)
        return Remedy("come_after_or_hold_level", facts), *best[1:]
    return best


# ---------------------------------------------------------------------- a mend for each rule


def _remedy(change: str, *values: object) -> Remedy:
    return Remedy(change, tuple(zip(CHANGES[change], map(str, values), strict=True)))


def _record(asked: _Asked) -> CredentialRecord:
    assert asked.snapshot.record is not None  # noqa: S101  # credential_known is mended first
    return asked.snapshot.record


def _person(asked: _Asked) -> Person:
    assert asked.snapshot.person is not None  # noqa: S101  # credential_known is mended first
    return asked.snapshot.person


def _with_record(asked: _Asked, **changes: Any) -> _Asked:  # noqa: ANN401  # fields of any type
    record = replace(_record(asked), **changes)
    return replace(asked, snapshot=replace(asked.snapshot, record=record))


def _with_person(asked: _Asked, **changes: Any) -> _Asked:  # noqa: ANN401  # fields of any type
    person = replace(_person(asked), **changes)
    return replace(asked, snapshot=replace(asked.snapshot, person=person))


def _with_request(asked: _Asked, **changes: Any) -> _Asked:  # noqa: ANN401  # fields of any type
    return replace(asked, request=replace(asked.request, **changes))


def _with_situation(asked: _Asked, **changes: Any) -> _Asked:  # noqa: ANN401  # fields of any type
    return _with_request(asked, situation=replace(asked.request.situation, **changes))


def _add_credential(asked: _Asked, _deny: Deny) -> list[Mend]:
    """For somebody with no rights yet: what else they need, the next rules say."""
    credential = asked.request.credential
    snapshot = replace(
        asked.snapshot,
        record=CredentialRecord(credential, _NOBODY),
        person=Person(_NOBODY, ""),
        levels=(),
    )
    return [(_remedy("add_credential", credential.kind), replace(asked, snapshot=snapshot))]


def _take_off_watch_list(asked: _Asked, _deny: Deny) -> list[Mend]:
    after = _with_record(_with_person(asked, watch=""), watch="")
    return [(_remedy("take_off_watch_list"), after)]


def _activate(asked: _Asked, _deny: Deny) -> list[Mend]:
    return [(_remedy("activate"), _with_record(asked, status=CredentialStatus.ACTIVE))]


def _set_clock(asked: _Asked, _deny: Deny) -> list[Mend]:
    stamp = replace(asked.now.stamp, wall_trusted=True)
    return [(_remedy("set_clock"), replace(asked, now=replace(asked.now, stamp=stamp)))]


def _come_after(asked: _Asked, after_s: int) -> Mend:
    """Time passes for everyone: what was remembered is as much older then."""
    by_s, facts = after_s - asked.now.wall_s, asked.request.situation
    stamp = replace(asked.now.stamp, wall_ms=after_s * 1000)
    later = _with_situation(
        replace(asked, now=replace(asked.now, stamp=stamp)),
        whereabouts=_aged(facts.whereabouts, by_s),
        companion=_aged(facts.companion, by_s),
        waiting=_aged(facts.waiting, by_s),
    )
    return _remedy("come_after", after_s), later


def _aged(known: _Known | None, by_s: int) -> _Known | None:
    if known is None or known.age_s is None:
        return known
    return replace(known, age_s=known.age_s + by_s)


def _begin(asked: _Asked, _deny: Deny) -> list[Mend]:
    """To wait is least; but nobody waits for years, and then the date itself is to blame."""
    start_s, now_s = _record(asked).valid_from_s, asked.now.wall_s
    assert start_s is not None  # noqa: S101  # the rule applied
    if start_s - now_s <= HORIZON_S:
        return [_come_after(asked, start_s)]
    return [(_remedy("begin_by", now_s), _with_record(asked, valid_from_s=now_s))]


def _extend(asked: _Asked, _deny: Deny) -> list[Mend]:
    now_s = asked.now.wall_s
    after = _with_record(asked, valid_until_s=now_s + 1)
    return [(_remedy("extend", now_s), after)]


def _add_uses(asked: _Asked, _deny: Deny) -> list[Mend]:
    uses = asked.request.situation.used + 1
    return [(_remedy("add_uses", uses), _with_record(asked, uses=uses))]


def _renew_permit(asked: _Asked, _deny: Deny) -> list[Mend]:
    now_s = asked.now.wall_s
    after = _with_record(asked, permit_until_s=now_s + 1)
    return [(_remedy("renew_permit", now_s), after)]


def _free_door(asked: _Asked, deny: Deny) -> list[Mend]:
    change = "lift_lockdown" if deny.reason is Reason.DOOR_LOCKED_DOWN else "unblock_door"
    after = _with_request(asked, door_mode=DoorMode.LOCKED)
    return [(_remedy(change, asked.request.door.id), after)]


# -------------------------------------------------------------------------- levels and hours


def _add_level(asked: _Asked, deny: Deny) -> list[Mend]:
    """One that is open now; else the one that opens first, and the next rule says when."""
    if level := _open_level(asked):
        return [_hold(asked, level)]
    opens_s = _openings(asked, asked.levels)
    if not opens_s:
        return [_new_level(asked)]
    if not asked.now.stamp.wall_trusted:
        return _set_clock(asked, deny)
    first = min(opens_s.values())
    return [_hold(asked, next(lv for lv in asked.levels if opens_s.get(lv.schedule_id) == first))]


def _open_hours(asked: _Asked, deny: Deny) -> list[Mend]:
    """To wait until a level opens that is held, or to hold one that is open now; a clock that can't
    be trusted is set right, where that is any use."""
    held = case_of(asked.request, asked.snapshot, asked.now).levels
    mends = []
    if deny.reason is Reason.CLOCK_UNTRUSTED:
        local = asked.now.local
        if _openings(asked, held) or first_open(asked.levels, asked.snapshot, local):
            mends += _set_clock(asked, deny)
    elif opens_s := _openings(asked, held):
        mends.append(_come_after(asked, min(opens_s.values())))
    if level := _open_level(asked):
        mends.append(_hold(asked, level))
    return mends or [_new_level(asked)]


def _open_level(asked: _Asked) -> AccessLevel | None:
    """The narrowest level of the list that is open here now."""
    local = asked.now.local if asked.now.stamp.wall_trusted else None
    return first_open(asked.levels, asked.snapshot, local)


def _openings(asked: _Asked, levels: Iterable[AccessLevel]) -> dict[ScheduleId, int]:
    """From when on each of their schedules is open by the wall's time, looked up once for all
    levels that share it. One that does not open within the horizon is left out; so are those past
    MAX_SCHEDULES."""
    found = {}
    for schedule_id in islice(dict.fromkeys(lv.schedule_id for lv in levels), MAX_SCHEDULES):
        schedule = asked.snapshot.schedules.get(schedule_id)
        opens_s = None if schedule is None else _opens_s(asked, schedule)
        if opens_s is not None:
            found[schedule_id] = opens_s
    return found


def _opens_s(asked: _Asked, schedule: Schedule) -> int | None:
    if is_open(schedule, asked.snapshot.calendars, asked.now.local):
        return asked.now.wall_s
    calendars, now_s = asked.snapshot.calendars, asked.now.wall_s
    soon_s = next_change(schedule, calendars, asked.now, NEAR_DAYS)
    if soon_s is not None:
        return soon_s
    # It is closed for the whole day to come, so that asking from the end of this UTC day on, which
    # is the same question all day long, leaves nothing out.
    later_s = _opens_after(
        _Same(schedule), _Same(calendars), asked.now.zone, (now_s // DAY_S + 1) * DAY_S
    )
    return later_s if later_s is not None and later_s - now_s <= HORIZON_S else None


@dataclass(frozen=True, slots=True, eq=False)
class _Same(Generic[_Thing]):
    """Equal to what wraps the very same object: a list's schedules are made once a revision, and
    comparing them whole costs as much as a day's look-up."""

    thing: _Thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.thing is other.thing

    def __hash__(self) -> int:
        return id(self.thing)


@lru_cache(KEPT_OPENINGS)
def _opens_after(
    schedule: _Same[Schedule], calendars: _Same[Calendars], zone: tzinfo, after_s: int
) -> int | None:
    """A schedule that is closed then: when it opens next. A scan of 400 days costs two ms."""
    if _is_over(schedule.thing, calendars.thing, after_s):
        return None
    moment = Moment(Stamp("", 0, after_s * 1000, True), zone)
    return next_change(schedule.thing, calendars.thing, moment)


def _is_over(schedule: Schedule, calendars: Calendars, after_s: int) -> bool:
    """Whether all of its hours are on dates of calendars, and these are past, some days ago."""
    if any(schedule.week):
        return False
    days = (calendars.get(each.calendar) for each in schedule.special_days if each.intervals)
    first = (datetime.fromtimestamp(after_s, UTC).date() - timedelta(days=3)).isoformat()
    return all(date < first for each in days if each is not None for date in each.dates)


def _hold(asked: _Asked, level: AccessLevel) -> Mend:
    snapshot = replace(asked.snapshot, levels=(*asked.snapshot.levels, level))
    return _remedy("hold_level", level.id), replace(asked, snapshot=snapshot)


def _new_level(asked: _Asked) -> Mend:
    """The list has none that would do."""
    door_id = asked.request.door.id
    level = AccessLevel(LevelId(""), "", frozenset({door_id}), _ALWAYS.id)
    schedules = {**asked.snapshot.schedules, _ALWAYS.id: _ALWAYS}
    levels = (*asked.snapshot.levels, level)
    snapshot = replace(asked.snapshot, levels=levels, schedules=schedules)
    return _remedy("new_level", door_id), replace(asked, snapshot=snapshot)


# -------------------------------------------------------------------------- at the reader


def _type_pin(asked: _Asked, deny: Deny) -> list[Mend]:
    typed = _with_situation(asked, pin=PinCheck.RIGHT)
    if deny.reason is Reason.CARD_MISSING:
        card = replace(asked.request.credential, kind=CredentialKind.CARD)
        return [(_remedy("show_card"), _with_request(asked, credential=card))]
    if deny.reason is Reason.PIN_LOCKED_OUT:
        return [(_remedy("wait_for_reader"), typed)]
    if not _person(asked).pin:
        return [(_remedy("set_pin"), _with_person(typed, pin="set"))]
    change = "type_right_pin" if deny.reason is Reason.PIN_WRONG else "type_pin"
    return [(_remedy(change), typed)]


def _forgive(asked: _Asked, _deny: Deny) -> list[Mend]:
    """Whoever is forgiven is counted nowhere, so there is one more place for them to take."""
    facts = asked.request.situation
    where = facts.whereabouts or Whereabouts(None, asked.now.stamp.wall_ms, 0.0)
    counted = facts.entering is not None and where.area_id == facts.entering.id
    after = _with_situation(
        asked, whereabouts=replace(where, neutral=True), inside=facts.inside - counted
    )
    return [(_remedy("forgive"), after)]


def _make_room(asked: _Asked, deny: Deny) -> list[Mend]:
    """Others leave; where even an empty area could not take who comes, the limit is to blame."""
    area, facts = asked.request.situation.entering, asked.request.situation
    assert area is not None  # noqa: S101  # the rule applied
    if deny.reason is Reason.AREA_TOO_FEW:
        return _fill_up(asked, deny, area)
    assert area.maximum is not None  # noqa: S101  # the same
    coming = people_coming(case_of(asked.request, asked.snapshot, asked.now))
    others = int(dict(deny.detail)["inside"])
    room = area.maximum - coming
    if room >= 0:
        after = _with_situation(asked, inside=facts.inside - others + room)
        return [(_remedy("make_room", area.id, room), after)]
    raised = replace(area, maximum=others + coming)
    after = _with_situation(asked, entering=raised)
    return [(_remedy("raise_limit", area.id, raised.maximum), after)]


def _fill_up(asked: _Asked, deny: Deny, area: Area) -> list[Mend]:
    """Enough others are in there already, if a limit allows as many and one more."""
    facts = asked.request.situation
    assert area.minimum is not None  # noqa: S101  # the rule applied
    alone = int(dict(deny.detail)["inside"])
    coming = 2 if asked.request.door.two_person_s > 0 else 1
    others = area.minimum - coming
    after = _with_situation(asked, inside=facts.inside - alone + others)
    return [(_remedy("fill_up", area.id, others), after)]


def _close_other(asked: _Asked, _deny: Deny) -> list[Mend]:
    after = _with_situation(asked, blocked_by=None)
    return [(_remedy("close_other_door", asked.request.situation.blocked_by), after)]


def _drive_up(asked: _Asked, _deny: Deny) -> list[Mend]:
    return [(_remedy("drive_up"), _with_situation(asked, vehicle=True))]


def _bring_escort(asked: _Asked, _deny: Deny) -> list[Mend]:
    """At a door for two the escort is the first of them: that is one change for both rules. Of
    their own escorts any will do; the list alone knows which of them are still there."""
    door, person = asked.request.door, _person(asked)
    own = tuple(other for other in person.escorts if other != person.id)
    leader = Companion(own[0] if own else _someone_else(asked), 0.0, may_escort=True)
    if not own:
        asked = _with_person(asked, escorts=(), needs_escort=True)
    people = (", ".join(own),) if own else ()
    change = "bring_own_escort" if own else "bring_escort"
    if door.two_person_s > 0:
        both = _with_situation(asked, waiting=leader)
        return [(_remedy(f"{change}_first", *people, f"{door.two_person_s:g}"), both)]
    after = _with_situation(asked, companion=leader)
    return [(_remedy(change, *people, f"{door.escort_s:g}"), after)]


def _bring_second(asked: _Asked, _deny: Deny) -> list[Mend]:
    first = Companion(_someone_else(asked), 0.0)
    seconds = f"{asked.request.door.two_person_s:g}"
    return [(_remedy("bring_second", seconds), _with_situation(asked, waiting=first))]


def _someone_else(asked: _Asked) -> PersonId:
    return PersonId(f"not {_person(asked).id}")


# Each rule of policy.RULES that can fail, and what mends it. With more than one mend, the one that
# needs the fewest others.
MENDS: Mapping[str, Callable[[_Asked, Deny], list[Mend]]] = {
    "credential_known": _add_credential,
    "watch_list": _take_off_watch_list,
    "credential_active": _activate,
    "clock_believable": _set_clock,
    "valid_from": _begin,
    "valid_until": _extend,
    "uses_left": _add_uses,
    "permit": _renew_permit,
    "door_mode": _free_door,
    "access_level": _add_level,
    "in_schedule": _open_hours,
    "pin": _type_pin,
    "anti_passback": _forgive,
    "occupancy": _make_room,
    "interlock": _close_other,
    "vehicle_present": _drive_up,
    "escort": _bring_escort,
    "two_person": _bring_second,
}
