"""What is derived from events in the transaction that writes them. Owns its SQL; decides nothing.

A projection can always be made anew from the events; it spares reading them all at a start.
"""

from __future__ import annotations

from typing import Any, assert_never

from gatewayd.domain.events import (
    ALARM_EVENTS,
    AccessGranted,
    AccessOutcome,
    AlarmAcknowledged,
    AlarmCleared,
    AlarmEscalated,
    AlarmEvent,
    AlarmRaised,
    AlarmReopened,
    AlarmRepeated,
    AlarmShelved,
    AlarmUnshelved,
    CommandAccepted,
    CommandDone,
    DesiredApplied,
    DoorModeOrdered,
    Event,
    FireDetected,
    FireReset,
    PersonPassed,
    PictureStored,
    WhereaboutsForgiven,
)
from gatewayd.domain.model import DoorId, ModeSlot
from gatewayd.domain.modes import ModeOrder, OrderKey, desired_order, fire_order, key_of

Statement = tuple[str, tuple[Any, ...]]

_PICTURE = "INSERT INTO picture VALUES (?, ?, ?, ?, ?, ?, ?)"
_ORDER = "INSERT OR REPLACE INTO door_mode_order VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_NO_ORDER = "DELETE FROM door_mode_order WHERE door_id = ? AND slot = ? AND lockdown = ?"
_EMPTY_SLOT = "DELETE FROM door_mode_order WHERE door_id = ? AND slot = ?"
_COUNTER = """INSERT INTO command_counter VALUES (?, ?)
    ON CONFLICT (kid) DO UPDATE SET counter = max(counter, excluded.counter)"""
_DESIRED = """INSERT INTO desired VALUES (1, ?, ?)
    ON CONFLICT (only_row) DO UPDATE SET revision = excluded.revision, seq = excluded.seq"""
_USE = """INSERT INTO credential_use VALUES (?, 1)
    ON CONFLICT (digest) DO UPDATE SET used = used + 1"""
_PASSED = """INSERT INTO whereabouts VALUES (?, ?, 0, ?) ON CONFLICT (person_id)
    DO UPDATE SET area_id = excluded.area_id, neutral = 0, seq = excluded.seq"""
_FORGIVE_ONE = """INSERT INTO whereabouts VALUES (?, NULL, 1, ?)
    ON CONFLICT (person_id) DO UPDATE SET neutral = 1"""
_FORGIVE_IN = """UPDATE whereabouts SET neutral = 1
    WHERE (?1 IS NULL OR person_id = ?1) AND (?2 IS NULL OR area_id = ?2)"""


def statements(event: Event, seq: int) -> list[Statement]:
    """The SQL that follows from one event; for most there is none.

    A command id that is already known fails the INSERT, and with it the whole append: the second
    of two equal commands can never become durable.
    """
    match event:
        case event if isinstance(event, ALARM_EVENTS):
            return [_alarm(event, seq)]
        case DoorModeOrdered() | FireDetected() | FireReset():
            return _mode_orders(event, seq)
        case CommandAccepted():
            values = (event.command_id, event.kid, event.counter, event.action, event.target, seq)
            return [
                ("INSERT INTO command VALUES (?, ?, ?, ?, ?, ?, NULL, '', NULL)", values),
                (_COUNTER, (event.kid, event.counter)),
            ]
        case CommandDone():
            sql = (
                "UPDATE command SET outcome = ?, detail = ?, done_seq = ?"
                " WHERE command_id = ? AND outcome IS NULL"
            )
            return [(sql, (event.outcome, event.detail, seq, event.command_id))]
        case DesiredApplied():
            # The wanted modes in the same transaction: a power cut right after it must not leave
            # a revision that counts as applied and doors that are not locked down.
            return [(_DESIRED, (event.revision, seq)), *_wanted(event, seq)]
        case AccessGranted() | AccessOutcome() | PersonPassed() | WhereaboutsForgiven():
            return _of_places(event, seq)
        case PictureStored():
            picture = (event.camera_id, event.name, event.sha256, event.size, event.age_ms)
            return [(_PICTURE, (seq, event.for_seq, *picture))]
        case _:
            return []


