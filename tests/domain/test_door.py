"""The door's table: each sentence of the guard's manual, then millions of steps at random."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gatewayd.domain.door import (
    ANY_PHASE,
    FREE_MODES,
    LOCK_RETRY_NS,
    OPENING_GRACE_NS,
    REFUSING_MODES,
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
    ModeOrdered,
    Phase,
    Raise,
    Record,
    TimePassed,
    UnlockOrdered,
    next_deadline_ns,
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
    DoorOpened,
    DoorUnlocked,
    ExitRequested,
)
from gatewayd.domain.model import NS_PER_S, AlarmKind, DoorMode
from tests.domain.world import GATE

TAP = Cause(CauseKind.TAP, "1")
GUARD = Cause(CauseKind.OPERATOR, "li", "drill")
UNLOCK = UnlockOrdered(TAP, 5.0)
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
        assert door.wait(LOCK_RETRY_NS / NS_PER_S).effects()[0] == DriveLock(
            False, DoorLocked(GATE.id)
        )
        door.take(DriveFailed(False, "silent"))
        assert not door.effects()
    assert door.take(DriveDone()).effects() == (Clear(AlarmKind.DOOR_FAILED),)
    assert not door.take(DriveDone()).effects()


class AnyDoor(RuleBasedStateMachine):
    """Every order of inputs and waits. The board answers each drive, well or badly."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 10 * NS_PER_S
        self.state = DoorState()
        self.relay = False
        self.entitled_until_ns = 0
        self.alarms: set[AlarmKind] = set()
        self.board_works = True

    def take(self, event: DoorInput) -> None:
        before = self.state
        self.state, effects = step(self.state, event, self.now_ns, GATE)
        self.check(before, event, effects)
        for effect in effects:
            self.carry_out(effect)

    def carry_out(self, effect: Effect) -> None:
        match effect:
            case DriveLock(unlocked=unlocked) if self.board_works:
                self.relay = unlocked
                self.take(DriveDone())
            case DriveLock(unlocked=unlocked):
                self.take(DriveFailed(unlocked, "silent"))
            case Raise(kind=kind):
                self.alarms.add(kind)
            case Clear(kind=kind):
                self.alarms.discard(kind)
            case Record():
                pass

    def check(self, before: DoorState, event: DoorInput, effects: tuple[Effect, ...]) -> None:
        drives = [e for e in effects if isinstance(e, DriveLock) and e.unlocked]
        if drives:
            entitled = isinstance(event, UnlockOrdered | ExitPressed) or (
                self.state.mode in FREE_MODES
            )
            assert entitled or (before.unlocked and isinstance(event, ControllerBack))
            assert not (before.mode in REFUSING_MODES and isinstance(event, UnlockOrdered))
        if (
            isinstance(event, ContactChanged)
            and event.open
            and before.last_seen_open is False
            and before.phase is Phase.SECURE
            and self.now_ns > before.authorised_until_ns
        ):
            assert Raise(AlarmKind.DOOR_FORCED) in effects

    @rule(seconds=st.sampled_from([0.01, 0.5, 1.0, 3.0, 10.0, 40.0]))
    def wait(self, seconds: float) -> None:
        target_ns = self.now_ns + round(seconds * NS_PER_S)
        while (due := next_deadline_ns(self.state)) is not None and due <= target_ns:
            self.now_ns = max(due, self.now_ns)
            self.take(TimePassed())
        self.now_ns = target_ns

    @rule(unlock_s=st.sampled_from([0.5, 5.0, 20.0]))
    def tap(self, unlock_s: float) -> None:
        self.take(UnlockOrdered(TAP, unlock_s))

    @rule(open_=st.booleans())
    def contact(self, open_: bool) -> None:
        self.take(ContactChanged(open_))

    @rule()
    def exit(self) -> None:
        self.take(ExitPressed())

    @rule(mode=st.sampled_from(DoorMode))
    def order_mode(self, mode: DoorMode) -> None:
        self.take(ModeOrdered(mode, GUARD))

    @rule()
    def lose(self) -> None:
        self.take(ControllerLost())

    @rule()
    def come_back(self) -> None:
        self.take(ControllerBack())

    @rule(works=st.booleans())
    def board(self, works: bool) -> None:
        self.board_works = works

    @precondition(lambda self: self.board_works and self.state.mode not in FREE_MODES)
    @rule()
    def left_alone_it_locks(self) -> None:
        self.wait(60.0)
        assert not self.relay
        assert not self.state.unlocked

    @invariant()
    def nothing_that_is_unlocked_lacks_a_deadline(self) -> None:
        if self.state.unlocked and self.state.mode not in FREE_MODES:
            assert self.state.relock_at_ns is not None

    @invariant()
    def an_alarm_phase_has_its_alarm(self) -> None:
        assert (self.state.phase is Phase.FORCED) == (AlarmKind.DOOR_FORCED in self.alarms)
        assert (self.state.phase is Phase.HELD) == (AlarmKind.DOOR_HELD in self.alarms)

    @invariant()
    def the_phase_tells_the_truth(self) -> None:
        if self.state.phase is Phase.SECURE:
            assert not self.state.unlocked
            assert self.state.open is not True
        if self.state.phase is Phase.UNLOCKED:
            assert self.state.unlocked


TestAnyDoor = AnyDoor.TestCase
TestAnyDoor.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_the_walk_itself_starts_closed_and_locked() -> None:
    assert replace(Walk().state, online=True) == Walk().state
    assert Walk().phase() is Phase.SECURE
