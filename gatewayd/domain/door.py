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
from dataclasses import replace
from typing import Any

from gatewayd.domain.door_state import (
    ArmUpReported,
    Authority,
    Clear,
    ContactChanged,
    ControllerBack,
    ControllerLost,
    DoorInput,
    DoorState,
    DriveDone,
    DriveFailed,
    DriveLock,
    Effect,
    ExitPressed,
    InputFaulted,
    InputName,
    InterlockTripped,
    LockReported,
    ModeOrdered,
    ObstructionChanged,
    Passed,
    Phase,
    Raise,
    Record,
    TamperReported,
    TimePassed,
    UnlockOrdered,
    VehicleWaits,
)
from gatewayd.domain.events import (
    Cause,
    CauseKind,
    DoorClosed,
    DoorHeldWarning,
    DoorLocked,
    DoorModeChanged,
    DoorNotOpened,
    DoorOpened,
    DoorUnlocked,
    ExitRequested,
    Outcome,
)
from gatewayd.domain.model import NS_PER_S, AlarmKind, Door, DoorMode

# The words are `door_state`'s; whoever works with a door takes them from here, with the rules.
__all__ = [
    "ANY_PHASE", "FREE_MODES", "LOCK_RETRY_NS", "LOCK_TRAVEL_NS", "MAX_PENDING",
    "OPENING_GRACE_NS", "REFUSING_MODES", "TABLE", "ArmUpReported", "Authority", "Clear",
    "ContactChanged", "ControllerBack", "ControllerLost", "DoorInput", "DoorState", "DriveDone",
    "DriveFailed", "DriveLock", "Effect", "ExitPressed", "InputFaulted", "InputName",
    "InterlockTripped", "LockReported", "ModeOrdered", "Next", "ObstructionChanged", "Passed",
    "Phase", "Raise", "Record", "TamperReported", "TimePassed", "UnlockOrdered", "VehicleWaits",
    "at_the_start", "next_deadline_ns", "refusal", "refuses_unlock", "step",
]  # fmt: skip

# A door pushed in the last instant of its unlocked time is reported after the relock: inputs are
# debounced for up to 400 ms (IEC 60839-11-1) and polled. An opening this soon is still authorised.
OPENING_GRACE_NS = NS_PER_S
LOCK_RETRY_NS = NS_PER_S  # a lock that did not confirm is told again this often, until it does
LOCK_TRAVEL_NS = 2 * NS_PER_S  # a bolt has moved by then, or its contact contradicts
MAX_PENDING = 32  # people let through one opening; more than pass a door while it is unlocked

REFUSING_MODES = frozenset({DoorMode.LOCKED_DOWN, DoorMode.BLOCKED})
FREE_MODES = frozenset({DoorMode.UNLOCKED, DoorMode.LOCKED_OPEN})

Next = tuple[DoorState, tuple[Effect, ...]]


def at_the_start(mode: DoorMode) -> DoorState:
    """Nothing has been seen yet, and the mode governs; the board is told once it is there."""
    free = mode in FREE_MODES
    return DoorState(Phase.UNLOCKED if free else Phase.SECURE, mode, unlocked=free)


def next_deadline_ns(state: DoorState) -> int | None:
    """When `step` next wants a TimePassed; None while nothing is due."""
    # At the last authorised moment an opening still counts: the authority is over after it.
    over_ns = state.authorised_until_ns + 1 if state.pending else None
    moments = (
        *(state.relock_at_ns, state.retry_at_ns, over_ns),
        *(state.warn_at_ns, state.held_at_ns, state.contradicts_at_ns),
    )
    return min((moment for moment in moments if moment is not None), default=None)


def refuses_unlock(state: DoorState) -> bool:
    """Whether the door's mode forbids a grant or an order to open (never the exit button)."""
    return state.mode in REFUSING_MODES


def refusal(state: DoorState, event: DoorInput) -> Outcome | None:
    """Why `step` would not unlock on this order; None: it will, or the input is no order."""
    if not isinstance(event, UnlockOrdered):
        return None
    if refuses_unlock(state):
        return Outcome.REFUSED
    return Outcome.INTERLOCKED if _is_blocked(state, event) else None


