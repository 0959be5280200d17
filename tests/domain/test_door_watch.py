"""Who passes a door and who does not, interlocks, and the inputs that watch over it."""

from __future__ import annotations

from dataclasses import replace

from gatewayd.domain.door import (
    MAX_PENDING,
    OPENING_GRACE_NS,
    Clear,
    ContactChanged,
    ControllerBack,
    ControllerLost,
    DoorState,
    DriveDone,
    DriveFailed,
    DriveLock,
    ExitPressed,
    InputFaulted,
    InputName,
    InterlockTripped,
    LockReported,
    ModeOrdered,
    Passed,
    Phase,
    Raise,
    Record,
    TamperReported,
    TimePassed,
    UnlockOrdered,
    next_deadline_ns,
    refusal,
    step,
)
from gatewayd.domain.events import (
    Cause,
    CauseKind,
    DoorHeldWarning,
    DoorLocked,
    DoorNotOpened,
    DoorOpened,
    ExitRequested,
    Outcome,
)
from gatewayd.domain.model import (
    NS_PER_S,
    AlarmKind,
    DoorMode,
)
from tests.domain.walk import (
    CLOSES,
    FIRE,
    GUARD,
    LI,
    LI_IN,
    OPENS,
    TAP,
    UNLOCK,
    WANG,
    WANG_IN,
    Walk,
)
from tests.domain.world import GATE

# ------------------------------------------------------------- who passes, and who does not


def test_a_grant_after_which_nobody_opens_is_told_once_the_time_for_it_is_over() -> None:
    door = Walk(UNLOCK).wait(5.9)
    assert Record(DoorNotOpened(GATE.id, TAP)) not in door.effects()
    assert door.wait(0.2).effects() == (Record(DoorNotOpened(GATE.id, TAP)),)
    assert not door.wait(60).effects()


def test_an_exit_request_after_which_nobody_opens_is_told_too() -> None:
    door = Walk(ExitPressed()).wait(7)
    assert Record(DoorNotOpened(GATE.id, Cause(CauseKind.EXIT_REQUEST))) in door.effects()


def test_where_the_door_could_not_be_seen_nothing_is_claimed_of_it() -> None:
    blind = Walk(UNLOCK, ControllerLost()).wait(9)
    assert not any(isinstance(effect, Record) for effect in blind.effects())
    assert next_deadline_ns(blind.state) is None
    no_contact = replace(GATE, has_contact=False)
    state, _ = step(DoorState(), UNLOCK, 0, no_contact)
    after, effects = step(state, TimePassed(), 9 * NS_PER_S, no_contact)
    assert effects == (DriveLock(False, DoorLocked(GATE.id)),)
    assert after.pending == ()


def test_who_was_let_through_has_passed_when_the_door_opens_and_only_then() -> None:
    door = Walk(WANG_IN, LI_IN)
    assert not any(isinstance(effect, Passed) for effect in door.effects())
    opened = Record(DoorOpened(GATE.id, True))
    assert door.take(OPENS).effects() == (opened, Passed(WANG), Passed(LI))
    assert not any(isinstance(e, Passed) for e in door.take(CLOSES, OPENS).effects())


def test_a_push_in_the_last_instant_passes_and_later_nobody_has() -> None:
    last = Walk(WANG_IN).wait(5 + OPENING_GRACE_NS / NS_PER_S).take(OPENS)
    assert Passed(WANG) in last.effects()
    late = Walk(WANG_IN).wait(6.1).take(OPENS)
    assert late.effects() == (Record(DoorOpened(GATE.id, False)), Raise(AlarmKind.DOOR_FORCED))


def test_who_taps_at_an_open_door_passes_at_once() -> None:
    assert Walk(UNLOCK, OPENS, WANG_IN).effects()[-1] == Passed(WANG)
    forced = Walk(OPENS, WANG_IN)
    assert forced.effects()[-1] == Passed(WANG)


def test_who_is_let_through_a_door_that_is_then_first_seen_open_has_passed() -> None:
    state, _ = step(DoorState(), WANG_IN, 0, GATE)
    assert step(state, OPENS, 1, GATE)[1] == (Passed(WANG),)
    outage = Walk(UNLOCK, OPENS, ControllerLost(), WANG_IN, ControllerBack())
    assert outage.take(OPENS).effects() == (Passed(WANG),)
    forced = Walk(OPENS, ContactChanged(None), WANG_IN)
    assert forced.take(OPENS).effects() == (Passed(WANG),)


