"""The barrier as one table of transitions: a door whose lock is an arm. Pure; `gatewayd.doors`
carries out what follows, as for any door. Must not lower the arm but through `_lower`.

Phases, in the words of `gatewayd.domain.door`:

    secure ──grant, button──▶ unlocked ──leaves the lower limit──▶ open ──▶ held_warning ──▶ held
      ▲                          │                                  │             │            │
      └── arm down ◀── lowered: the vehicle is over the loop, or none came in unlock_s ────────┘
      └── leaves the lower limit with no order: forced ── arm down ───────────────────────────▶

While a vehicle is on the loop under the arm, or nobody can tell, the arm is not told to come down,
whoever or whatever says so: it waits (`close_waits`). One that is on its way down is raised again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gatewayd.domain import door as doors
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
)
from gatewayd.domain.model import NS_PER_S, AlarmKind, Door

Next = tuple[DoorState, tuple[Effect, ...]]

LATE_UP, LATE_DOWN = "the arm is not up in its time", "the arm is not down in its time"
VEHICLE = Cause(CauseKind.SYSTEM, "vehicle under the arm")


def next_deadline_ns(state: DoorState) -> int | None:
    """When `step` next wants a TimePassed; None while nothing is due."""
    expires = state.pending and not state.crossing
    over_ns = state.authorised_until_ns + 1 if expires else None
    moments = (
        *(state.relock_at_ns, state.retry_at_ns, over_ns),
        *(state.warn_at_ns, state.held_at_ns, state.arm_due_ns),
    )
    return min((moment for moment in moments if moment is not None), default=None)


def step(state: DoorState, event: DoorInput, now_ns: int, door: Door) -> Next:
    """As `gatewayd.domain.door.step`, for a door that has a `barrier`. Pure and total."""
    after, effects = TABLE[type(event)](state, event, now_ns, door)
    after, more = _watch_arm(after, now_ns, door)
    return after, (*effects, *more)


def _travel_ns(door: Door) -> int:
    assert door.barrier is not None  # noqa: S101  # only such doors come here
    return _ns(door.barrier.travel_s)


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)


# -------------------------------------------------------------------------- up, down, through


def _raise(
    state: DoorState, authority: Authority, unlock_s: float, now_ns: int, door: Door
) -> Next:
    """Up, until the vehicle is through or nobody came; a shorter order cuts no longer one short."""
    until_ns = max(now_ns + _ns(unlock_s), state.relock_at_ns or 0)
    after = replace(
        state,
        unlocked=True,
        close_waits=False,
        lowering=False,
        pending=(*state.pending, authority)[-doors.MAX_PENDING :],
        relock_at_ns=None if state.mode in doors.FREE_MODES else until_ns,
        # Who drives up while it comes down makes it go up again, and is counted.
        authorised_until_ns=until_ns + _travel_ns(door),
        phase=Phase.UNLOCKED if state.phase is Phase.SECURE else state.phase,
        arm_due_ns=None,
        # Who stands too far ahead while the arm goes up crosses the loop all the same.
        crossing=state.crossing or state.obstructed is True,
    )
    return after, (DriveLock(True, DoorUnlocked(door.id, authority.cause, unlock_s)),)


def _lower(state: DoorState, now_ns: int, door: Door) -> Next:
    """Down, as soon as nothing stands under the arm. The one place that says so."""
    if state.mode in doors.FREE_MODES:
        return replace(state, relock_at_ns=None), ()
    if state.obstructed is not False:
        return replace(state, relock_at_ns=None, close_waits=True), ()
    # An arm that is down may still be rising, and its switch tells it within the grace.
    still_up_ns = doors.OPENING_GRACE_NS if state.open is False else _travel_ns(door)
    after = replace(
        state,
        unlocked=False,
        close_waits=False,
        lowering=True,
        relock_at_ns=None,
        retry_at_ns=None,
        authorised_until_ns=now_ns + still_up_ns,
        phase=Phase.SECURE if state.phase is Phase.UNLOCKED else state.phase,
        arm_due_ns=None,
    )
    return after, (DriveLock(False, DoorLocked(door.id)),)


def _on_obstruction(state: DoorState, event: ObstructionChanged, now_ns: int, door: Door) -> Next:
    state = replace(state, obstructed=event.blocked)
    if event.blocked is None:
        return state, ()
    if event.blocked:
        return _came_onto_loop(state, door)
    return _left_loop(state, now_ns, door)


def _came_onto_loop(state: DoorState, door: Door) -> Next:
    """An arm that is coming down goes up again, also in a lockdown."""
    up = state.unlocked or state.open is True
    if not state.lowering or state.open is False:
        return replace(state, crossing=up), ()
    after = replace(
        state,
        unlocked=True,
        close_waits=True,
        lowering=False,
        crossing=True,
        phase=Phase.UNLOCKED if state.phase is Phase.SECURE else state.phase,
        arm_due_ns=None,
    )
    return after, (DriveLock(True, DoorUnlocked(door.id, VEHICLE, 0.0)),)


def _left_loop(state: DoorState, now_ns: int, door: Door) -> Next:
    """One vehicle is one passage. It closes behind the last who was let through."""
    passed: tuple[Effect, ...] = ()
    due = state.close_waits
    if state.crossing:
        first, rest = state.pending[:1], state.pending[1:]
        passed = tuple(Passed(one.passage) for one in first if one.passage is not None)
        due = due or (state.unlocked and not rest)
        state = replace(state, pending=rest, crossing=False)
    if not due:
        return state, passed
    after, effects = _lower(state, now_ns, door)
    return after, (*effects, *passed)


# ------------------------------------------------------------------------------------ orders


def _is_blocked(state: DoorState, event: UnlockOrdered | ExitPressed) -> bool:
    return event.blocked and state.mode not in doors.FREE_MODES


def _on_unlock(state: DoorState, event: UnlockOrdered, now_ns: int, door: Door) -> Next:
    if doors.refusal(state, event) is not None:
        return state, ()
    state = replace(state, extra_held_ns=max(state.extra_held_ns, _ns(event.extra_held_s)))
    authority = Authority(event.cause, event.passage)
    after, effects = _raise(state, authority, event.unlock_s, now_ns, door)
    if state.phase in {Phase.OPEN, Phase.HELD_WARNING}:
        after = _timed(after, now_ns, door)
    return after, effects


def _on_button(state: DoorState, event: ExitPressed, now_ns: int, door: Door) -> Next:
    asked = Record(ExitRequested(door.id))
    if _is_blocked(state, event):
        return state, (asked,)
    authority = Authority(Cause(CauseKind.EXIT_REQUEST))
    after, effects = _raise(state, authority, door.unlock_s, now_ns, door)
    return after, (*effects, asked)


def _on_interlock(state: DoorState, _event: InterlockTripped, now_ns: int, door: Door) -> Next:
    """Another gate of the trap was opened: this one, not up yet, goes down again."""
    if state.phase is not Phase.UNLOCKED:
        return state, ()
    return _lower(state, now_ns, door)


def _on_mode(state: DoorState, event: ModeOrdered, now_ns: int, door: Door) -> Next:
    changed: tuple[Effect, ...] = ()
    if event.mode is not state.mode:
        changed = (Record(DoorModeChanged(door.id, event.mode, state.mode, event.cause)),)
    after = replace(state, mode=event.mode, retry_at_ns=None)
    if event.mode in doors.FREE_MODES:
        after = replace(
            after,
            phase=Phase.OPEN if state.open is True else Phase.UNLOCKED,
            unlocked=True,
            close_waits=False,
            lowering=False,
            relock_at_ns=None,
            warn_at_ns=None,
            held_at_ns=None,
            arm_due_ns=None,
            crossing=state.crossing or state.obstructed is True,
        )
        return after, (DriveLock(True), *changed, *_clear_alarm_of(state.phase))
    lowered, effects = _lower(after, now_ns, door)
    if state.mode in doors.FREE_MODES and lowered.phase is Phase.OPEN:
        lowered = _timed(lowered, now_ns, door)
    return lowered, (*effects, *changed)


# ------------------------------------------------------------------------------ limit switches


def _timed(state: DoorState, now_ns: int, door: Door) -> DoorState:
    """Up with authority: the pre-alarm's and the alarm's clocks run, unless it may stay so."""
    if state.mode in doors.FREE_MODES:
        return replace(state, phase=Phase.OPEN, warn_at_ns=None, held_at_ns=None)
    return replace(
        state,
        phase=Phase.OPEN,
        warn_at_ns=now_ns + _ns(door.pre_alarm_s) + state.extra_held_ns,
        held_at_ns=now_ns + _ns(door.held_s) + state.extra_held_ns,
    )


def _on_lower_limit(state: DoorState, event: ContactChanged, now_ns: int, door: Door) -> Next:
    if event.open is None:
        return _unseen(state), ()
    before = state.last_seen_open
    after = replace(state, open=event.open, last_seen_open=event.open)
    if not event.open:
        return _came_down(state, after, now_ns, door)
    if state.phase not in {Phase.SECURE, Phase.UNLOCKED}:
        return after, ()
    if before is not False:  # up at the start, or still after an outage: nobody is accused
        return _timed(after, now_ns, door), ()
    authorised = state.unlocked or now_ns <= state.authorised_until_ns
    opened = Record(DoorOpened(door.id, authorised))
    if not authorised:
        return replace(after, phase=Phase.FORCED), (opened, Raise(AlarmKind.DOOR_FORCED))
    return _timed(replace(after, lowering=not state.unlocked), now_ns, door), (opened,)


def _came_down(before: DoorState, after: DoorState, now_ns: int, door: Door) -> Next:
    """At the lower limit. One that is still wanted up is watched (`_watch_arm`)."""
    down = replace(
        after,
        phase=Phase.UNLOCKED if after.unlocked else Phase.SECURE,
        warn_at_ns=None,
        held_at_ns=None,
        extra_held_ns=0,
    )
    if not down.unlocked:
        grace_ns = 0 if before.phase is Phase.FORCED else doors.OPENING_GRACE_NS
        down = replace(down, authorised_until_ns=now_ns + grace_ns)
    if before.last_seen_open is None:
        # What was wrong before a restart is over: its alarms must not swallow the next ones.
        return down, (Clear(AlarmKind.DOOR_FORCED), Clear(AlarmKind.DOOR_HELD))
    closed = (Record(DoorClosed(door.id)),) if before.last_seen_open else ()
    return down, (*closed, *_clear_alarm_of(before.phase))


def _unseen(state: DoorState) -> DoorState:
    """What can't be seen is not claimed; an alarm that is up stays up."""
    after = replace(state, open=None, warn_at_ns=None, held_at_ns=None)
    if state.phase in {Phase.HELD, Phase.FORCED}:
        return after
    return replace(after, phase=Phase.UNLOCKED if after.unlocked else Phase.SECURE)