def step(state: DoorState, event: DoorInput, now_ns: int, door: Door) -> Next:
    """The state after `event`, and what must be done, in order. Pure and total."""
    handler = TABLE.get((state.phase, type(event))) or ANY_PHASE[type(event)]
    after, effects = handler(state, event, now_ns, door)
    if after.lock_seen is None and after.contradicts_at_ns is None:
        return after, effects
    watched, more = _watch_lock(after, now_ns, door)
    return watched, (*effects, *more)


# --------------------------------------------------------------------- unlocking and passing


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)


def _is_blocked(state: DoorState, event: UnlockOrdered | ExitPressed) -> bool:
    """A door that its mode keeps free is open already: an interlock holds up nobody there."""
    return event.blocked and state.mode not in FREE_MODES


def _unlock(
    state: DoorState, authority: Authority, unlock_s: float, now_ns: int, door: Door
) -> Next:
    """Unlock for a while; a closed door becomes `unlocked`, an open one stays what it is.

    A shorter order never cuts a longer one short, and in a mode that keeps the door free no
    relock is planned.
    """
    until_ns = max(now_ns + _ns(unlock_s), state.relock_at_ns or 0)
    after = replace(
        state,
        unlocked=True,
        pending=(*state.pending, authority)[-MAX_PENDING:],
        relock_at_ns=None if state.mode in FREE_MODES else until_ns,
        authorised_until_ns=until_ns + OPENING_GRACE_NS,
        phase=Phase.UNLOCKED if state.phase is Phase.SECURE else state.phase,
    )
    effects = (DriveLock(True, DoorUnlocked(door.id, authority.cause, unlock_s)),)
    if state.open is not True:
        return after, effects
    after, passed = _pass(after)
    return after, (*effects, *passed)


def _pass(state: DoorState) -> Next:
    """The door is open: all for whom it was unlocked go through, each told once."""
    passed = tuple(Passed(one.passage) for one in state.pending if one.passage is not None)
    return replace(state, pending=()), passed


def _on_unlock(state: DoorState, event: UnlockOrdered, now_ns: int, door: Door) -> Next:
    if refuses_unlock(state) or _is_blocked(state, event):
        return state, ()
    state = replace(state, extra_held_ns=max(state.extra_held_ns, _ns(event.extra_held_s)))
    return _unlock(state, Authority(event.cause, event.passage), event.unlock_s, now_ns, door)


def _on_unlock_while_open(state: DoorState, event: UnlockOrdered, now_ns: int, door: Door) -> Next:
    """The next person through an open door: its time open is counted anew."""
    after, effects = _on_unlock(state, event, now_ns, door)
    return (_timed_open(after, now_ns, door), effects) if effects else (after, effects)


def _on_exit(state: DoorState, event: ExitPressed, now_ns: int, door: Door) -> Next:
    asked = Record(ExitRequested(door.id))
    if _is_blocked(state, event):
        return state, (asked,)
    authority = Authority(Cause(CauseKind.EXIT_REQUEST))
    after, effects = _unlock(state, authority, door.unlock_s, now_ns, door)
    return after, (*effects, asked)


def _on_interlock(state: DoorState, _event: InterlockTripped, now_ns: int, door: Door) -> Next:
    """Of two doors that were unlocked, the other one was opened: this one is locked again. Not in
    the face of who leaves by the button, unless the button heeds the interlock."""
    leaving = any(one.cause.kind is CauseKind.EXIT_REQUEST for one in state.pending)
    if state.phase is not Phase.UNLOCKED or (leaving and not door.exit_heeds_interlock):
        return state, ()
    return _lock(state, door, authorised_until_ns=now_ns + OPENING_GRACE_NS)


def _time_for_opening_is_over(state: DoorState, door: Door) -> Next:
    """Nobody opened. Where the door could not be seen that is not claimed."""
    unused: tuple[Effect, ...] = ()
    if door.has_contact and state.open is not None:
        unused = tuple(Record(DoorNotOpened(door.id, one.cause)) for one in state.pending)
    return replace(state, pending=(), extra_held_ns=0), unused


