"""A barrier with an arm that takes its time, vehicles, hands and broken boards, in every order.
`make test` tries some thousands of steps; more: GATEWAYD_DOOR_STEPS=200000 pytest … --timeout 0
--hypothesis-profile=default
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gatewayd.domain import barrier
from gatewayd.domain.barrier import VEHICLE, next_deadline_ns, step
from gatewayd.domain.door import FREE_MODES, OPENING_GRACE_NS, REFUSING_MODES, at_the_start, refusal
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
    InputFaulted,
    InputName,
    InterlockTripped,
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
from gatewayd.domain.events import Cause, CauseKind, DoorUnlocked, Event
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

STEPS_EACH = 50
STEPS = int(os.environ.get("GATEWAYD_DOOR_STEPS", "5000"))
TRAVEL_NS = 3 * NS_PER_S  # of the real arm; it is given six seconds
LONG_AGO_NS = -100 * NS_PER_S

LANE = Door(
    DoorId("lane"), "Lane", unlock_s=20, held_s=60, pre_alarm_s=40, escape=True,
    barrier=Barrier(travel_s=6, sees_up=True),
)  # fmt: skip


class Lane(RuleBasedStateMachine):
    """`arm_ns` is how far up the arm is, in time of travel; the loop tells what is under it."""

    def __init__(self) -> None:
        super().__init__()
        self.door = LANE
        self.now_ns = 1_000 * NS_PER_S
        self.state = DoorState()
        self.arm_ns = 0
        self.wanted_up = False  # as the arm's own control was told last
        self.jammed = self.by_hand = False
        self.on_loop = False
        self.online = self.works = True
        self.serial = 0
        self.granted: set[str] = set()
        self.let_in: list[int] = []
        self.reasons: list[Event] = []
        self.alarms: set[AlarmKind] = set()
        self.stale = False
        self.told_up_ns = LONG_AGO_NS

    @initialize(sees_up=st.booleans(), sees_down=st.booleans())
    def build(self, sees_up: bool, sees_down: bool) -> None:
        arm = Barrier(travel_s=6, sees_up=sees_up and sees_down)
        self.door = replace(LANE, has_contact=sees_down, barrier=arm)
        self.come_online()

    # ------------------------------------------------------------------------ the machinery

    def take(self, event: DoorInput) -> None:
        """As `gatewayd.doors.DoorTask`: what the board answered is taken after all effects."""
        todo: deque[DoorInput] = deque([event])
        while todo:
            event, before = todo.popleft(), self.state
            self.state, effects = step(before, event, self.now_ns, self.door)
            self.check_forced(event, before, effects)
            for effect in effects:
                todo.extend(self.carry_out(event, before, effect))

    def carry_out(self, event: DoorInput, before: DoorState, effect: Effect) -> list[DoorInput]:
        match effect:
            case DriveLock(unlocked=unlocked, confirmed=confirmed):
                self.check_drive(event, before, effect)
                if self.works and self.online:
                    self.wanted_up = unlocked
                    self.by_hand = False
                    if confirmed is not None:
                        self.reasons.append(confirmed)
                    return [DriveDone()]
                return [DriveFailed(unlocked, "silent")]
            case Raise(kind=kind):
                self.alarms.add(kind)
            case Clear(kind=kind):
                self.alarms.discard(kind)
            case Passed(passage=passage):
                self.let_in.remove(passage.decision_seq)
                assert isinstance(event, ObstructionChanged)
                assert event.blocked is False
                assert before.crossing
            case Record():
                pass
        return []

    def come_online(self) -> None:
        self.online = True
        self.take(ControllerBack())
        self.tell_limits()
        self.take(ObstructionChanged(self.on_loop))

    def tell_limits(self) -> None:
        if not self.online or not self.door.has_contact:
            return
        if self.state.open is not (self.arm_ns > 0):
            self.take(ContactChanged(self.arm_ns > 0))
        arm = self.door.barrier
        assert arm is not None
        if arm.sees_up and self.state.up is not (self.arm_ns == TRAVEL_NS):
            self.take(ArmUpReported(self.arm_ns == TRAVEL_NS))

    # ------------------------------------------------------------------------- what must hold

    def check_drive(self, event: DoorInput, before: DoorState, order: DriveLock) -> None:
        if not order.unlocked:
            assert self.state.obstructed is False, "told to close, and the loop is not free"
            assert not self.on_loop or not self.online
            return
        self.told_up_ns = self.now_ns
        if self.state.mode in FREE_MODES or isinstance(event, ExitPressed):
            return
        match event:
            case UnlockOrdered(cause=cause):
                assert before.mode not in REFUSING_MODES
                assert cause.ref in self.granted
            case ObstructionChanged(blocked=blocked):
                assert blocked
                assert before.lowering
                assert order.confirmed == DoorUnlocked(self.door.id, VEHICLE, 0.0)
            case ControllerBack():
                assert before.unlocked
            case TimePassed():
                assert before.close_waits or not self.works or before.failed
            case _:
                raise AssertionError(f"raised by {event}")

    def check_forced(
        self, event: DoorInput, before: DoorState, effects: tuple[Effect, ...]
    ) -> None:
        if not isinstance(event, ContactChanged) or not event.open:
            return
        forced = Raise(AlarmKind.DOOR_FORCED) in effects
        if before.unlocked:
            assert not forced
        quiet = before.phase is Phase.SECURE and before.last_seen_open is False
        if quiet and not before.unlocked and self.now_ns > before.authorised_until_ns:
            assert forced

    @invariant()
    def an_alarm_stands_while_its_cause_does(self) -> None:
        if self.stale:
            return
        assert (self.state.phase is Phase.FORCED) == (AlarmKind.DOOR_FORCED in self.alarms)
        assert (self.state.phase is Phase.HELD) == (AlarmKind.DOOR_HELD in self.alarms)
        failed = self.state.failed or self.state.arm_late
        assert failed == (AlarmKind.DOOR_FAILED in self.alarms)

    @invariant()
    def what_is_up_has_an_end(self) -> None:
        state = self.state
        if state.unlocked and state.mode not in FREE_MODES:
            assert state.relock_at_ns is not None or state.close_waits
        if state.pending and not state.crossing:
            assert next_deadline_ns(state) is not None
        if state.close_waits:
            assert state.obstructed is not False

    @invariant()
    def a_fire_keeps_it_up(self) -> None:
        if self.state.mode is DoorMode.LOCKED_OPEN:
            assert self.state.unlocked
            retried = self.state.retry_at_ns is not None
            assert self.wanted_up or self.by_hand or retried or not self.online

    # ------------------------------------------------------------------------- what happens

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 3.0, 10.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.pass_time(round(seconds * NS_PER_S))

    def pass_time(self, span_ns: int) -> None:
        """In steps as fine as the poll of a board, or the next deadline where that is sooner."""
        end_ns = self.now_ns + span_ns
        while self.now_ns < end_ns:
            soon_ns = next_deadline_ns(self.state) or end_ns
            moment_ns = max(min(end_ns, self.now_ns + NS_PER_S // 2, soon_ns), self.now_ns)
            self.move_arm(moment_ns - self.now_ns)
            self.now_ns = moment_ns
            self.tell_limits()
            for _ in range(8):
                due_ns = next_deadline_ns(self.state)
                if due_ns is None or due_ns > self.now_ns:
                    break
                self.take(TimePassed())
            else:
                raise AssertionError(f"a deadline that never ends: {self.state}")

    def move_arm(self, span_ns: int) -> None:
        if self.jammed or self.by_hand:
            return
        was_up = self.arm_ns > 0
        move_ns = span_ns if self.wanted_up else -span_ns
        self.arm_ns = min(max(self.arm_ns + move_ns, 0), TRAVEL_NS)
        hit = was_up and self.arm_ns == 0 and self.on_loop
        assert not hit or not self.online or not self.works, "the arm came down on a vehicle"

    @rule(unlock_s=st.sampled_from([8.0, 20.0]), blocked=st.booleans())
    def tap(self, unlock_s: float, blocked: bool) -> None:
        self.serial += 1
        self.granted.add(str(self.serial))
        passage = Passage(PersonId("p"), AccessPointId("a"), self.serial, Direction.IN)
        order = UnlockOrdered(
            Cause(CauseKind.TAP, str(self.serial)), unlock_s, passage, 5.0, blocked
        )
        if refusal(self.state, order) is None:
            self.let_in.append(self.serial)
        self.take(order)

    @rule(blocked=st.booleans())
    def button(self, blocked: bool) -> None:
        self.take(ExitPressed(blocked))

    @rule(mode=st.sampled_from([m for m in DoorMode if m is not DoorMode.ACCESSED]))
    def order_mode(self, mode: DoorMode) -> None:
        self.take(ModeOrdered(mode, Cause(CauseKind.OPERATOR, "li")))

    @rule()
    def another_gate_opened(self) -> None:
        self.take(InterlockTripped())

    @rule(there=st.booleans())
    def vehicle_in_front(self, there: bool) -> None:
        if self.online:
            self.take(VehicleWaits(there))

    @rule()
    def vehicle_onto_loop(self) -> None:
        self.set_loop(True)

    @rule()
    def vehicle_leaves_loop(self) -> None:
        self.set_loop(False)

    @rule()
    def vehicle_under_an_arm_that_comes_down(self) -> None:
        """The time of the last grant runs out, and then one drives up."""
        self.set_loop(False)
        self.pass_time(30 * NS_PER_S)
        if self.online and self.works and not self.by_hand:
            self.tap(8.0, False)
            self.pass_time(9 * NS_PER_S)
            self.set_loop(True)
            self.pass_time(5 * NS_PER_S)

    def set_loop(self, on: bool) -> None:
        if self.on_loop is not on:
            self.on_loop = on
            if self.online:
                self.take(ObstructionChanged(on))

    @precondition(lambda self: self.online)
    @rule(fault=st.sampled_from(["open", "short"]))
    def the_loops_wire_is_cut_and_mended(self, fault: str) -> None:
        self.take(InputFaulted(InputName.LOOP, fault))
        self.take(ObstructionChanged(None))
        self.pass_time(2 * NS_PER_S)
        self.take(InputFaulted(InputName.LOOP, ""))
        self.take(ObstructionChanged(self.on_loop))

    @precondition(lambda self: self.online and self.door.has_contact)
    @rule()
    def the_limits_wire_is_cut_and_mended(self) -> None:
        self.take(ContactChanged(None))
        self.take(ContactChanged(self.arm_ns > 0))

    @rule(tampered=st.booleans())
    def tamper(self, tampered: bool) -> None:
        self.take(TamperReported(tampered))

    @rule(jammed=st.booleans())
    def jam(self, jammed: bool) -> None:
        self.jammed = jammed

    @rule()
    def raised_by_hand(self) -> None:
        self.arm_ns, self.by_hand = TRAVEL_NS, True
        self.tell_limits()

    @rule()
    def lowered_by_hand(self) -> None:
        """By someone who looks first."""
        if not self.on_loop:
            self.arm_ns, self.by_hand = 0, True
            self.tell_limits()

    @rule(works=st.booleans())
    def board_answers(self, works: bool) -> None:
        self.works = works

    @rule()
    def lose_or_find_the_line(self) -> None:
        if self.online:
            self.online = False
            self.take(ControllerLost())
        else:
            self.come_online()

    @rule()
    def restart(self) -> None:
        """Nothing is remembered but the mode, and a lane that was up may have a vehicle in it."""
        self.state = at_the_start(self.state.mode)
        self.let_in, self.stale = [], True
        self.come_online()

    @rule()
    def left_alone(self) -> None:
        """Mended, without vehicles and hands: what is not to stay up is down."""
        self.works, self.jammed = True, False
        self.set_loop(False)
        if not self.online:
            self.come_online()
        self.pass_time(120 * NS_PER_S)
        assert self.state.pending == ()
        assert not self.state.failed
        if self.state.mode in FREE_MODES:
            assert self.wanted_up or self.by_hand
            return
        assert not self.state.close_waits
        assert not self.state.unlocked
        assert not self.wanted_up
        if self.door.has_contact and self.state.phase is not Phase.FORCED:
            assert self.arm_ns == 0
            assert self.state.phase is Phase.SECURE
        if self.door.has_contact and self.arm_ns == 0:
            self.alarms -= {AlarmKind.DOOR_HELD} if self.stale else set()


TestLane = Lane.TestCase
TestLane.settings = settings(
    max_examples=max(1, STEPS // STEPS_EACH), stateful_step_count=STEPS_EACH, deadline=None
)


def test_every_input_has_a_row() -> None:
    from typing import get_args

    assert set(get_args(DoorInput)) == set(barrier.TABLE)
    assert LANE.unlock_s * NS_PER_S > OPENING_GRACE_NS