_ALARM_OF_PHASE = {Phase.HELD: AlarmKind.DOOR_HELD, Phase.FORCED: AlarmKind.DOOR_FORCED}


def _clear_alarm_of(phase: Phase) -> tuple[Effect, ...]:
    kind = _ALARM_OF_PHASE.get(phase)
    return () if kind is None else (Clear(kind),)


def _on_upper_limit(state: DoorState, event: ArmUpReported, _now_ns: int, _door: Door) -> Next:
    return replace(state, up=event.up), ()


def _on_vehicle_waits(state: DoorState, event: VehicleWaits, _now_ns: int, _door: Door) -> Next:
    return replace(state, vehicle=event.there), ()


def _at_rest(state: DoorState, door: Door) -> bool | None:
    """Whether the arm is where it was told to be; None: nobody can tell, or it was not told."""
    if not state.online or state.phase is Phase.FORCED:
        return None
    if state.unlocked:
        return state.up if door.barrier is not None and door.barrier.sees_up else state.open
    return None if state.close_waits or state.open is None else not state.open


def _watch_arm(state: DoorState, now_ns: int, door: Door) -> Next:
    """The arm against what it was told, after every step: it has its time, then it has failed."""
    at_rest = _at_rest(state, door)
    if at_rest is None:
        return _watch_blindly(state, now_ns, door), ()
    if at_rest:
        after = replace(state, arm_due_ns=None, arm_late=False, lowering=False)
        ended = state.arm_late and not state.failed
        return after, (Clear(AlarmKind.DOOR_FAILED),) if ended else ()
    if state.arm_due_ns is None:
        return replace(state, arm_due_ns=now_ns + _travel_ns(door)), ()
    if state.arm_due_ns > now_ns:
        return state, ()
    return _arm_is_late(state, now_ns, door)