def test_without_a_contact_who_was_let_through_has_passed_once_the_lock_confirmed() -> None:
    no_contact = replace(GATE, has_contact=False)
    state, effects = step(DoorState(confirmed=True), WANG_IN, 0, no_contact)
    assert not any(isinstance(effect, Passed) for effect in effects)
    assert step(state, DriveDone(), 0, no_contact)[1] == (Passed(WANG),)
    failed, _ = step(state, DriveFailed(True, "silent"), 0, no_contact)
    assert Passed(WANG) not in step(failed, DriveDone(), 0, no_contact)[1]


def test_an_unlock_that_failed_lets_nobody_pass_and_is_not_said_to_be_unused() -> None:
    door = Walk(WANG_IN, DriveFailed(True, "silent"))
    assert door.state.pending == ()
    assert not any(isinstance(effect, Record) for effect in door.wait(60).effects())


def test_at_most_so_many_pass_through_one_opening() -> None:
    door = Walk(*[WANG_IN] * (MAX_PENDING + 9), OPENS)
    assert sum(isinstance(effect, Passed) for effect in door.effects()) == MAX_PENDING


def test_who_needs_longer_has_longer_and_the_next_one_has_not() -> None:
    slow = Walk(UnlockOrdered(TAP, 15.0, extra_held_s=10.0), OPENS)
    assert Record(DoorHeldWarning(GATE.id, 30)) in slow.wait(30).effects()
    assert slow.wait(10).effects() == (Raise(AlarmKind.DOOR_HELD, "open longer than 40 s"),)
    slow.take(CLOSES, UNLOCK, OPENS)
    assert Raise(AlarmKind.DOOR_HELD, "open longer than 30 s") in slow.wait(30).effects()
    unused = Walk(UnlockOrdered(TAP, 15.0, extra_held_s=10.0)).wait(20).take(UNLOCK, OPENS)
    assert unused.wait(30).phase() is Phase.HELD


# ---------------------------------------------------------------------------- interlocks

BLOCKED = replace(UNLOCK, blocked=True)


def test_a_door_that_its_interlock_blocks_stays_locked_and_says_so() -> None:
    door = Walk()
    assert refusal(door.state, BLOCKED) is Outcome.INTERLOCKED
    assert not door.take(BLOCKED).effects()
    assert refusal(door.state, UNLOCK) is None
    assert refusal(door.state, OPENS) is None
    down = Walk(ModeOrdered(DoorMode.LOCKED_DOWN, GUARD))
    assert refusal(down.state, BLOCKED) is Outcome.REFUSED


def test_a_door_that_is_free_is_free_whatever_its_interlock_says() -> None:
    door = Walk(ModeOrdered(DoorMode.LOCKED_OPEN, FIRE))
    assert refusal(door.state, BLOCKED) is None
    assert door.take(BLOCKED).state.unlocked


def test_a_blocked_exit_button_asks_and_does_not_open() -> None:
    door = Walk(ExitPressed(blocked=True))
    assert door.effects() == (Record(ExitRequested(GATE.id)),)
    assert not door.state.unlocked


def test_when_another_door_opens_one_that_was_only_unlocked_is_locked_again() -> None:
    door = Walk(UNLOCK, InterlockTripped())
    assert door.effects() == (DriveLock(False, DoorLocked(GATE.id)),)
    assert door.wait(1.1).effects() == (Record(DoorNotOpened(GATE.id, TAP)),)
    assert not Walk(UNLOCK, OPENS, InterlockTripped()).effects()
    assert not Walk(ModeOrdered(DoorMode.LOCKED_OPEN, FIRE), InterlockTripped()).effects()


def test_who_leaves_by_the_button_is_not_locked_in_unless_the_button_heeds_the_interlock() -> None:
    door = Walk(ExitPressed(), InterlockTripped())
    assert door.state.unlocked
    heeding = replace(GATE, exit_heeds_interlock=True)
    after, _ = step(door.state, InterlockTripped(), door.now_ns, heeding)
    assert not after.unlocked


# ------------------------------------------------------- lock's contact, tamper, broken lines