# ---------------------------------------------------------------------------- the contact


def _timed_open(state: DoorState, now_ns: int, door: Door) -> DoorState:
    """Open with authority: the pre-alarm's and the alarm's clocks run, unless it may stay open."""
    if state.mode in FREE_MODES:
        return replace(state, phase=Phase.OPEN, warn_at_ns=None, held_at_ns=None)
    return replace(
        state,
        phase=Phase.OPEN,
        warn_at_ns=now_ns + _ns(door.pre_alarm_s) + state.extra_held_ns,
        held_at_ns=now_ns + _ns(door.held_s) + state.extra_held_ns,
    )


def _on_contact_closed_door(
    state: DoorState, event: ContactChanged, now_ns: int, door: Door
) -> Next:
    """From `secure` or `unlocked`: an opening needs a recent grant, exit request or free mode.

    A door found open at the start, or still open after an outage, was not seen opening: nobody is
    accused, and the clocks of "held" run. One that was closed before an outage and is open after
    it is judged like any other.
    """
    if event.open is None:
        return _unseen(state), ()
    before = state.last_seen_open
    state = replace(state, open=event.open, last_seen_open=event.open)
    if not event.open and before is None:
        # What was wrong before a restart is over: its alarms must not swallow the next ones.
        return state, (Clear(AlarmKind.DOOR_FORCED), Clear(AlarmKind.DOOR_HELD))
    if not event.open:
        return state, (Record(DoorClosed(door.id)),) if before else ()
    if before is not False:
        return _pass(_timed_open(state, now_ns, door))
    authorised = state.unlocked or state.mode in FREE_MODES or now_ns <= state.authorised_until_ns
    opened = Record(DoorOpened(door.id, authorised))
    if not authorised:
        return replace(state, phase=Phase.FORCED), (opened, Raise(AlarmKind.DOOR_FORCED))
    state, passed = _pass(_timed_open(state, now_ns, door))
    return state, (opened, *passed)


_ALARM_OF_PHASE = {Phase.HELD: AlarmKind.DOOR_HELD, Phase.FORCED: AlarmKind.DOOR_FORCED}


def _clear_alarm_of(phase: Phase) -> tuple[Effect, ...]:
    kind = _ALARM_OF_PHASE.get(phase)
    return () if kind is None else (Clear(kind),)


def _on_contact_open_door(state: DoorState, event: ContactChanged, now_ns: int, door: Door) -> Next:
    """From any open phase. Relock on close: the time that was left is not left to the next one.

    A leaf that bounces off its latch within the grace is no forced door, except after a forced one.
    """
    if event.open is None:
        return _unseen(state), ()
    if event.open:
        return _pass(replace(state, open=True, last_seen_open=True))
    grace_ns = 0 if state.phase is Phase.FORCED else OPENING_GRACE_NS
    closed = replace(
        state, open=False, last_seen_open=False, warn_at_ns=None, held_at_ns=None, extra_held_ns=0
    )
    after, effects = _lock(closed, door, authorised_until_ns=now_ns + grace_ns)
    return after, (*effects, Record(DoorClosed(door.id)), *_clear_alarm_of(state.phase))


def _unseen(state: DoorState) -> DoorState:
    """What can't be seen is not claimed. An alarm that is up stays up: an outage proves nothing
    about the door."""
    after = replace(state, open=None, warn_at_ns=None, held_at_ns=None)
    if state.phase in {Phase.HELD, Phase.FORCED}:
        return after
    return replace(after, phase=Phase.UNLOCKED if after.unlocked else Phase.SECURE)


# ------------------------------------------------------------------------- the lock, the mode


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
        retry_at_ns=None,
        authorised_until_ns=authorised_until_ns,
        phase=Phase.SECURE if closed else state.phase,
    )
    return after, effects


