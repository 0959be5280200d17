"""The door as one table of transitions. Pure: `step` says what follows; `gatewayd.doors` does it.

Phases (what the guard sees) and how they follow from each other:

    secure ──unlock, exit──▶ unlocked ──opens──▶ open ──warn_at──▶ held_warning ──held_at──▶ held
      ▲  ▲                      │                  │                    │                     │
      │  └──────relock_at───────┘                  └───────closes───────┴────────closes───────┤
      └──opens with no grant: forced ──closes─────────────────────────────────────────────────┘

`TABLE` below is the whole truth; docs/design/door.md is drawn from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from gatewayd.domain.events import (
    Cause,
    CauseKind,
    DoorClosed,
    DoorHeldWarning,
    DoorLocked,
    DoorModeChanged,
    DoorOpened,
    DoorUnlocked,
    Event,
    ExitRequested,
)
from gatewayd.domain.model import NS_PER_S, AlarmKind, Door, DoorMode

# A door pushed in the last instant of its unlocked time is reported after the relock: inputs are
# debounced for up to 400 ms (IEC 60839-11-1) and polled. An opening this soon is still authorised.
OPENING_GRACE_NS = NS_PER_S
LOCK_RETRY_NS = NS_PER_S  # a lock that did not confirm is told again this often, until it does

REFUSING_MODES = frozenset({DoorMode.LOCKED_DOWN, DoorMode.BLOCKED})
FREE_MODES = frozenset({DoorMode.UNLOCKED, DoorMode.LOCKED_OPEN})


class Phase(StrEnum):
    """The values are in the API and the console's texts: never rename one."""

    SECURE = "secure"
    UNLOCKED = "unlocked"
    OPEN = "open"
    HELD_WARNING = "held_warning"
    HELD = "held"
    FORCED = "forced"


# --------------------------------------------------------------------------------- inputs


@dataclass(frozen=True, slots=True)
class UnlockOrdered:
    """Someone entitled said "open"; whoever gives the order has journaled why."""

    cause: Cause
    unlock_s: float


@dataclass(frozen=True, slots=True)
class ContactChanged:
    open: bool


@dataclass(frozen=True, slots=True)
class ExitPressed:
    """REX. Free egress: heeded in every mode."""


@dataclass(frozen=True, slots=True)
class ModeOrdered:
    mode: DoorMode
    cause: Cause


@dataclass(frozen=True, slots=True)
class ControllerLost:
    """Nothing can be seen or moved; whatever happens to the line, no door is released by it."""


@dataclass(frozen=True, slots=True)
class ControllerBack:
    """The wanted lock state is said again: the board may have lost it."""


@dataclass(frozen=True, slots=True)
class DriveDone:
    """The board confirmed the lock's state by read-back."""


@dataclass(frozen=True, slots=True)
class DriveFailed:
    """The board did not confirm `unlocked`."""

    unlocked: bool
    detail: str


@dataclass(frozen=True, slots=True)
class TimePassed:
    """A deadline of the state may have come."""


DoorInput = (
    UnlockOrdered
    | ContactChanged
    | ExitPressed
    | ModeOrdered
    | ControllerLost
    | ControllerBack
    | DriveDone
    | DriveFailed
    | TimePassed
)

# -------------------------------------------------------------------------------- effects


@dataclass(frozen=True, slots=True)
class DriveLock:
    """`confirmed` is what to record once the board has confirmed: nothing is claimed before."""

    unlocked: bool
    confirmed: Event | None = None


@dataclass(frozen=True, slots=True)
class Record:
    event: Event


@dataclass(frozen=True, slots=True)
class Raise:
    kind: AlarmKind
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Clear:
    kind: AlarmKind


Effect = DriveLock | Record | Raise | Clear


