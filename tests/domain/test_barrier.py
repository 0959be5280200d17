"""The barrier's table, sentence by sentence; test_barrier_model.py tries every order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gatewayd.domain.barrier import LATE_DOWN, LATE_UP, VEHICLE, next_deadline_ns, step
from gatewayd.domain.door import at_the_start
from gatewayd.domain.door import step as step_of_a_door
from gatewayd.domain.door_state import (
    ArmUpReported,
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
    InterlockTripped,
    ModeOrdered,
    ObstructionChanged,
    Passed,
    Phase,
    Raise,
    Record,
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
    DoorNotOpened,
    DoorOpened,
    DoorUnlocked,
    ExitRequested,
)
from gatewayd.domain.interlock import Interlock, InterlockRule, blocked_by
from gatewayd.domain.model import (
    NS_PER_S,
    AccessPointId,
    AlarmKind,
    Barrier,
    Direction,
    Door,
    DoorId,
    DoorMode,
    Passage,
    PersonId,
)

LANE = Door(
    DoorId("lane"), "Lane", unlock_s=20, held_s=60, pre_alarm_s=40,
    barrier=Barrier(travel_s=6, sees_up=True),
)  # fmt: skip
GUARD = Cause(CauseKind.OPERATOR, "li")
UP, DOWN = DriveLock(True), DriveLock(False, DoorLocked(LANE.id))
WANG = Passage(PersonId("wang"), AccessPointId("lane-in"), 17, Direction.IN)
LI = replace(WANG, person_id=PersonId("li"), decision_seq=18)


class Arm:
    """Steps with what followed, drives answered at once."""

    def __init__(self, door: Door = LANE, state: DoorState | None = None) -> None:
        self.door = door
        self.state = state or DoorState()
        self.now_ns = 100 * NS_PER_S
        self.works = True

    def take(self, *events: DoorInput) -> list[Effect]:
        found: list[Effect] = []
        for event in events:
            self.state, effects = step(self.state, event, self.now_ns, self.door)
            found += effects
            for order in effects:
                if isinstance(order, DriveLock):
                    failed = DriveFailed(order.unlocked, "silent")
                    found += self.take(DriveDone() if self.works else failed)
        return found

    def after(self, seconds: float) -> list[Effect]:
        """Every deadline on the way, and what followed."""
        found: list[Effect] = []
        end_ns = self.now_ns + round(seconds * NS_PER_S)
        while (due_ns := next_deadline_ns(self.state)) is not None and due_ns <= end_ns:
            self.now_ns = max(due_ns, self.now_ns)
            found += self.take(TimePassed())
        self.now_ns = end_ns
        return found

    def goes_up(self) -> list[Effect]:
        return self.take(ContactChanged(True), ArmUpReported(True))

    def goes_down(self) -> list[Effect]:
        return self.take(ArmUpReported(False), ContactChanged(False))

    def vehicle(self, on: bool) -> list[Effect]:
        return self.take(ObstructionChanged(on))


def lane(door: Door = LANE) -> Arm:
    """Down, free and well."""
    arm = Arm(door)
    arm.take(ControllerBack())
    if door.has_contact:
        arm.goes_down()
    arm.vehicle(False)
    return arm


def tapped(passage: Passage = WANG, unlock_s: float = 20) -> UnlockOrdered:
    cause = Cause(CauseKind.TAP, str(passage.decision_seq))
    return UnlockOrdered(cause, unlock_s, passage)


def drives(effects: list[Effect]) -> list[bool]:
    return [e.unlocked for e in effects if isinstance(e, DriveLock)]


def up() -> Arm:
    """Raised for Wang."""
    arm = lane()
    arm.take(tapped())
    arm.goes_up()
    return arm


# ------------------------------------------------------------------------------- a passage


def test_a_grant_raises_the_arm_and_counts_nobody_yet() -> None:
    arm = lane()
    effects = arm.take(tapped())
    told = DoorUnlocked(LANE.id, Cause(CauseKind.TAP, "17"), 20)
    assert effects == [DriveLock(True, told)]
    assert arm.state.phase.value == "unlocked"
    assert arm.goes_up() == [Record(DoorOpened(LANE.id, True))]
    assert arm.state.phase.value == "open"


def test_who_crosses_the_loop_has_passed_and_the_arm_closes_behind_the_vehicle() -> None:
    arm = up()
    assert arm.vehicle(True) == []
    assert arm.vehicle(False) == [DOWN, Passed(WANG)]
    assert arm.goes_down() == [Record(DoorClosed(LANE.id))]
    assert arm.state.phase is Phase.SECURE
    assert next_deadline_ns(arm.state) is None


def test_two_who_were_let_in_pass_one_by_one_and_it_closes_behind_the_second() -> None:
    arm = up()
    arm.take(tapped(LI))
    arm.vehicle(True)
    assert arm.vehicle(False) == [Passed(WANG)]
    arm.vehicle(True)
    assert arm.vehicle(False) == [DOWN, Passed(LI)]


def test_a_guards_order_counts_nobody() -> None:
    arm = lane()
    arm.take(UnlockOrdered(GUARD, 20))
    arm.goes_up()
    arm.vehicle(True)
    assert arm.vehicle(False) == [DOWN]


def test_where_no_vehicle_comes_it_closes_in_its_time_and_says_so() -> None:
    arm = up()
    assert drives(arm.after(19)) == []
    assert arm.after(1) == [DOWN]
    arm.goes_down()
    unused = Record(DoorNotOpened(LANE.id, Cause(CauseKind.TAP, "17")))
    assert arm.after(2) == [unused]


def test_a_loop_that_was_lost_claims_nothing_of_who_was_let_in() -> None:
    arm = up()
    arm.take(ControllerLost())
    assert arm.after(60) == []
    assert arm.state.pending == ()
    assert arm.state.close_waits


def test_a_vehicle_that_stood_on_the_loop_before_the_arm_rose_has_crossed_it() -> None:
    arm = lane()
    arm.vehicle(True)
    arm.take(tapped())
    arm.goes_up()
    assert arm.vehicle(False) == [DOWN, Passed(WANG)]


# ------------------------------------------------------------- nothing closes on a vehicle


def test_its_time_runs_out_and_the_arm_waits_for_the_vehicle() -> None:
    arm = up()
    arm.vehicle(True)
    assert drives(arm.after(30)) == []
    assert arm.state.close_waits
    assert drives(arm.vehicle(False)) == [False]


@pytest.mark.parametrize("mode", [DoorMode.LOCKED_DOWN, DoorMode.BLOCKED, DoorMode.LOCKED])
def test_an_order_to_close_waits_for_the_vehicle(mode: DoorMode) -> None:
    arm = up()
    arm.vehicle(True)
    assert drives(arm.take(ModeOrdered(mode, GUARD))) == []
    assert drives(arm.vehicle(False)) == [False]


def test_after_a_restart_it_waits_until_the_loop_is_seen_to_be_free() -> None:
    arm = Arm(state=at_the_start(DoorMode.LOCKED))
    assert drives(arm.take(ControllerBack(), ContactChanged(True), ArmUpReported(True))) == []
    assert drives(arm.vehicle(True)) == []
    assert arm.take(ObstructionChanged(None)) == []
    assert drives(arm.vehicle(False)) == [False]
    assert arm.state.phase is Phase.OPEN  # nobody is accused of what was not seen


def test_a_loop_that_cant_be_told_keeps_up_what_is_up() -> None:
    arm = up()
    arm.take(ObstructionChanged(None))
    assert drives(arm.after(30)) == []
    assert drives(arm.vehicle(False)) == [False]


@pytest.mark.parametrize("mode", [DoorMode.LOCKED, DoorMode.LOCKED_DOWN])
def test_an_arm_that_comes_down_goes_up_again_over_a_vehicle(mode: DoorMode) -> None:
    arm = up()
    arm.take(ModeOrdered(mode, GUARD))
    told = DriveLock(True, DoorUnlocked(LANE.id, VEHICLE, 0.0))
    assert arm.vehicle(True) == [told]
    assert arm.vehicle(False) == [DOWN, Passed(WANG)]  # who was let in, and came late


def test_an_arm_that_does_not_go_up_again_is_told_until_it_does() -> None:
    arm = up()
    arm.take(ModeOrdered(DoorMode.LOCKED, GUARD))
    arm.works = False
    assert Raise(AlarmKind.DOOR_FAILED, "silent") in arm.vehicle(True)
    assert drives(arm.after(2.5)) == [True, True]
    arm.works = True
    assert arm.after(1) == [UP, Clear(AlarmKind.DOOR_FAILED)]


def test_a_vehicle_before_an_arm_that_is_down_moves_nothing() -> None:
    arm = lane()
    assert arm.vehicle(True) == []
    assert arm.vehicle(False) == []


def test_without_limit_switches_an_arm_counts_as_down_after_its_time() -> None:
    arm = lane(replace(LANE, has_contact=False, barrier=Barrier(6)))
    arm.after(10)
    arm.take(tapped())
    assert arm.after(20) == [DOWN]
    arm.after(3)
    assert drives(arm.vehicle(True)) == [True]
    arm.vehicle(False)
    arm.after(7)
    assert arm.vehicle(True) == []


# -------------------------------------------------------------------------- orders and modes


def test_a_lockdown_refuses_and_the_button_still_raises_the_arm() -> None:
    arm = lane()
    arm.take(ModeOrdered(DoorMode.LOCKED_DOWN, GUARD))
    assert arm.take(tapped()) == []
    effects = arm.take(ExitPressed())
    assert drives(effects) == [True]
    assert effects[-1] == Record(ExitRequested(LANE.id))


def test_an_interlock_holds_up_grants_and_where_told_the_button() -> None:
    arm = lane()
    assert arm.take(replace(tapped(), blocked=True)) == []
    assert arm.take(ExitPressed(blocked=True)) == [Record(ExitRequested(LANE.id))]


def test_another_gate_that_opens_takes_back_an_arm_that_is_not_up_yet() -> None:
    arm = lane()
    arm.take(tapped())
    assert drives(arm.take(InterlockTripped())) == [False]
    arm = up()
    assert arm.take(InterlockTripped()) == []


def test_an_arm_that_waits_for_a_vehicle_counts_as_open_in_an_interlock() -> None:
    other = Door(DoorId("inner"), "Inner")
    arm = Arm(replace(LANE, has_contact=False))
    arm.take(ControllerBack())
    trap = Interlock("trap", (LANE.id, other.id), InterlockRule.ONE_UNLOCKED)
    standing = {LANE.id: (arm.door, arm.state), other.id: (other, DoorState())}
    assert blocked_by(other.id, [trap], standing) == LANE.id


def test_a_free_mode_keeps_it_up_and_its_end_lowers_it() -> None:
    arm = lane()
    assert drives(arm.take(ModeOrdered(DoorMode.LOCKED_OPEN, GUARD))) == [True]
    arm.goes_up()
    assert arm.take(ModeOrdered(DoorMode.LOCKED_OPEN, GUARD)) == [UP]
    arm.take(tapped())
    arm.vehicle(True)
    assert arm.vehicle(False) == [Passed(WANG)]
    assert arm.after(100) == []
    assert drives(arm.take(ModeOrdered(DoorMode.LOCKED, GUARD))) == [False]


def test_a_longer_grant_is_not_cut_short_and_the_next_counts_the_time_up_anew() -> None:
    arm = up()
    arm.after(19)
    arm.take(tapped(LI, 5))
    assert drives(arm.after(4)) == []
    arm.vehicle(True)
    warned = Record(DoorHeldWarning(LANE.id, 40))
    assert warned not in arm.after(34)
    assert warned in arm.after(2)


# ----------------------------------------------------------------------------- the arm itself


def test_an_arm_that_is_not_up_in_its_time_has_failed_and_is_well_once_it_is() -> None:
    arm = lane()
    arm.take(tapped())
    assert arm.after(6) == [Raise(AlarmKind.DOOR_FAILED, LATE_UP)]
    assert arm.goes_up()[-1] == Clear(AlarmKind.DOOR_FAILED)


def test_an_arm_that_does_not_come_down_is_told_again_and_not_over_a_vehicle() -> None:
    arm = up()
    arm.after(20)
    effects = arm.after(6)
    assert Raise(AlarmKind.DOOR_FAILED, LATE_DOWN) in effects
    assert drives(effects) == [False]
    assert drives(arm.after(6)) == [False]
    assert drives(arm.vehicle(True)) == [True]
    assert drives(arm.after(13)) == []
    assert drives(arm.vehicle(False)) == [False]


def test_an_arm_that_is_down_in_the_end_is_well() -> None:
    arm = up()
    arm.after(27)
    assert Clear(AlarmKind.DOOR_FAILED) in arm.goes_down()


def test_where_a_fire_keeps_it_up_a_late_arm_is_told_again() -> None:
    arm = lane()
    arm.take(ModeOrdered(DoorMode.LOCKED_OPEN, Cause(CauseKind.FIRE)))
    assert arm.after(6) == [UP, Raise(AlarmKind.DOOR_FAILED, LATE_UP)]
    assert drives(arm.after(6)) == [True]


def test_an_arm_that_a_hand_lowers_while_it_should_be_up_has_failed_in_its_time() -> None:
    arm = up()
    arm.goes_down()
    assert arm.state.phase is Phase.UNLOCKED
    assert Raise(AlarmKind.DOOR_FAILED, LATE_UP) in arm.after(6)


def test_an_arm_that_rises_without_an_order_is_forced_until_it_is_down() -> None:
    arm = lane()
    arm.after(10)
    forced = [Record(DoorOpened(LANE.id, False)), Raise(AlarmKind.DOOR_FORCED)]
    assert arm.take(ContactChanged(True)) == forced
    assert arm.take(ContactChanged(True)) == []
    assert arm.vehicle(True) == []
    assert arm.vehicle(False) == []  # no arm is lowered that nobody here raised
    assert arm.after(60) == []
    assert Clear(AlarmKind.DOOR_FORCED) in arm.goes_down()


def test_one_who_parks_under_the_arm_is_an_alarm() -> None:
    arm = up()
    arm.vehicle(True)
    assert Raise(AlarmKind.DOOR_HELD, "up longer than 60 s") in arm.after(61)
    arm.take(ContactChanged(None))  # its wire proves nothing
    assert arm.state.phase is Phase.HELD
    arm.vehicle(False)
    assert Clear(AlarmKind.DOOR_HELD) in arm.goes_down()


# --------------------------------------------------------------------------------- the board


def test_a_grant_that_the_board_does_not_confirm_is_over() -> None:
    arm = lane()
    arm.works = False
    effects = arm.take(tapped())
    assert drives(effects) == [True, False]
    assert Raise(AlarmKind.DOOR_FAILED, "silent") in effects
    assert arm.state.pending == ()
    arm.works = True
    assert arm.after(1) == [DOWN, Clear(AlarmKind.DOOR_FAILED)]


def test_the_alarm_stays_while_the_arm_is_late_though_the_board_answers_again() -> None:
    arm = up()
    arm.after(20)
    arm.after(6)
    arm.works = False
    arm.after(6)
    arm.works = True
    assert Clear(AlarmKind.DOOR_FAILED) not in arm.after(1)
    arm.state = replace(arm.state, failed=True)
    assert Clear(AlarmKind.DOOR_FAILED) not in arm.goes_down()


def test_a_lost_line_releases_nothing_and_what_is_wanted_is_said_again() -> None:
    arm = up()
    assert arm.take(ControllerLost()) == []
    assert drives(arm.take(ControllerBack())) == [True]
    arm = lane()
    arm.take(VehicleWaits(True))
    arm.take(ControllerLost())
    assert arm.state.vehicle is None
    assert drives(arm.take(ControllerBack())) == []
    assert drives(arm.vehicle(False)) == [False]


def test_the_loop_in_front_is_told_and_moves_nothing() -> None:
    arm = lane()
    assert arm.take(VehicleWaits(True)) == []
    assert arm.state.vehicle is True


@pytest.mark.parametrize(
    "event", [ObstructionChanged(True), VehicleWaits(True), ArmUpReported(True)]
)
def test_a_door_takes_no_notice_of_a_barriers_inputs(event: DoorInput) -> None:
    door = replace(LANE, barrier=None)
    assert step_of_a_door(DoorState(), event, 1, door) == (DoorState(), ())