_WAITS = "waiting_seq = ?, acknowledged_seq = NULL, escalated_seq = NULL"


def _alarm(event: AlarmEvent, seq: int) -> Statement:
    """What `domain.alarm.apply` needs to make the alarm anew: the last event that counts of each
    kind. Where one undoes another, the undone is taken out."""
    match event:
        case AlarmRaised():
            return "INSERT INTO alarm (alarm_id, raised_seq) VALUES (?, ?)", (event.alarm_id, seq)
        case AlarmAcknowledged():  # the first to acknowledge stays the one who did
            change = "acknowledged_seq = coalesce(acknowledged_seq, ?)"
        case AlarmRepeated():
            change = "repeated_seq = ?, cleared_seq = NULL"
        case AlarmCleared():
            change = "cleared_seq = ?"
        case AlarmReopened():
            change = _WAITS
        case AlarmShelved():
            change = "shelved_seq = ?"
        case AlarmUnshelved():
            change = f"{_WAITS}, shelved_seq = NULL"
        case AlarmEscalated():
            change = "escalated_seq = ?"
        case _ as never:
            assert_never(never)
    return f"UPDATE alarm SET {change} WHERE alarm_id = ?", (seq, event.alarm_id)  # noqa: S608  # constants


def _of_places(
    event: AccessGranted | AccessOutcome | PersonPassed | WhereaboutsForgiven, seq: int
) -> list[Statement]:
    """As `domain.area` folds them, and a pass's uses."""
    match event:
        case AccessGranted() | AccessOutcome():
            return [(_USE, (used,)) for used in (event.used, event.companion_used) if used]
        case PersonPassed():
            return [(_PASSED, (event.person_id, event.entered, seq))]
        case WhereaboutsForgiven(person_id=str(person_id), area_id=None):
            return [(_FORGIVE_ONE, (person_id, seq))]
        case WhereaboutsForgiven():
            return [(_FORGIVE_IN, (event.person_id, event.area_id))]
        case _ as never:
            assert_never(never)


def _mode_orders(event: DoorModeOrdered | FireDetected | FireReset, seq: int) -> list[Statement]:
    """As `gatewayd.domain.modes.apply` has it."""
    match event:
        case DoorModeOrdered(mode=mode):
            if mode is None:
                return [(_NO_ORDER, (event.door_id, event.slot.value, int(event.lifted)))]
            order = ModeOrder(mode, event.cause, event.until_ms)
            return [_order(event.door_id, key_of(event.slot, mode), order, seq)]
        case FireDetected():
            key, order = OrderKey(ModeSlot.FIRE), fire_order(event)
            return [_order(door, key, order, seq) for door in event.doors]
        case FireReset():
            return [("DELETE FROM door_mode_order WHERE slot = ?", (ModeSlot.FIRE.value,))]
        case _ as never:
            assert_never(never)


def _order(door_id: DoorId, key: OrderKey, order: ModeOrder, seq: int) -> Statement:
    cause = order.cause
    return _ORDER, (
        *(door_id, key.slot.value, int(key.lockdown), order.mode.value, order.until_ms),
        *(cause.kind.value, cause.ref, cause.reason, seq),
    )


def _wanted(event: DesiredApplied, seq: int) -> list[Statement]:
    """Each door's wanted mode in place of all that the centre ordered of it before."""
    centre = ModeSlot.CENTRE
    found: list[Statement] = []
    for door_id, mode in event.doors:
        found.append((_EMPTY_SLOT, (door_id, centre.value)))
        order = desired_order(mode, event.revision)
        if order is not None:
            found.append(_order(door_id, key_of(centre, mode), order, seq))
    return found
