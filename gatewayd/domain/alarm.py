"""Alarms as a table of open ones: raise, acknowledge, clear. Pure: owns the rules, keeps nothing.

Life of an alarm (ISA-18.2): active and unacknowledged → acknowledged or returned to normal → gone
when both. A repeat of the same kind about the same thing is counted in the open alarm, so a
chattering input makes one alarm and not a thousand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from gatewayd.domain.events import AlarmAcknowledged, AlarmCleared, AlarmRaised
from gatewayd.domain.model import AlarmKind, Priority, Stamp

AlarmEvent = AlarmRaised | AlarmAcknowledged | AlarmCleared

_URGENCY = {
    priority: rank
    for rank, priority in enumerate(
        (Priority.CRITICAL, Priority.HIGH, Priority.MEDIUM, Priority.LOW)
    )
}


@dataclass(frozen=True, slots=True)
class OpenAlarm:
    """One alarm that still needs a guard. `raised_seq` is the journal's seq of its AlarmRaised."""

    alarm_id: str
    kind: AlarmKind
    priority: Priority
    about: str
    detail: str
    raised: Stamp
    raised_seq: int
    active: bool = True
    acknowledged_by: str | None = None
    repeats: int = 0  # raised again while it was open, in this process's life

    @property
    def open(self) -> bool:
        return self.active or self.acknowledged_by is None


OpenAlarms = dict[str, OpenAlarm]


def apply(alarms: OpenAlarms, event: AlarmEvent, seq: int, stamp: Stamp) -> OpenAlarms:
    """The open alarms after the journaled `event`; an event about an alarm not open changes none.

    Fold this over the journal and the table of any moment comes back.
    """
    match event:
        case AlarmRaised():
            after = OpenAlarm(
                event.alarm_id, event.alarm, event.priority, event.about, event.detail, stamp, seq
            )
        case AlarmAcknowledged():
            before = alarms.get(event.alarm_id)
            if before is None or before.acknowledged_by is not None:
                return alarms
            after = replace(before, acknowledged_by=event.operator)
        case AlarmCleared():
            before = alarms.get(event.alarm_id)
            if before is None:
                return alarms
            after = replace(before, active=False)
        case _ as never:
            assert_never(never)
    rest = {key: alarm for key, alarm in alarms.items() if key != after.alarm_id}
    return {**rest, after.alarm_id: after} if after.open else rest


def find(alarms: OpenAlarms, kind: AlarmKind, about: str) -> OpenAlarm | None:
    """The active alarm of this kind about this thing, which a repeat folds into."""
    return next(
        (a for a in alarms.values() if a.active and a.kind is kind and a.about == about), None
    )


def by_urgency(alarms: OpenAlarms) -> list[OpenAlarm]:
    """Unacknowledged first, then by priority, then the oldest."""
    return sorted(
        alarms.values(),
        key=lambda a: (a.acknowledged_by is not None, _URGENCY[a.priority], a.raised_seq),
    )
