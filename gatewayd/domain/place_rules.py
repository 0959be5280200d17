"""Rules about where and when: the door's mode, rights and hours, areas, interlock and company.

Owns the rules one by one; their order is `gatewayd.domain.policy.RULES`.
"""

from __future__ import annotations

from functools import lru_cache

from gatewayd.domain.model import (
    AntiPassback,
    Area,
    Companion,
    DoorMode,
    Excess,
    PersonId,
    Reason,
    RuleResult,
    RuleTrace,
    Whereabouts,
)
from gatewayd.domain.verdict import Case, Sentence

# Lines that are the same for many are made once: for each level, for each area.
KEPT_LINES = 4_096

# ---------------------------------------------------------------------------- the door's mode

ADMITS = Sentence("door_mode", "admits", ("mode",))
LOCKED_DOWN = Sentence("door_mode", "locked_down", (), Reason.DOOR_LOCKED_DOWN)
BLOCKED = Sentence("door_mode", "blocked", (), Reason.DOOR_BLOCKED)
_OF_MODE = {
    DoorMode.LOCKED: ADMITS.line(DoorMode.LOCKED),
    DoorMode.UNLOCKED: ADMITS.line(DoorMode.UNLOCKED),
    DoorMode.ACCESSED: ADMITS.line(DoorMode.ACCESSED),
    DoorMode.LOCKED_OPEN: ADMITS.line(DoorMode.LOCKED_OPEN),
    DoorMode.LOCKED_DOWN: LOCKED_DOWN.line(),
    DoorMode.BLOCKED: BLOCKED.line(),
}


def door_mode(case: Case) -> RuleTrace:
    return _OF_MODE[case.request.door_mode]


# -------------------------------------------------------------------------- rights and hours

LEVEL_HELD = Sentence("access_level", "held")
LEVELS_ELSEWHERE = Sentence("access_level", "elsewhere", ("levels",), Reason.NO_ACCESS_LEVEL)
NO_LEVELS = Sentence("access_level", "none", (), Reason.NO_ACCESS_LEVEL)


def access_level(case: Case) -> RuleTrace:
    if case.levels:
        return LEVEL_HELD.line()
    if not case.snapshot.levels:
        return NO_LEVELS.line()
    return LEVELS_ELSEWHERE.line(", ".join(level.id for level in case.snapshot.levels))


OPEN = Sentence("in_schedule", "open", ("level", "schedule"))
CLOSED = Sentence("in_schedule", "closed", ("schedules",), Reason.OUTSIDE_SCHEDULE)
HOURS_UNKNOWN = Sentence("in_schedule", "clock", ("schedules",), Reason.CLOCK_UNTRUSTED)
_open_by = lru_cache(KEPT_LINES)(OPEN.line)


def in_schedule(case: Case) -> RuleTrace:
    """One level that is open now is enough; `decide` names it in the grant."""
    level = case.open_level
    if level is not None:
        return _open_by(level.id, level.schedule_id)
    schedules = ", ".join(dict.fromkeys(level.schedule_id for level in case.levels))
    return (CLOSED if case.wall_trusted else HOURS_UNKNOWN).line(schedules)


# -------------------------------------------------------------------------------------- areas

IN_ORDER = Sentence("anti_passback", "in_order", ("area",))
NEUTRAL = Sentence("anti_passback", "neutral", ("area",))
UNKNOWN_ADMITTED = Sentence("anti_passback", "unknown_admitted", ("area",))
UNKNOWN_SOFT = Sentence("anti_passback", "unknown_soft", ("area",), warns=True)
UNKNOWN = Sentence("anti_passback", "unknown", ("area",), Reason.WHEREABOUTS_UNKNOWN)
INSIDE = Sentence("anti_passback", "inside", ("area", "since_s"), Reason.ANTI_PASSBACK)
INSIDE_SOFT = Sentence("anti_passback", "inside_soft", ("area", "since_s"), warns=True)
INSIDE_LONG = Sentence("anti_passback", "inside_long", ("area", "since_s"))
ELSEWHERE = Sentence("anti_passback", "elsewhere", ("area", "since_s"), Reason.ANTI_PASSBACK)
ELSEWHERE_SOFT = Sentence("anti_passback", "elsewhere_soft", ("area", "since_s"), warns=True)
ELSEWHERE_LONG = Sentence("anti_passback", "elsewhere_long", ("area", "since_s"))
_in_order = lru_cache(KEPT_LINES)(IN_ORDER.line)
# What a passage out of order comes to: in a soft area, after the time of a timed one, else.
_ENTERS_AGAIN = (INSIDE_SOFT, INSIDE_LONG, INSIDE)
_LEAVES_FROM_ELSEWHERE = (ELSEWHERE_SOFT, ELSEWHERE_LONG, ELSEWHERE)