def _on_mode(state: DoorState, event: ModeOrdered, now_ns: int, door: Door) -> Next:
    """A lockdown locks at once; a free mode unlocks and forgives an open door. Who was pushing it
    open as its free time ended did not force it."""
    changed: tuple[Effect, ...] = ()
    if event.mode is not state.mode:
        changed = (Record(DoorModeChanged(door.id, event.mode, state.mode, event.cause)),)
    after = replace(state, mode=event.mode, retry_at_ns=None)
    if event.mode in FREE_MODES:
        phase = Phase.OPEN if state.open is True else Phase.UNLOCKED
        after = replace(
            after, phase=phase, unlocked=True, relock_at_ns=None, warn_at_ns=None, held_at_ns=None
        )
        return after, (DriveLock(True), *changed, *_clear_alarm_of(state.phase))
    until_ns = now_ns + OPENING_GRACE_NS if state.unlocked else state.authorised_until_ns
    locked, effects = _lock(after, door, authorised_until_ns=until_ns)
    if state.mode in FREE_MODES and locked.phase is Phase.OPEN:
        locked = _timed_open(locked, now_ns, door)
    return locked, (*(effects or (DriveLock(False),)), *changed)


def _on_lost(state: DoorState, _event: ControllerLost, _now_ns: int, _door: Door) -> Next:
    """The relay's time runs on, so that no door is left released; nothing else is known."""
    return replace(_unseen(state), online=False, lock_seen=None, contradicts_at_ns=None), ()


def _on_back(state: DoorState, _event: ControllerBack, _now_ns: int, _door: Door) -> Next:
    return replace(state, online=True), (DriveLock(state.unlocked),)


def _on_drive_done(state: DoorState, _event: DriveDone, _now_ns: int, door: Door) -> Next:
    """Where no contact can tell that the door opens, who was let through counts as passed."""
    passed: tuple[Effect, ...] = ()
    if state.unlocked and not door.has_contact:
        state, passed = _pass(state)
    if state.confirmed and not state.failed:
        return state, passed
    cleared = replace(state, failed=False, confirmed=True, retry_at_ns=None)
    return cleared, (*passed, Clear(AlarmKind.DOOR_FAILED))


def _on_drive_failed(state: DoorState, event: DriveFailed, now_ns: int, door: Door) -> Next:
    """An unlock that failed must not come true later: it is over, and "locked" is said after it,
    because an answer that was lost may have followed a relay that moved. A lock that failed is
    retried for as long as it takes, and so is a free mode: a fire frees the door in the end."""
    alarm: tuple[Effect, ...] = ()
    if not state.failed:
        alarm = (Raise(AlarmKind.DOOR_FAILED, event.detail),)
    state = replace(state, failed=True)
    if state.mode in FREE_MODES or not event.unlocked:
        return replace(state, retry_at_ns=now_ns + LOCK_RETRY_NS), alarm
    state = replace(state, pending=(), extra_held_ns=0)
    after, effects = _lock(state, door, authorised_until_ns=0)
    return after, (*effects, *alarm)


# --------------------------------------------------------------- what watches over the door


def _on_lock_reported(state: DoorState, event: LockReported, _now_ns: int, _door: Door) -> Next:
    return replace(state, lock_seen=event.locked), ()


def _watch_lock(state: DoorState, now_ns: int, door: Door) -> Next:
    """The lock's own contact against what the lock was told, after every step."""
    if state.lock_seen is (not state.unlocked):
        agrees = replace(state, contradicts=False, contradicts_at_ns=None)
        cleared = () if state.contradicts is False else (Clear(AlarmKind.LOCK_CONTRADICTS),)
        return agrees, cleared
    # An open leaf keeps a bolt from its strike and a magnet from its plate: no contradiction.
    shut = state.open is False or not door.has_contact
    if state.lock_seen is None or state.contradicts or not (state.unlocked or shut):
        return replace(state, contradicts_at_ns=None), ()
    due_ns = state.contradicts_at_ns
    if due_ns is None:
        return replace(state, contradicts_at_ns=now_ns + LOCK_TRAVEL_NS), ()
    if due_ns > now_ns:
        return state, ()
    detail = "told to unlock, and is locked" if state.unlocked else "told to lock, and is not"
    contradicts = replace(state, contradicts=True, contradicts_at_ns=None)
    return contradicts, (Raise(AlarmKind.LOCK_CONTRADICTS, detail),)


