"""Alarms as a table of open ones: who raised what, who took it, what became of it. Pure: owns the
rules, keeps nothing.

Life of an alarm (ISA-18.2; docs/design/alarms.md has it as a table): it waits until someone takes
it, and leaves the list once it is also over. What comes back soon is the same alarm, so that a
chattering input makes one alarm and not a thousand; `NEVER_SUPPRESSED` kinds are told each time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from gatewayd.domain.events import (
    AlarmAcknowledged,
    AlarmCleared,
    AlarmEscalated,
    AlarmEvent,
    AlarmRaised,
    AlarmReopened,
    AlarmRepeated,
    AlarmShelved,
    AlarmUnshelved,
    Escalation,
)
from gatewayd.domain.model import NS_PER_MS, NS_PER_S, AlarmKind, Priority, Stamp

# Over for less than this, and what comes back is the same alarm; nor does one alarm begin to wait
# for a guard more often. So a chattering input stays at six an hour: EEMUA 191 calls one alarm in
# ten minutes what an operator can bear in the long run.
RETURN_NS = 600 * NS_PER_S
MAX_SHELF_MS = 8 * 3_600_000  # a shift: who takes over must decide anew
MAX_ALIKE = 10  # waiting alarms of one kind about one thing; past it the raises are only counted

# Each raise is an alarm of its own, and nobody can put it aside.
NEVER_SUPPRESSED = frozenset({AlarmKind.DURESS, AlarmKind.DOOR_FORCED, AlarmKind.FIRE})
# No sound anywhere: whoever stands beside the victim must not learn that help was asked for.
SILENT = frozenset({AlarmKind.DURESS})
# A second one is news as soon as the first was taken, however soon that is.
_NEWS = NEVER_SUPPRESSED | {AlarmKind.NOTICE}

_URGENCY = {
    priority: rank
    for rank, priority in enumerate(
        (Priority.CRITICAL, Priority.HIGH, Priority.MEDIUM, Priority.LOW)
    )
}
# How many times `escalate_min` an alarm may wait; one of low priority may wait for ever.
_PATIENCE = {Priority.CRITICAL: 1, Priority.HIGH: 1, Priority.MEDIUM: 10}
_ROLES = tuple(Escalation)

_Change = (
    AlarmRepeated
    | AlarmAcknowledged
    | AlarmReopened
    | AlarmCleared
    | AlarmShelved
    | AlarmUnshelved
    | AlarmEscalated
)


@dataclass(frozen=True, slots=True)
class Shelf:
    """Who put the alarm aside, why, until when, and when that was."""

    operator: str
    reason: str
    until_ms: int
    since: Stamp


@dataclass(frozen=True, slots=True)
class OpenAlarm:
    """One alarm that still needs a guard, or that is remembered because it may come back.

    `raised_seq` is the journal's seq of its AlarmRaised; `latest` and `latest_seq` are of its last
    raise. `over` is when it was last over, None while it is up. `again`: raised once more since
    someone took it. `waiting_since` is when it last began to wait for someone.
    """

    alarm_id: str
    kind: AlarmKind
    priority: Priority
    about: str
    detail: str
    raised: Stamp
    raised_seq: int
    latest: Stamp
    latest_seq: int
    waiting_since: Stamp
    over: Stamp | None = None
    acknowledged_by: str | None = None
    repeats: int = 0
    again: bool = False
    shelf: Shelf | None = None
    escalated_to: Escalation | None = None

    @property
    def active(self) -> bool:
        return self.over is None

    @property
    def open(self) -> bool:
        """In the list. A shelved alarm that is over has no more to say."""
        return self.active or (self.acknowledged_by is None and self.shelf is None)

    @property
    def waiting(self) -> bool:
        """Someone should take it now."""
        return self.open and self.acknowledged_by is None and self.shelf is None


OpenAlarms = dict[str, OpenAlarm]


def apply(alarms: OpenAlarms, event: AlarmEvent, seq: int, stamp: Stamp) -> OpenAlarms:
    """The table after the journaled `event`; an event about an alarm not in it changes none.

    Fold this over the journal and the table of any moment comes back. An event that tells less
    than is known already (the desk is ahead of its journal while an input chatters) is passed over.
    """
    before = alarms.get(event.alarm_id)
    if isinstance(event, AlarmRaised):
        after = _raised(event, seq, stamp) if before is None else replace(before, raised_seq=seq)
    elif before is None:
        return alarms
    else:
        after = _after(before, event, seq, stamp)
    rest = {key: alarm for key, alarm in alarms.items() if key != event.alarm_id}
    every = {**rest, event.alarm_id: after}
    return {key: a for key, a in every.items() if a.open or _remembered(a, stamp)}


def _raised(event: AlarmRaised, seq: int, stamp: Stamp) -> OpenAlarm:
    return OpenAlarm(
        event.alarm_id, event.alarm, event.priority, event.about, event.detail,
        raised=stamp, raised_seq=seq, latest=stamp, latest_seq=seq, waiting_since=stamp,
    )  # fmt: skip


def _after(before: OpenAlarm, event: _Change, seq: int, stamp: Stamp) -> OpenAlarm:
    match event:
        case AlarmRepeated() | AlarmCleared() | AlarmAcknowledged() if _is_known(before, event):
            return before
        case AlarmRepeated():
            taken = before.acknowledged_by is not None and event.repeats > before.repeats
            return replace(
                before, over=None, repeats=event.repeats, detail=event.detail or before.detail,
                latest=stamp, latest_seq=seq, again=before.again or taken,
            )  # fmt: skip
        case AlarmCleared():
            return replace(before, over=stamp, repeats=event.repeats)
        case AlarmAcknowledged():
            return replace(before, acknowledged_by=event.operator, again=False)
        case AlarmReopened():
            return _waits(before, stamp)
        case AlarmShelved():
            shelf = Shelf(event.operator, event.reason, event.until_ms, stamp)
            return replace(before, shelf=shelf)
        case AlarmUnshelved():
            return _waits(replace(before, shelf=None), stamp)
        case AlarmEscalated():
            return replace(before, escalated_to=event.to)
        case _ as never:
            assert_never(never)


def _is_known(alarm: OpenAlarm, event: AlarmRepeated | AlarmCleared | AlarmAcknowledged) -> bool:
    """Whether the alarm is past what the event tells; the first who took it is who did."""
    match event:
        case AlarmRepeated():
            return (event.repeats, False) < (alarm.repeats, not alarm.active)
        case AlarmCleared():
            return event.repeats < alarm.repeats
        case AlarmAcknowledged():
            return alarm.acknowledged_by is not None
        case _ as never:
            assert_never(never)


def _waits(alarm: OpenAlarm, since: Stamp) -> OpenAlarm:
    """It begins to wait for someone, as if it were new."""
    return replace(alarm, acknowledged_by=None, again=False, waiting_since=since, escalated_to=None)


# ---------------------------------------------------------------------- raised again, and over


def again(alarms: OpenAlarms, kind: AlarmKind, about: str, now: Stamp) -> OpenAlarm | None:
    """The alarm that one more raise of this kind about this thing belongs to; None: a new one."""
    alike = [a for a in alarms.values() if a.kind is kind and a.about == about]
    if kind in _NEWS:
        untaken = [a for a in alike if a.waiting or _is_shelved(a, now)]
        enough = MAX_ALIKE if kind in NEVER_SUPPRESSED else 1
        return untaken[-1] if len(untaken) >= enough else None
    return next((a for a in alike if a.open or _remembered(a, now)), None)


def active(alarms: OpenAlarms, kind: AlarmKind, about: str) -> list[OpenAlarm]:
    """What is up of this kind about this thing: all of it is over at once."""
    return [a for a in alarms.values() if a.active and a.kind is kind and a.about == about]


def repeated(alarm: OpenAlarm, detail: str, now: Stamp) -> OpenAlarm:
    """The alarm after one more raise, whether that is journaled yet or not."""
    taken = alarm.acknowledged_by is not None
    return replace(
        alarm, over=None, repeats=alarm.repeats + 1, detail=detail or alarm.detail, latest=now,
        again=alarm.again or taken,
    )  # fmt: skip


def telling(alarm: OpenAlarm) -> tuple[AlarmRepeated | AlarmCleared, Stamp]:
    """The event that says how the alarm stands now, with the moment it came to that."""
    if alarm.over is not None:
        cleared = AlarmCleared(alarm.alarm_id, alarm.about, alarm.repeats, alarm.kind)
        return cleared, alarm.over
    repeat = AlarmRepeated(alarm.alarm_id, alarm.about, alarm.repeats, alarm.detail, alarm.kind)
    return repeat, alarm.latest


def _remembered(alarm: OpenAlarm, now: Stamp) -> bool:
    """Out of the list, but what comes back now is still the same alarm."""
    if _is_shelved(alarm, now):
        return True
    news = alarm.kind in _NEWS
    return not news and alarm.over is not None and not aged(alarm.over, now, RETURN_NS)


# -------------------------------------------------------------------- shelving and escalating


class ShelveRefusal(StrEnum):
    NEVER = "never"  # this kind is never put aside
    TOO_LONG = "too_long"  # more than 8 hours
    PAST = "past"  # not ahead of now


def why_not_shelve(alarm: OpenAlarm, until_ms: int, now: Stamp) -> ShelveRefusal | None:
    """None where the alarm may be shelved until `until_ms`, milliseconds since 1970 UTC."""
    if alarm.kind in NEVER_SUPPRESSED:
        return ShelveRefusal.NEVER
    if until_ms <= now.wall_ms:
        return ShelveRefusal.PAST
    return ShelveRefusal.TOO_LONG if until_ms > now.wall_ms + MAX_SHELF_MS else None


def _is_shelved(alarm: OpenAlarm, now: Stamp) -> bool:
    """Its time on the shelf is measured by the clock that does not jump; where the wall's says
    that it is up, it is up as well."""
    shelf = alarm.shelf
    if shelf is None or (now.wall_trusted and now.wall_ms >= shelf.until_ms):
        return False
    return not aged(shelf.since, now, (shelf.until_ms - shelf.since.wall_ms) * NS_PER_MS)


def due(alarms: OpenAlarms, now: Stamp, escalate_ns: int) -> list[AlarmEvent]:
    """What time has brought: at most one event an alarm; ask again until there is none."""
    found = (_due(alarm, now, escalate_ns) for alarm in alarms.values())
    return [event for event in found if event is not None]


def _due(alarm: OpenAlarm, now: Stamp, escalate_ns: int) -> AlarmEvent | None:
    if alarm.shelf is not None:
        back = alarm.active and not _is_shelved(alarm, now)
        return AlarmUnshelved(alarm.alarm_id, alarm.about, alarm=alarm.kind) if back else None
    if alarm.again and aged(alarm.waiting_since, now, RETURN_NS):
        return AlarmReopened(alarm.alarm_id, alarm.about, alarm.kind)
    patience = _PATIENCE.get(alarm.priority)
    if not alarm.waiting or patience is None or alarm.escalated_to is _ROLES[-1]:
        return None
    asked = 0 if alarm.escalated_to is None else _ROLES.index(alarm.escalated_to) + 1
    if not aged(alarm.waiting_since, now, escalate_ns * patience * (asked + 1)):
        return None
    return AlarmEscalated(alarm.alarm_id, alarm.about, _ROLES[asked], alarm.kind)


def aged(since: Stamp, now: Stamp, limit_ns: int) -> bool:
    """Whether `limit_ns` have passed. A moment of another boot is compared by the wall clock;
    where that can't be believed, it counts as long ago: rather one alarm more than one less."""
    if since.boot_id == now.boot_id:
        return now.monotonic_ns - since.monotonic_ns >= limit_ns
    passed_ms = now.wall_ms - since.wall_ms
    if passed_ms < 0 or not (since.wall_trusted and now.wall_trusted):
        return True
    return passed_ms * NS_PER_MS >= limit_ns


def by_urgency(alarms: OpenAlarms) -> list[OpenAlarm]:
    """The list: what waits first, then what is taken, then what is shelved; within each duress
    before all, then by priority, then the oldest."""
    return sorted((a for a in alarms.values() if a.open), key=_rank)


def _rank(alarm: OpenAlarm) -> tuple[bool, bool, bool, int, int]:
    taken = alarm.acknowledged_by is not None
    duress = alarm.kind is AlarmKind.DURESS
    return alarm.shelf is not None, taken, not duress, _URGENCY[alarm.priority], alarm.raised_seq
