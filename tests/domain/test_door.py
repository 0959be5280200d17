"""The door's table: each sentence of the guard's manual. Every order of steps at random is in
tests/domain/test_door_model.py, who passes and what watches in tests/domain/test_door_watch.py."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from gatewayd.domain.door import (
    ANY_PHASE,
    LOCK_RETRY_NS,
    OPENING_GRACE_NS,
    TABLE,
    Clear,
    ControllerBack,
    ControllerLost,
    DoorInput,
    DoorState,
    DriveDone,
    DriveFailed,
    DriveLock,
    ExitPressed,
    ModeOrdered,
    Phase,
    Raise,
    Record,
    UnlockOrdered,
    at_the_start,
    next_deadline_ns,
    refuses_unlock,
    step,
)
from gatewayd.domain.events import (
    DoorClosed,
    DoorHeldWarning,
    DoorLocked,
    DoorModeChanged,
    DoorOpened,
    DoorUnlocked,
    ExitRequested,
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
    OPENS,
    TAP,
    UNLOCK,
    Walk,
)
from tests.domain.world import GATE


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
