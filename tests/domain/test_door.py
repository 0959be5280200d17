"""The door's table: each sentence of the guard's manual. Every order of steps at random is in
tests/domain/test_door_model.py."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from gatewayd.domain.door import (
    ANY_PHASE,
    LOCK_RETRY_NS,
    MAX_PENDING,
    OPENING_GRACE_NS,
    TABLE,
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
    Passed,
    Phase,
    Raise,
    Record,
    TamperReported,
    TimePassed,
    UnlockOrdered,
    at_the_start,
    next_deadline_ns,
    refusal,
    refuses_unlock,
    step,
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
from gatewayd.domain.model import (
    NS_PER_S,
    AlarmKind,
    Direction,
    DoorMode,
    Passage,
    PersonId,
)
from tests.domain.world import GATE, GATE_IN

TAP = Cause(CauseKind.TAP, "1")
GUARD = Cause(CauseKind.OPERATOR, "li", "drill")
FIRE = Cause(CauseKind.FIRE, "board input 8")
UNLOCK = UnlockOrdered(TAP, 5.0)
WANG = Passage(PersonId("p-17"), GATE_IN.id, 1, Direction.IN)
LI = Passage(PersonId("p-18"), GATE_IN.id, 2, Direction.IN)
WANG_IN = UnlockOrdered(TAP, 5.0, WANG)
LI_IN = UnlockOrdered(TAP, 5.0, LI)
OPENS, CLOSES = ContactChanged(True), ContactChanged(False)


class Walk:
    """A door taken through inputs; `did` holds the effects of the last one."""

    def __init__(self, *inputs: DoorInput) -> None:
        self.now_ns = 100 * NS_PER_S
        self.state = DoorState()
        self.did: tuple[Effect, ...] = ()
        self.take(ControllerBack(), CLOSES, *inputs)

    def effects(self) -> tuple[Effect, ...]:
        return self.did

    def phase(self) -> Phase:
        return self.state.phase

    def take(self, *inputs: DoorInput) -> Walk:
        for event in inputs:
            self.state, self.did = step(self.state, event, self.now_ns, GATE)
        return self

    def wait(self, seconds: float) -> Walk:
        """Let time pass, stopping at each deadline; the effects of all of them are kept."""
        target_ns = self.now_ns + round(seconds * NS_PER_S)
        did: tuple[Effect, ...] = ()
        while (due := next_deadline_ns(self.state)) is not None and due <= target_ns:
            self.now_ns = max(due, self.now_ns)
            self.take(TimePassed())
            did += self.did
        self.now_ns, self.did = target_ns, did
        return self


def test_every_phase_takes_every_input() -> None:
    assert set(ANY_PHASE) == set(get_args(DoorInput))
    assert {phase for phase, _ in TABLE} <= set(Phase)


def test_the_lock_is_told_locked_when_the_controller_comes() -> None:
    state, effects = step(DoorState(), ControllerBack(), 0, GATE)
    assert state.online
    assert effects == (DriveLock(False),)


def test_a_grant_unlocks_and_the_time_relocks() -> None:
    door = Walk(UNLOCK)
    assert door.effects() == (DriveLock(True, DoorUnlocked(GATE.id, TAP, 5.0)),)
    assert door.phase() is Phase.UNLOCKED
    assert not door.wait(4.9).effects()
    assert door.wait(0.2).effects() == (DriveLock(False, DoorLocked(GATE.id)),)
    assert door.phase() is Phase.SECURE
    assert not door.wait(10).state.unlocked
    assert next_deadline_ns(door.state) is None


def test_a_shorter_order_does_not_cut_a_longer_one_short() -> None:
    door = Walk(UnlockOrdered(TAP, 20.0)).take(UNLOCK)
    assert door.wait(19).state.unlocked
    assert not door.wait(2).state.unlocked


def test_a_door_relocks_when_it_closes() -> None:
    door = Walk(UNLOCK, OPENS)
    assert door.effects() == (Record(DoorOpened(GATE.id, True)),)
    door.take(CLOSES)
    assert door.effects() == (DriveLock(False, DoorLocked(GATE.id)), Record(DoorClosed(GATE.id)))
    assert door.phase() is Phase.SECURE


def test_a_door_opened_with_no_grant_is_forced_and_clears_when_closed() -> None:
    door = Walk(OPENS)
    assert door.effects() == (Record(DoorOpened(GATE.id, False)), Raise(AlarmKind.DOOR_FORCED))
    assert door.phase() is Phase.FORCED
    assert door.take(CLOSES).effects() == (
        Record(DoorClosed(GATE.id)),
        Clear(AlarmKind.DOOR_FORCED),
    )


def test_a_push_in_the_last_instant_is_no_forced_door() -> None:
    door = Walk(UNLOCK).wait(5 + OPENING_GRACE_NS / NS_PER_S)
    assert door.take(OPENS).phase() is Phase.OPEN
    late = Walk(UNLOCK).wait(5.1 + OPENING_GRACE_NS / NS_PER_S)
    assert late.take(OPENS).phase() is Phase.FORCED


def test_a_bouncing_leaf_is_not_forced_but_one_opened_later_is() -> None:
    assert Walk(UNLOCK, OPENS, CLOSES).wait(0.5).take(OPENS).phase() is Phase.OPEN
    assert Walk(UNLOCK, OPENS, CLOSES).wait(1.5).take(OPENS).phase() is Phase.FORCED


def test_after_a_forced_door_no_bounce_is_forgiven() -> None:
    assert Walk(OPENS, CLOSES).wait(0.1).take(OPENS).phase() is Phase.FORCED


def test_a_door_held_warns_first_then_alarms_then_clears() -> None:
    door = Walk(UNLOCK, OPENS)
    assert Record(DoorHeldWarning(GATE.id, 20)) in door.wait(20).effects()
    assert door.phase() is Phase.HELD_WARNING
    assert door.wait(10).effects() == (Raise(AlarmKind.DOOR_HELD, "open longer than 30 s"),)
    assert door.phase() is Phase.HELD
    assert Clear(AlarmKind.DOOR_HELD) in door.take(CLOSES).effects()


def test_the_next_person_through_an_open_door_restarts_its_clock() -> None:
    door = Walk(UNLOCK, OPENS).wait(25).take(UNLOCK)
    assert door.phase() is Phase.OPEN
    assert not any(isinstance(effect, Raise) for effect in door.wait(25).effects())


def test_an_open_door_stays_held_however_many_tap() -> None:
    assert Walk(UNLOCK, OPENS).wait(31).take(UNLOCK).phase() is Phase.HELD


def test_a_repeated_reading_changes_nothing() -> None:
    assert not Walk(UNLOCK, OPENS).take(OPENS).effects()
    assert not Walk().take(CLOSES).effects()


def test_the_exit_button_opens_and_shunts_forced_even_in_a_lockdown() -> None:
    for mode in (DoorMode.LOCKED, DoorMode.LOCKED_DOWN):
        door = Walk(ModeOrdered(mode, GUARD), ExitPressed())
        assert Record(ExitRequested(GATE.id)) in door.effects()
        assert isinstance(drive := door.effects()[0], DriveLock)
        assert drive.unlocked
        assert door.take(OPENS).phase() is Phase.OPEN


def test_a_lockdown_locks_at_once_and_refuses_until_lifted() -> None:
    door = Walk(UNLOCK, ModeOrdered(DoorMode.LOCKED_DOWN, GUARD))
    changed = DoorModeChanged(GATE.id, DoorMode.LOCKED_DOWN, DoorMode.LOCKED, GUARD)
    assert door.effects() == (DriveLock(False, DoorLocked(GATE.id)), Record(changed))
    assert refuses_unlock(door.state)
    assert not door.take(UNLOCK).effects()
    assert not Walk(UNLOCK, OPENS, ModeOrdered(DoorMode.BLOCKED, GUARD), UNLOCK).effects()
    door.take(ModeOrdered(DoorMode.LOCKED, GUARD))
    assert door.effects()[0] == DriveLock(False)
    assert door.take(UNLOCK).state.unlocked


def test_a_free_mode_keeps_the_door_unlocked_and_calls_nothing_forced_or_held() -> None:
    door = Walk(ModeOrdered(DoorMode.UNLOCKED, GUARD), OPENS)
    assert not door.wait(500).effects()
    assert door.take(CLOSES).state.unlocked
    assert door.take(UNLOCK).wait(60).state.unlocked
    door.take(OPENS, ModeOrdered(DoorMode.LOCKED, GUARD))
    assert not door.state.unlocked
    assert Raise(AlarmKind.DOOR_HELD, "open longer than 30 s") in door.wait(31).effects()


def test_a_free_mode_forgives_a_forced_door() -> None:
    assert (
        Clear(AlarmKind.DOOR_FORCED) in Walk(OPENS, ModeOrdered(DoorMode.UNLOCKED, GUARD)).effects()
    )


def test_a_free_mode_survives_a_board_that_does_not_answer() -> None:
    door = Walk(ModeOrdered(DoorMode.UNLOCKED, GUARD), DriveFailed(True, "silent"))
    assert door.state.unlocked
    assert door.take(ControllerLost(), ControllerBack()).effects() == (DriveLock(True),)


def test_a_free_mode_that_the_lock_does_not_confirm_is_said_until_it_does() -> None:
    door = Walk(ModeOrdered(DoorMode.LOCKED_OPEN, FIRE), DriveFailed(True, "silent"))
    assert door.effects() == (Raise(AlarmKind.DOOR_FAILED, "silent"),)
    assert door.wait(LOCK_RETRY_NS / NS_PER_S).effects() == (DriveLock(True),)
    assert door.take(DriveDone()).effects() == (Clear(AlarmKind.DOOR_FAILED),)
    assert next_deadline_ns(door.state) is None
    ended = Walk(ModeOrdered(DoorMode.LOCKED_OPEN, FIRE), DriveFailed(True, "silent"))
    ended.take(ModeOrdered(DoorMode.LOCKED, GUARD), DriveDone())
    assert not ended.wait(9).effects()


def test_a_lock_that_does_not_confirm_lengthens_nobodys_time_to_open() -> None:
    door = Walk(UNLOCK).wait(5).take(DriveFailed(False, "silent")).wait(0.9)
    assert replace(door.state, retry_at_ns=None).authorised_until_ns == door.now_ns + NS_PER_S // 10
    assert door.wait(2).take(OPENS).phase() is Phase.FORCED


def test_a_free_door_is_unlocked_from_the_start() -> None:
    assert at_the_start(DoorMode.UNLOCKED).phase is Phase.UNLOCKED
    assert at_the_start(DoorMode.LOCKED_DOWN) == DoorState(mode=DoorMode.LOCKED_DOWN)


def test_an_outage_never_releases_a_door_and_the_relock_stays_due() -> None:
    door = Walk(UNLOCK, ControllerLost())
    assert door.state.open is None
    assert door.wait(6).effects() == (DriveLock(False, DoorLocked(GATE.id)),)
    assert door.take(ControllerBack()).effects() == (DriveLock(False),)


def test_a_door_found_open_at_the_start_accuses_nobody_but_is_held() -> None:
    state, effects = step(DoorState(), OPENS, 0, GATE)
    assert (state.phase, effects) == (Phase.OPEN, ())
    assert state.held_at_ns is not None


def test_the_first_closed_contact_and_confirmation_end_the_alarms_of_before_a_restart() -> None:
    state, effects = step(DoorState(), CLOSES, 0, GATE)
    assert effects == (Clear(AlarmKind.DOOR_FORCED), Clear(AlarmKind.DOOR_HELD))
    state, effects = step(state, DriveDone(), 0, GATE)
    assert effects == (Clear(AlarmKind.DOOR_FAILED),)
    assert step(state, DriveDone(), 0, GATE)[1] == ()


def test_a_door_that_was_closed_before_an_outage_and_is_open_after_it_was_forced() -> None:
    assert Walk(ControllerLost(), ControllerBack(), OPENS).phase() is Phase.FORCED


def test_a_door_that_was_open_before_an_outage_is_told_closed_after_it() -> None:
    door = Walk(UNLOCK, OPENS, ControllerLost(), ControllerBack())
    assert door.take(CLOSES).effects() == (Record(DoorClosed(GATE.id)),)
    still = Walk(UNLOCK, OPENS).wait(6).take(ControllerLost(), ControllerBack(), OPENS)
    assert still.phase() is Phase.OPEN


def test_an_alarm_that_is_up_outlives_an_outage() -> None:
    forced = Walk(OPENS, ControllerLost(), ControllerBack())
    assert forced.phase() is Phase.FORCED
    assert Clear(AlarmKind.DOOR_FORCED) in forced.take(CLOSES).effects()
    held = Walk(UNLOCK, OPENS).wait(31).take(ControllerLost()).wait(10)
    assert held.phase() is Phase.HELD


def test_an_unlock_that_failed_is_over_and_locked_is_said_after_it() -> None:
    door = Walk(UNLOCK, DriveFailed(True, "silent"))
    assert door.effects()[0] == DriveLock(False, DoorLocked(GATE.id))
    assert Raise(AlarmKind.DOOR_FAILED, "silent") in door.effects()
    assert door.phase() is Phase.SECURE
    assert door.take(OPENS).phase() is Phase.FORCED


def test_a_lock_that_failed_is_told_again_until_it_answers() -> None:
    door = Walk(UNLOCK).wait(5).take(DriveFailed(False, "silent"))
    assert door.effects() == (Raise(AlarmKind.DOOR_FAILED, "silent"),)
    for _ in range(3):
        again = DriveLock(False, DoorLocked(GATE.id))
        assert again in door.wait(LOCK_RETRY_NS / NS_PER_S).effects()
        door.take(DriveFailed(False, "silent"))
        assert not door.effects()
    assert door.take(DriveDone()).effects() == (Clear(AlarmKind.DOOR_FAILED),)
    assert not door.take(DriveDone()).effects()


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


# ------------------------------------------------------------------------- modes once more


def test_the_same_mode_again_drives_the_lock_and_records_nothing() -> None:
    door = Walk(*[ModeOrdered(DoorMode.LOCKED_DOWN, GUARD)] * 2)
    assert door.effects() == (DriveLock(False),)


def test_who_was_pushing_as_the_free_time_ended_forced_nothing() -> None:
    free = (ModeOrdered(DoorMode.UNLOCKED, GUARD), ModeOrdered(DoorMode.LOCKED, GUARD))
    assert Walk(*free).wait(0.9).take(OPENS).phase() is Phase.OPEN
    assert Walk(*free).wait(1.1).take(OPENS).phase() is Phase.FORCED


def test_the_walk_itself_starts_closed_and_locked() -> None:
    assert replace(Walk().state, online=True) == Walk().state
    assert Walk().phase() is Phase.SECURE