@dataclass(frozen=True, slots=True)
class DoorState:
    """Everything the next step depends on. Moments are monotonic nanoseconds of this boot."""

    phase: Phase = Phase.SECURE
    mode: DoorMode = DoorMode.LOCKED
    unlocked: bool = False  # what is wanted of the lock; `failed` says that it may not be so
    open: bool | None = None  # None: cannot be seen now
    last_seen_open: bool | None = None  # what was seen last, kept through an outage
    online: bool = False
    failed: bool = False  # DOOR_FAILED is up
    confirmed: bool = False  # the board has answered since the start
    relock_at_ns: int | None = None
    authorised_until_ns: int = 0
    warn_at_ns: int | None = None
    held_at_ns: int | None = None


Next = tuple[DoorState, tuple[Effect, ...]]


def next_deadline_ns(state: DoorState) -> int | None:
    """When `step` next wants a TimePassed; None while nothing is due."""
    due = [t for t in (state.relock_at_ns, state.warn_at_ns, state.held_at_ns) if t is not None]
    return min(due, default=None)


def refuses_unlock(state: DoorState) -> bool:
    """Whether the door's mode forbids a grant or an order to open (never the exit button)."""
    return state.mode in REFUSING_MODES


def step(state: DoorState, event: DoorInput, now_ns: int, door: Door) -> Next:
    """The state after `event`, and what must be done, in order. Pure and total."""
    handler = TABLE.get((state.phase, type(event))) or ANY_PHASE[type(event)]
    return handler(state, event, now_ns, door)


# ------------------------------------------------------------------------------- handlers


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)


def _unlock(state: DoorState, cause: Cause, unlock_s: float, now_ns: int, door: Door) -> Next:
    """Unlock for a while; a closed door becomes `unlocked`, an open one stays what it is.

    A shorter order never cuts a longer one short, and in a mode that keeps the door free no
    relock is planned.
    """
    until_ns = max(now_ns + _ns(unlock_s), state.relock_at_ns or 0)
    after = replace(
        state,
        unlocked=True,
        relock_at_ns=None if state.mode in FREE_MODES else until_ns,
        authorised_until_ns=until_ns + OPENING_GRACE_NS,
        phase=Phase.UNLOCKED if state.phase is Phase.SECURE else state.phase,
    )
    return after, (DriveLock(True, DoorUnlocked(door.id, cause, unlock_s)),)


def _on_unlock(state: DoorState, event: UnlockOrdered, now_ns: int, door: Door) -> Next:
    if refuses_unlock(state):
        return state, ()
    return _unlock(state, event.cause, event.unlock_s, now_ns, door)


def _on_unlock_while_open(state: DoorState, event: UnlockOrdered, now_ns: int, door: Door) -> Next:
    """The next person through an open door: its time open is counted anew."""
    if refuses_unlock(state):
        return state, ()
    after, effects = _unlock(state, event.cause, event.unlock_s, now_ns, door)
    return _timed_open(after, now_ns, door), effects


def _on_exit(state: DoorState, _event: ExitPressed, now_ns: int, door: Door) -> Next:
    after, effects = _unlock(state, Cause(CauseKind.EXIT_REQUEST), door.unlock_s, now_ns, door)
    return after, (*effects, Record(ExitRequested(door.id)))


def _timed_open(state: DoorState, now_ns: int, door: Door) -> DoorState:
    """Open with authority: the pre-alarm's and the alarm's clocks run, unless it may stay open."""
    if state.mode in FREE_MODES:
        return replace(state, phase=Phase.OPEN, warn_at_ns=None, held_at_ns=None)
    return replace(
        state,
        phase=Phase.OPEN,
        warn_at_ns=now_ns + _ns(door.pre_alarm_s),
        held_at_ns=now_ns + _ns(door.held_s),
    )