def _watch_blindly(state: DoorState, now_ns: int, door: Door) -> DoorState:
    """Without a lower limit switch an arm counts as down once it has had its time."""
    if not state.lowering or door.has_contact or not state.online:
        return replace(state, arm_due_ns=None)
    if state.arm_due_ns is None:
        return replace(state, arm_due_ns=now_ns + _travel_ns(door))
    over = state.arm_due_ns <= now_ns
    return replace(state, lowering=False, arm_due_ns=None) if over else state


def _arm_is_late(state: DoorState, now_ns: int, door: Door) -> Next:
    """Told again for as long as it takes to come down, or, where a mode keeps it up, to go up."""
    told: tuple[Effect, ...] = ()
    alarm: tuple[Effect, ...] = ()
    if not (state.failed or state.arm_late):
        alarm = (Raise(AlarmKind.DOOR_FAILED, LATE_UP if state.unlocked else LATE_DOWN),)
    state = replace(state, arm_late=True)
    if not state.unlocked:
        state, told = _lower(state, now_ns, door)
    elif state.mode in doors.FREE_MODES:
        told = (DriveLock(True),)
    return replace(state, arm_due_ns=now_ns + _travel_ns(door)), (*told, *alarm)


# ------------------------------------------------------------------------------- the controller


def _on_lost(state: DoorState, _event: ControllerLost, _now_ns: int, _door: Door) -> Next:
    """The loop is unknown now, so whatever falls due waits until it is seen to be free."""
    blind = replace(_unseen(state), online=False, obstructed=None, vehicle=None, up=None)
    return replace(blind, arm_due_ns=None), ()