def anti_passback(case: Case) -> RuleTrace | None:
    """Each of the two areas judges by its own setting; the stricter verdict counts."""
    facts = case.situation
    where, found = facts.whereabouts, None
    if facts.entering is not None:
        again = where is not None and where.area_id == facts.entering.id
        found = _judged(facts.entering, where, _ENTERS_AGAIN if again else None)
    if facts.leaving is not None:
        away = where is not None and where.area_id != facts.leaving.id
        left = _judged(facts.leaving, where, _LEAVES_FROM_ELSEWHERE if away else None)
        found = _stricter(found, left)
    return found


def _judged(
    area: Area, where: Whereabouts | None, wrong: tuple[Sentence, Sentence, Sentence] | None
) -> RuleTrace | None:
    """What the area says; `wrong` are its sentences for the passage, None where it is in order."""
    if area.anti_passback is AntiPassback.OFF:
        return None
    if where is None:
        return _of_unknown(area)
    if where.neutral:
        return NEUTRAL.line(area.id)
    if wrong is None:
        return _in_order(area.id)
    soft, long_ago, hard = wrong
    sentence = hard
    if area.anti_passback is AntiPassback.SOFT:
        sentence = soft
    elif area.anti_passback is AntiPassback.TIMED and not _recent(area, where):
        sentence = long_ago
    return sentence.line(area.id, where.since_wall_ms // 1000)


def _of_unknown(area: Area) -> RuleTrace:
    """A soft area denies nobody, not even those whom it does not admit."""
    if area.admit_unknown:
        return UNKNOWN_ADMITTED.line(area.id)
    soft = area.anti_passback is AntiPassback.SOFT
    return (UNKNOWN_SOFT if soft else UNKNOWN).line(area.id)


def _recent(area: Area, where: Whereabouts) -> bool:
    """Whether the time has not passed yet. Where nobody can tell how long ago it was, the area's
    setting for what is unknown decides."""
    return not area.admit_unknown if where.age_s is None else where.age_s < area.forgive_s


def _stricter(one: RuleTrace | None, other: RuleTrace | None) -> RuleTrace | None:
    if one is None or other is None:
        return one or other
    if one.result is RuleResult.FAIL or other.result is RuleResult.PASS:
        return one
    return other


TOO_FEW = Sentence("occupancy", "too_few", ("area", "inside", "minimum"), Reason.AREA_TOO_FEW)
FEW_WARNED = Sentence("occupancy", "few_warned", ("area", "inside", "minimum"), warns=True)
ENOUGH = Sentence("occupancy", "enough", ("area", "inside", "minimum"))
ROOM = Sentence("occupancy", "room", ("area", "inside", "maximum"))
FULL_WARNED = Sentence("occupancy", "full_warned", ("area", "inside", "maximum"), warns=True)
FULL = Sentence("occupancy", "full", ("area", "inside", "maximum"), Reason.AREA_FULL)


def occupancy(case: Case) -> RuleTrace | None:
    """Whoever is counted inside already takes no second place. Of an area's two limits the one that
    is the matter speaks."""
    facts = case.situation
    area = facts.entering
    if area is None:
        return None
    where, inside = facts.whereabouts, facts.inside
    if where is not None and where.area_id == area.id and not where.neutral:
        inside -= 1
    return _stricter(_at_most(case, area, inside), _at_least(case, area, inside))


def _at_most(case: Case, area: Area, inside: int) -> RuleTrace | None:
    if area.maximum is None:
        return None
    sentence = ROOM
    if inside + people_coming(case) > area.maximum:
        sentence = FULL_WARNED if area.excess is Excess.WARN else FULL
    return sentence.line(area.id, inside, area.maximum)


def _at_least(case: Case, area: Area, inside: int) -> RuleTrace | None:
    """A door for two lets nobody in alone: its first waits for the second, so both are counted."""
    if area.minimum is None:
        return None
    sentence = ENOUGH
    if inside + (2 if case.door.two_person_s > 0 else 1) < area.minimum:
        sentence = TOO_FEW if area.shortfall is Excess.DENY else FEW_WARNED
    return sentence.line(area.id, inside, area.minimum)


def people_coming(case: Case) -> int:
    """How many would pass on this grant: at a door for two, the first of them as well."""
    return 1 if _first_of_two(case) is None else 2


# ------------------------------------------------------------------- what stands in the way

INTERLOCKED = Sentence("interlock", "blocked", ("other_door",), Reason.INTERLOCKED)


def interlock(case: Case) -> RuleTrace | None:
    other = case.situation.blocked_by
    return None if other is None else INTERLOCKED.line(other)


VEHICLE_THERE = Sentence("vehicle_present", "there")
NO_VEHICLE = Sentence("vehicle_present", "none", (), Reason.NO_VEHICLE)


def vehicle_present(case: Case) -> RuleTrace | None:
    """A barrier opens for vehicles only; a lane without a loop can't tell, and asks nothing."""
    vehicle = case.situation.vehicle
    if not case.point.vehicle or vehicle is None:
        return None
    return VEHICLE_THERE.line() if vehicle else NO_VEHICLE.line()


# ------------------------------------------------------------------------------------ company

ESCORTED = Sentence("escort", "escorted", ("person",))
NO_ESCORT = Sentence("escort", "alone", ("seconds",), Reason.ESCORT_REQUIRED)
NOT_THEIRS = Sentence("escort", "without_own", ("people", "seconds"), Reason.ESCORT_REQUIRED)
ESCORT_LATE = Sentence("escort", "late", ("person", "seconds"), Reason.ESCORT_REQUIRED)


def escort(case: Case) -> RuleTrace | None:
    """At a door for two, an escort who waits as the first of them counts as well."""
    if not case.person.escorted:
        return None
    within_s = f"{case.door.escort_s:g}"
    leader = _leader(case)
    if leader is not None and (
        leader is case.situation.waiting or leader.age_s <= case.door.escort_s
    ):
        return ESCORTED.line(leader.person_id)
    if leader is not None:
        return ESCORT_LATE.line(leader.person_id, within_s)
    if case.person.escorts:
        return NOT_THEIRS.line(", ".join(case.person.escorts), within_s)
    return NO_ESCORT.line(within_s)


def _leader(case: Case) -> Companion | None:
    """Who escorts, or did so too long ago: the first of two, else who passed before."""
    for other in (_first_of_two(case), case.situation.companion):
        if other is not None and case.person.may_follow(
            other.person_id, may_escort=other.may_escort
        ):
            return other
    return None


SECOND = Sentence("two_person", "second", ("person",))
FIRST = Sentence("two_person", "first", ("seconds",), Reason.SECOND_PERSON_REQUIRED)


def two_person(case: Case) -> RuleTrace | None:
    """The last rule: whoever it denies is authorised in all else, and becomes the first of two."""
    if case.door.two_person_s <= 0:
        return None
    first = _first_of_two(case)
    if first is None:
        return FIRST.line(f"{case.door.two_person_s:g}")
    return SECOND.line(first.person_id)


def waiting_first(case: Case) -> PersonId | None:
    """At a door for two: the one who came first."""
    first = _first_of_two(case)
    return None if first is None else first.person_id


def company(case: Case) -> PersonId | None:
    """Who has to be there for this case, and is: the first of two people, else the escort."""
    first = _first_of_two(case)
    if first is not None:
        return first.person_id
    leader = _leader(case) if case.person.escorted else None
    return None if leader is None else leader.person_id


def _first_of_two(case: Case) -> Companion | None:
    """Who waits at a door for two as the first of them: someone else, and not for too long."""
    within_s = case.door.two_person_s
    first = _another(case.situation.waiting, case) if within_s > 0 else None
    return first if first is not None and first.age_s <= within_s else None


def _another(companion: Companion | None, case: Case) -> Companion | None:
    """Nobody is their own escort, or both of two people."""
    if companion is None or companion.person_id == case.person.id:
        return None
    return companion