def _on_contact_closed_door(
    state: DoorState, event: ContactChanged, now_ns: int, door: Door
) -> Next:
    """From `secure` or `unlocked`: an opening needs a recent grant, exit request or free mode.

    A door found open at the start, or still open after an outage, was not seen opening: nobody is
    accused, and the clocks of "held" run. One that was closed before an outage and is open after
    it is judged like any other.
    """
    before = state.last_seen_open
    state = replace(state, open=event.open, last_seen_open=event.open)
    if not event.open and before is None:
        # What was wrong before a restart is over: its alarms must not swallow the next ones.
        return state, (Clear(AlarmKind.DOOR_FORCED), Clear(AlarmKind.DOOR_HELD))
    if not event.open:
        return state, (Record(DoorClosed(door.id)),) if before else ()
    if before is not False:
        return _timed_open(state, now_ns, door), ()
    authorised = state.unlocked or state.mode in FREE_MODES or now_ns <= state.authorised_until_ns
    opened = Record(DoorOpened(door.id, authorised))
    if authorised:
        return _timed_open(state, now_ns, door), (opened,)
    return replace(state, phase=Phase.FORCED), (opened, Raise(AlarmKind.DOOR_FORCED))


_ALARM_OF_PHASE = {Phase.HELD: AlarmKind.DOOR_HELD, Phase.FORCED: AlarmKind.DOOR_FORCED}


def _clear_alarm_of(phase: Phase) -> tuple[Effect, ...]:
    kind = _ALARM_OF_PHASE.get(phase)
    return () if kind is None else (Clear(kind),)


def _on_contact_open_door(state: DoorState, event: ContactChanged, now_ns: int, door: Door) -> Next:
    """From any open phase. Relock on close: the time that was left is not left to the next one.

    A leaf that bounces off its latch within the grace is no forced door, except after a forced one.
    """
    if event.open:
        return replace(state, open=True, last_seen_open=True), ()
    grace_ns = 0 if state.phase is Phase.FORCED else OPENING_GRACE_NS
    closed = replace(state, open=False, last_seen_open=False, warn_at_ns=None, held_at_ns=None)
    after, effects = _lock(closed, door, authorised_until_ns=now_ns + grace_ns)
    return after, (*effects, Record(DoorClosed(door.id)), *_clear_alarm_of(state.phase))


def _lock(state: DoorState, door: Door, *, authorised_until_ns: int) -> Next:
    """Lock, unless the mode keeps the door free; the phase follows unless the door stands open."""
    closed = state.open is False or state.phase in {Phase.SECURE, Phase.UNLOCKED}
    if state.mode in FREE_MODES:
        phase = Phase.UNLOCKED if closed else state.phase
        return replace(state, phase=phase, relock_at_ns=None), ()
    effects: tuple[Effect, ...] = ()
    if state.unlocked or state.failed:
        effects = (DriveLock(False, DoorLocked(door.id)),)
    after = replace(
        state,
        unlocked=False,
        relock_at_ns=None,
        authorised_until_ns=authorised_until_ns,
        phase=Phase.SECURE if closed else state.phase,
    )
    return after, effects


def _on_mode(state: DoorState, event: ModeOrdered, now_ns: int, door: Door) -> Next:
    """A lockdown locks at once; a free mode unlocks and forgives an open door."""
    changed = Record(DoorModeChanged(door.id, event.mode, state.mode, event.cause))
    after = replace(state, mode=event.mode)
    if event.mode in FREE_MODES:
        phase = Phase.OPEN if state.open is True else Phase.UNLOCKED
        after = replace(
            after, phase=phase, unlocked=True, relock_at_ns=None, warn_at_ns=None, held_at_ns=None
        )
        return after, (DriveLock(True), changed, *_clear_alarm_of(state.phase))
    locked, effects = _lock(after, door, authorised_until_ns=now_ns)
    if state.mode in FREE_MODES and locked.phase is Phase.OPEN:
        locked = _timed_open(locked, now_ns, door)
    return locked, (*(effects or (DriveLock(False),)), changed)


def _on_lost(state: DoorState, _event: ControllerLost, _now_ns: int, _door: Door) -> Next:
    """What can't be seen is not claimed; the relock stays due, so that no door is left released."""
    return replace(state, online=False, open=None, warn_at_ns=None, held_at_ns=None), ()