def test_a_lock_that_says_otherwise_than_it_was_told_is_an_alarm_after_two_seconds() -> None:
    door = Walk(LockReported(True))
    assert door.effects() == (Clear(AlarmKind.LOCK_CONTRADICTS),)
    assert not door.take(LockReported(False)).effects()
    assert not door.wait(1.9).effects()
    contradicts = Raise(AlarmKind.LOCK_CONTRADICTS, "told to lock, and is not")
    assert door.wait(0.2).effects() == (contradicts,)
    assert not door.wait(60).effects()
    assert door.take(LockReported(True)).effects() == (Clear(AlarmKind.LOCK_CONTRADICTS),)


def test_a_bolt_that_does_not_draw_back_is_an_alarm_too() -> None:
    door = Walk(LockReported(True), UNLOCK)
    assert Raise(AlarmKind.LOCK_CONTRADICTS, "told to unlock, and is locked") in (
        door.wait(2).effects()
    )
    assert Clear(AlarmKind.LOCK_CONTRADICTS) in door.wait(3).effects()  # relocked: it agrees


def test_a_contradiction_goes_on_until_its_time_is_up() -> None:
    door = Walk(LockReported(True), LockReported(False)).wait(1)
    assert not door.take(LockReported(False), TimePassed()).effects()
    assert door.state.contradicts_at_ns == door.now_ns + NS_PER_S


def test_a_bolt_takes_its_time_and_contradicts_nobody() -> None:
    door = Walk(LockReported(True), UNLOCK).wait(1.5).take(LockReported(False))
    assert not door.wait(3).effects()


def test_an_open_leaf_keeps_a_bolt_from_its_strike_and_that_is_no_contradiction() -> None:
    door = Walk(LockReported(True), UNLOCK, LockReported(False), OPENS).wait(12)
    assert door.state.contradicts is False
    door.take(CLOSES)
    assert Raise(AlarmKind.LOCK_CONTRADICTS, "told to lock, and is not") in door.wait(2).effects()


def test_a_lock_that_cannot_be_seen_contradicts_nobody_and_keeps_its_alarm() -> None:
    door = Walk(LockReported(True), LockReported(False), LockReported(None))
    assert not door.wait(5).effects()
    up = Walk(LockReported(True), LockReported(False)).wait(2).take(ControllerLost())
    assert up.state.contradicts
    assert not up.wait(60).effects()
    assert up.take(ControllerBack(), LockReported(True)).effects() == (
        Clear(AlarmKind.LOCK_CONTRADICTS),
    )


def test_tampering_alarms_once_and_clears() -> None:
    door = Walk(TamperReported(False))
    assert door.effects() == (Clear(AlarmKind.TAMPER),)
    assert door.take(TamperReported(True)).effects() == (Raise(AlarmKind.TAMPER),)
    assert not door.take(TamperReported(True)).effects()
    assert not door.take(TamperReported(None)).effects()
    assert door.take(TamperReported(False)).effects() == (Clear(AlarmKind.TAMPER),)


def test_broken_lines_are_one_alarm_until_the_last_is_mended() -> None:
    door = Walk(InputFaulted(InputName.EXIT, ""))
    assert door.effects() == (Clear(AlarmKind.INPUT_FAULT),)
    door.take(InputFaulted(InputName.EXIT, "short"))
    assert door.effects() == (Raise(AlarmKind.INPUT_FAULT, "exit input: short"),)
    door.take(InputFaulted(InputName.LOCK, "open"))
    assert door.effects() == (Raise(AlarmKind.INPUT_FAULT, "lock input: open"),)
    assert not door.take(InputFaulted(InputName.EXIT, "")).effects()
    assert door.take(InputFaulted(InputName.LOCK, "")).effects() == (Clear(AlarmKind.INPUT_FAULT),)
    assert not door.take(InputFaulted(InputName.LOCK, "")).effects()


def test_a_contact_whose_line_is_cut_tells_nothing_and_accuses_nobody() -> None:
    door = Walk(ContactChanged(None))
    assert (door.state.open, door.phase(), door.effects()) == (None, Phase.SECURE, ())
    assert door.take(OPENS).phase() is Phase.FORCED
    opened = Walk(UNLOCK, OPENS, ContactChanged(None))
    assert opened.phase() is Phase.UNLOCKED
    assert not any(isinstance(effect, Raise) for effect in opened.wait(60).effects())
    held = Walk(UNLOCK, OPENS).wait(31).take(ContactChanged(None))
    assert held.phase() is Phase.HELD
