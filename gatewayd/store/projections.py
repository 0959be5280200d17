"""What is derived from events in the transaction that writes them. Owns its SQL; decides nothing.

A projection can always be made anew from the events; it spares reading them all at a start.
"""

from __future__ import annotations

from typing import Any, assert_never

from gatewayd.domain.events import (
    ALARM_EVENTS,
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
    DoorModeChanged,
    Event,
    PictureStored,
)

Statement = tuple[str, tuple[Any, ...]]

_PICTURE = "INSERT INTO picture VALUES (?, ?, ?, ?, ?, ?, ?)"
_MODE = """INSERT INTO door_mode VALUES (?, ?, ?)
    ON CONFLICT (door_id) DO UPDATE SET mode = excluded.mode, seq = excluded.seq"""
_COUNTER = """INSERT INTO command_counter VALUES (?, ?)
    ON CONFLICT (kid) DO UPDATE SET counter = max(counter, excluded.counter)"""
_DESIRED = """INSERT INTO desired VALUES (1, ?, ?)
    ON CONFLICT (only_row) DO UPDATE SET revision = excluded.revision, seq = excluded.seq"""


def statements(event: Event, seq: int) -> list[Statement]:
    """The SQL that follows from one event; for most there is none.

    A command id that is already known fails the INSERT, and with it the whole append: the second
    of two equal commands can never become durable.
    """
    match event:
        case event if isinstance(event, ALARM_EVENTS):
            return [_alarm(event, seq)]
        case DoorModeChanged():
            return [(_MODE, (event.door_id, event.mode.value, seq))]
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
            modes = [(_MODE, (door, mode.value, seq)) for door, mode in event.doors]
            return [(_DESIRED, (event.revision, seq)), *modes]
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