def _on_lost_while_open(state: DoorState, event: ControllerLost, now_ns: int, door: Door) -> Next:
    """An alarm that is up stays up: an outage proves nothing about the door."""
    after, effects = _on_lost(state, event, now_ns, door)
    if state.phase in {Phase.HELD, Phase.FORCED}:
        return after, effects
    return replace(after, phase=Phase.UNLOCKED if after.unlocked else Phase.SECURE), effects


def _on_back(state: DoorState, _event: ControllerBack, _now_ns: int, _door: Door) -> Next:
    return replace(state, online=True), (DriveLock(state.unlocked),)


def _on_drive_done(state: DoorState, _event: DriveDone, _now_ns: int, _door: Door) -> Next:
    if state.confirmed and not state.failed:
        return state, ()
    return replace(state, failed=False, confirmed=True), (Clear(AlarmKind.DOOR_FAILED),)


def _on_drive_failed(state: DoorState, event: DriveFailed, now_ns: int, door: Door) -> Next:
    """An unlock that failed must not come true later: it is over, and "locked" is said after it,
    because an answer that was lost may have followed a relay that moved. A lock that failed is
    retried for as long as it takes."""
    alarm: tuple[Effect, ...] = ()
    if not state.failed:
        alarm = (Raise(AlarmKind.DOOR_FAILED, event.detail),)
    state = replace(state, failed=True)
    if state.mode in FREE_MODES:
        return state, alarm
    if not event.unlocked:
        return replace(state, relock_at_ns=now_ns + LOCK_RETRY_NS), alarm
    after, effects = _lock(state, door, authorised_until_ns=0)
    return after, (*effects, *alarm)


def _on_time(state: DoorState, _event: TimePassed, now_ns: int, door: Door) -> Next:
    """All that is due, in the order of its urgency: the lock first."""
    effects: tuple[Effect, ...] = ()
    if state.relock_at_ns is not None and state.relock_at_ns <= now_ns:
        state, effects = _lock(
            state, door, authorised_until_ns=state.relock_at_ns + OPENING_GRACE_NS
        )
    if state.held_at_ns is not None and state.held_at_ns <= now_ns:
        state = replace(state, phase=Phase.HELD, warn_at_ns=None, held_at_ns=None)
        return state, (*effects, Raise(AlarmKind.DOOR_HELD, f"open longer than {door.held_s:g} s"))
    if state.warn_at_ns is not None and state.warn_at_ns <= now_ns:
        state = replace(state, phase=Phase.HELD_WARNING, warn_at_ns=None)
        return state, (*effects, Record(DoorHeldWarning(door.id, door.pre_alarm_s)))
    return state, effects


# Each handler narrows its second argument to the input type it is listed under.
Handler = Callable[[DoorState, Any, int, Door], Next]

# One row an input that every phase takes alike; TABLE holds the phases that differ.
ANY_PHASE: dict[type[DoorInput], Handler] = {
    UnlockOrdered: _on_unlock,
    ContactChanged: _on_contact_open_door,
    ExitPressed: _on_exit,
    ModeOrdered: _on_mode,
    ControllerLost: _on_lost_while_open,
    ControllerBack: _on_back,
    DriveDone: _on_drive_done,
    DriveFailed: _on_drive_failed,
    TimePassed: _on_time,
}
TABLE: dict[tuple[Phase, type[DoorInput]], Handler] = {
    (Phase.SECURE, ContactChanged): _on_contact_closed_door,
    (Phase.SECURE, ControllerLost): _on_lost,
    (Phase.UNLOCKED, ContactChanged): _on_contact_closed_door,
    (Phase.UNLOCKED, ControllerLost): _on_lost,
    (Phase.OPEN, UnlockOrdered): _on_unlock_while_open,
    (Phase.HELD_WARNING, UnlockOrdered): _on_unlock_while_open,
}