def _on_back(state: DoorState, _event: ControllerBack, now_ns: int, door: Door) -> Next:
    state = replace(state, online=True)
    if state.close_waits or not state.unlocked:
        return _lower(state, now_ns, door)
    return state, (DriveLock(True),)


def _on_drive_done(state: DoorState, _event: DriveDone, _now_ns: int, _door: Door) -> Next:
    if state.confirmed and not state.failed:
        return state, ()
    after = replace(state, failed=False, confirmed=True, retry_at_ns=None)
    return after, () if state.arm_late else (Clear(AlarmKind.DOOR_FAILED),)


def _on_drive_failed(state: DoorState, event: DriveFailed, now_ns: int, door: Door) -> Next:
    """An order to open that failed is over. What must be, is told again: down, up in a free mode,
    up over a vehicle."""
    known = state.failed or state.arm_late
    alarm = () if known else (Raise(AlarmKind.DOOR_FAILED, event.detail),)
    state = replace(state, failed=True)
    if not event.unlocked or state.mode in doors.FREE_MODES or state.close_waits:
        return replace(state, retry_at_ns=now_ns + doors.LOCK_RETRY_NS), alarm
    state = replace(state, pending=(), extra_held_ns=0)
    after, effects = _lower(state, now_ns, door)
    return after, (*effects, *alarm)


# ------------------------------------------------------------------------------------- time


def _on_time(state: DoorState, _event: TimePassed, now_ns: int, door: Door) -> Next:
    """All that is due, in the order of its urgency: the arm first."""
    effects: tuple[Effect, ...] = ()
    if state.relock_at_ns is not None and state.relock_at_ns <= now_ns:
        state, effects = _lower(state, now_ns, door)
    if state.retry_at_ns is not None and state.retry_at_ns <= now_ns:
        state = replace(state, retry_at_ns=None)
        told: tuple[Effect, ...] = (DriveLock(True),)
        if not state.unlocked:
            state, told = _lower(state, now_ns, door)
        effects += told
    if state.pending and not state.crossing and state.authorised_until_ns < now_ns:
        seen = state.obstructed is not None
        unused = tuple(Record(DoorNotOpened(door.id, one.cause)) for one in state.pending if seen)
        state = replace(state, pending=(), extra_held_ns=0)
        effects += unused
    state, told = _on_time_up(state, now_ns, door)
    return state, (*effects, *told)


def _on_time_up(state: DoorState, now_ns: int, door: Door) -> Next:
    """Up too long, e.g. because somebody parks under the arm."""
    extra_s = state.extra_held_ns / NS_PER_S
    if state.held_at_ns is not None and state.held_at_ns <= now_ns:
        detail = f"up longer than {door.held_s + extra_s:g} s"
        after = replace(state, phase=Phase.HELD, warn_at_ns=None, held_at_ns=None)
        return after, (Raise(AlarmKind.DOOR_HELD, detail),)
    if state.warn_at_ns is not None and state.warn_at_ns <= now_ns:
        warning = Record(DoorHeldWarning(door.id, door.pre_alarm_s + extra_s))
        return replace(state, phase=Phase.HELD_WARNING, warn_at_ns=None), (warning,)
    return state, ()


# Each handler narrows its second argument to the input type it is listed under.
Handler = Callable[[DoorState, Any, int, Door], Next]

# Every phase takes an input alike, or its handler says where it does not. An arm has no contact of
# a lock; its cover and its lines are a door's.
TABLE: dict[type[DoorInput], Handler] = {
    UnlockOrdered: _on_unlock,
    ExitPressed: _on_button,
    InterlockTripped: _on_interlock,
    ModeOrdered: _on_mode,
    ObstructionChanged: _on_obstruction,
    ContactChanged: _on_lower_limit,
    ArmUpReported: _on_upper_limit,
    VehicleWaits: _on_vehicle_waits,
    ControllerLost: _on_lost,
    ControllerBack: _on_back,
    DriveDone: _on_drive_done,
    DriveFailed: _on_drive_failed,
    TimePassed: _on_time,
    LockReported: doors.ANY_PHASE[LockReported],
    TamperReported: doors.ANY_PHASE[TamperReported],
    InputFaulted: doors.ANY_PHASE[InputFaulted],
}