def _on_tamper(state: DoorState, event: TamperReported, _now_ns: int, _door: Door) -> Next:
    if event.tampered is None or event.tampered is state.tampered:
        return state, ()
    effect = Raise(AlarmKind.TAMPER) if event.tampered else Clear(AlarmKind.TAMPER)
    return replace(state, tampered=event.tampered), (effect,)


def _on_fault(state: DoorState, event: InputFaulted, _now_ns: int, _door: Door) -> Next:
    """One alarm for all lines of the door; over when the last of them is well."""
    before = state.faults or frozenset[InputName]()
    if event.fault:
        alarm = Raise(AlarmKind.INPUT_FAULT, f"{event.name} input: {event.fault}")
        return replace(state, faults=before | {event.name}), (alarm,)
    after = replace(state, faults=before - {event.name})
    ended = not after.faults and state.faults != frozenset()
    return after, (Clear(AlarmKind.INPUT_FAULT),) if ended else ()


def _on_time(state: DoorState, _event: TimePassed, now_ns: int, door: Door) -> Next:
    """All that is due, in the order of its urgency: the lock first."""
    effects: tuple[Effect, ...] = ()
    if state.relock_at_ns is not None and state.relock_at_ns <= now_ns:
        state, effects = _lock(
            state, door, authorised_until_ns=state.relock_at_ns + OPENING_GRACE_NS
        )
    if state.retry_at_ns is not None and state.retry_at_ns <= now_ns:
        state = replace(state, retry_at_ns=None)
        locked = None if state.unlocked else DoorLocked(door.id)
        effects = (*effects, DriveLock(state.unlocked, locked))
    if state.pending and state.authorised_until_ns < now_ns:
        state, unused = _time_for_opening_is_over(state, door)
        effects += unused
    extra_s = state.extra_held_ns / NS_PER_S
    if state.held_at_ns is not None and state.held_at_ns <= now_ns:
        state = replace(state, phase=Phase.HELD, warn_at_ns=None, held_at_ns=None)
        detail = f"open longer than {door.held_s + extra_s:g} s"
        return state, (*effects, Raise(AlarmKind.DOOR_HELD, detail))
    if state.warn_at_ns is not None and state.warn_at_ns <= now_ns:
        state = replace(state, phase=Phase.HELD_WARNING, warn_at_ns=None)
        warning = DoorHeldWarning(door.id, door.pre_alarm_s + extra_s)
        return state, (*effects, Record(warning))
    return state, effects


def _on_a_barriers_input(state: DoorState, _event: DoorInput, _now_ns: int, _door: Door) -> Next:
    """A door has no loops and no arm: `gatewayd.domain.barrier` has the table of those."""
    return state, ()


# Each handler narrows its second argument to the input type it is listed under.
Handler = Callable[[DoorState, Any, int, Door], Next]

# One row an input that every phase takes alike; TABLE holds the phases that differ.
ANY_PHASE: dict[type[DoorInput], Handler] = {
    UnlockOrdered: _on_unlock,
    ContactChanged: _on_contact_open_door,
    ExitPressed: _on_exit,
    InterlockTripped: _on_interlock,
    LockReported: _on_lock_reported,
    TamperReported: _on_tamper,
    InputFaulted: _on_fault,
    ObstructionChanged: _on_a_barriers_input,
    VehicleWaits: _on_a_barriers_input,
    ArmUpReported: _on_a_barriers_input,
    ModeOrdered: _on_mode,
    ControllerLost: _on_lost,
    ControllerBack: _on_back,
    DriveDone: _on_drive_done,
    DriveFailed: _on_drive_failed,
    TimePassed: _on_time,
}
TABLE: dict[tuple[Phase, type[DoorInput]], Handler] = {
    (Phase.SECURE, ContactChanged): _on_contact_closed_door,
    (Phase.UNLOCKED, ContactChanged): _on_contact_closed_door,
    (Phase.OPEN, UnlockOrdered): _on_unlock_while_open,
    (Phase.HELD_WARNING, UnlockOrdered): _on_unlock_while_open,
}
