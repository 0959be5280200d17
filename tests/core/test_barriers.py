"""A barrier's task: what its loops say comes first, and a plate at its lane is decided by them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import pytest

from gatewayd.alarms import AlarmDesk
from gatewayd.devices import DeviceDesk
from gatewayd.domain.door import ExitPressed, ModeOrdered
from gatewayd.domain.events import AlarmRaised, Cause, CauseKind, DoorUnlocked, Outcome
from gatewayd.domain.model import (
    AlarmKind,
    Barrier,
    Credential,
    CredentialKind,
    Deny,
    DeviceId,
    Direction,
    DoorMode,
    Passage,
    Reason,
    Stamp,
    Tap,
)
from gatewayd.domain.ports import InputChanged, Offline, Online
from gatewayd.doors import ArmWiring, DoorTask, DoorTasks, DoorWiring
from gatewayd.memory import SiteLayout, SiteMemory
from gatewayd.recorder import Recorder
from gatewayd.rulings import Rulings, Site
from gatewayd.wiring import ControllerSink
from tests.clock import ManualClock
from tests.domain.world import GATE, GATE_IN, RESIDENTS, WANG, record, snapshot
from tests.fakes import FakeBoard, MemoryJournal, NotedSignals, OneCardList, running

GUARD = Cause(CauseKind.OPERATOR, "li", "a lorry")
LANE = replace(GATE, unlock_s=20, held_s=60, pre_alarm_s=40, barrier=Barrier(6, sees_up=True))
LANE_IN = replace(GATE_IN, vehicle=True)
UP, DOWN = 1, 2
LOOP, PRESENCE, IS_DOWN, IS_UP = 3, 4, 5, 6
PLATE = Credential(CredentialKind.PLATE, "京A12345")
WANG_IN = Passage(WANG.id, LANE_IN.id, 17, Direction.IN)


@dataclass
class Gate:
    task: DoorTask
    doors: DoorTasks
    board: FakeBoard
    clock: ManualClock
    journal: MemoryJournal
    recorder: Recorder
    sink: ControllerSink
    passed: list[Passage]

    async def tell(self, **inputs: bool) -> None:
        terminals = {"loop": LOOP, "presence": PRESENCE, "down": IS_DOWN, "up": IS_UP}
        for name, active in inputs.items():
            self.sink(InputChanged(terminals[name], active, self.clock.now()))
        await self.clock.advance(0)

    async def arm_goes_up(self) -> None:
        await self.clock.advance(1)
        await self.tell(down=False, up=True)


@asynccontextmanager
async def gate(*, pulsed: bool = True) -> AsyncIterator[Gate]:
    clock, board = ManualClock(), FakeBoard()
    journal = MemoryJournal(clock)
    recorder = Recorder(journal, clock, lambda _failing, _why: None)
    alarms = AlarmDesk(journal, recorder, clock)
    arm = ArmWiring(LOOP, True, PRESENCE, True, IS_UP, DOWN if pulsed else None)
    wiring = DoorWiring(board, UP, IS_DOWN, None, False, True, arm=arm)
    passed: list[Passage] = []

    def on_passed(passage: Passage, _stamp: Stamp) -> None:
        passed.append(passage)

    task = DoorTask(LANE, wiring, clock, recorder, alarms, DoorMode.LOCKED, on_passed)
    devices = DeviceDesk([(DeviceId("board-1"), "controller")], clock, recorder, alarms)
    sink = ControllerSink(DeviceId("board-1"), [task], devices)
    doors = DoorTasks({LANE.id: task})
    async with running(task.run(), recorder.run(), alarms.run()):
        made = Gate(task, doors, board, clock, journal, recorder, sink, passed)
        sink(Online())
        await made.tell(loop=False, presence=False, down=True, up=False)
        await clock.advance(1)
        board.orders.clear()
        yield made


async def test_a_vehicle_is_let_in_by_a_pulse_and_the_arm_closes_behind_it() -> None:
    async with gate() as lane:
        assert await lane.doors.unlock(LANE.id, GUARD, passage=WANG_IN) is Outcome.UNLOCKED
        await lane.arm_goes_up()
        assert lane.board.orders == [(UP, True), (UP, False)]
        await lane.tell(loop=True)
        assert lane.doors.status(LANE.id).under_arm
        await lane.clock.advance(30)
        assert (DOWN, True) not in lane.board.orders
        await lane.tell(loop=False)
        assert lane.passed == [WANG_IN]
        assert lane.board.relays[DOWN]
        await lane.clock.advance(0.5)
        assert lane.board.relays == {UP: False, DOWN: False}


async def test_one_relay_holds_the_arm_up_over_a_vehicle_in_a_lockdown() -> None:
    async with gate(pulsed=False) as lane:
        await lane.doors.unlock(LANE.id, GUARD)
        await lane.arm_goes_up()
        await lane.tell(loop=True)
        await lane.task.order(ModeOrdered(DoorMode.LOCKED_DOWN, GUARD))
        assert lane.board.relays == {UP: True}
        await lane.tell(loop=False)
        assert lane.board.relays == {UP: False}


async def test_what_the_loop_says_comes_before_a_lockdown_and_both_before_what_raises_the_arm() -> (
    None
):
    async with gate() as lane:
        await lane.doors.unlock(LANE.id, GUARD)
        await lane.arm_goes_up()
        lane.board.orders.clear()
        lane.sink(InputChanged(PRESENCE, True, lane.clock.now()))  # in hand
        lane.sink(InputChanged(LOOP, True, lane.clock.now()))
        async with asyncio.TaskGroup() as group:
            for mode in (DoorMode.LOCKED_DOWN, DoorMode.LOCKED_OPEN):
                group.create_task(lane.task.order(ModeOrdered(mode, GUARD)))
        assert (DOWN, True) not in lane.board.orders
        assert lane.task.state.mode is DoorMode.LOCKED_OPEN


async def test_a_fire_at_a_barrier_waits_for_no_other_input() -> None:
    async with gate() as lane:
        modes: list[DoorMode] = []
        lane.task.tell_step = lambda: modes.append(lane.task.state.mode)
        for _ in range(100):
            lane.task.post(ExitPressed())
        await lane.task.order(ModeOrdered(DoorMode.LOCKED_OPEN, GUARD))
        assert modes.index(DoorMode.LOCKED_OPEN) <= 2


async def test_what_the_loop_says_comes_before_the_end_of_the_arms_time() -> None:
    async with gate() as lane:
        await lane.doors.unlock(LANE.id, GUARD)
        await lane.arm_goes_up()
        await lane.clock.advance(18.9)
        lane.clock._monotonic_ns += 10**9  # the loop busy for a second
        lane.sink(InputChanged(LOOP, True, lane.clock.now()))
        await lane.clock.advance(0)
        assert (DOWN, True) not in lane.board.orders
        assert lane.task.state.close_waits


async def test_an_arm_that_comes_down_goes_up_over_a_vehicle_and_that_is_journaled() -> None:
    async with gate() as lane:
        await lane.doors.unlock(LANE.id, GUARD)
        await lane.arm_goes_up()
        await lane.task.order(ModeOrdered(DoorMode.BLOCKED, GUARD))
        lane.board.orders.clear()
        await lane.tell(loop=True)
        assert lane.board.orders[:2] == [(DOWN, False), (UP, True)]
        events = await lane.journal.until(DoorUnlocked, 2)
        assert isinstance(events[1], DoorUnlocked)
        assert events[1].cause.kind is CauseKind.SYSTEM


async def test_the_end_of_the_program_lowers_no_arm_on_a_vehicle_and_ends_its_pulses() -> None:
    async with gate() as lane:
        await lane.doors.unlock(LANE.id, GUARD)
        await lane.arm_goes_up()
        await lane.tell(loop=True)
    await lane.task.lock_before_the_end()
    assert lane.board.relays == {UP: False, DOWN: False}
    assert (DOWN, True) not in lane.board.orders


async def test_an_arm_that_never_rises_is_an_alarm_and_the_status_says_failed() -> None:
    async with gate() as lane:
        await lane.doors.unlock(LANE.id, GUARD)
        await lane.clock.advance(6)
        status = lane.doors.status(LANE.id)
        assert (status.kind, status.failed, status.vehicle) == ("barrier", True, False)
        [raised] = lane.journal.of(AlarmRaised)
        assert isinstance(raised, AlarmRaised)
        assert raised.alarm is AlarmKind.DOOR_FAILED
        lane.sink(Offline("unplugged"))
        await lane.clock.advance(0)
        assert lane.doors.status(LANE.id).vehicle is None


@pytest.mark.parametrize(
    ("there", "paid", "reason"),
    [
        (True, True, None),
        (True, False, Reason.PERMIT_EXPIRED),
        (False, False, Reason.NO_VEHICLE),
        (False, True, Reason.NO_VEHICLE),
    ],
)
async def test_a_plate_is_decided_by_its_permit_and_by_the_loop_in_front(
    there: bool, paid: bool, reason: Reason | None
) -> None:
    """Nobody on foot is told of a permit: no vehicle stands there, that is all."""
    async with gate() as lane:
        await lane.tell(presence=there)
        now_s = lane.clock.now().wall_ms // 1000
        permit = record(credential=PLATE, permit_until_s=now_s + (60 if paid else -60))
        known = snapshot(RESIDENTS, credential_record=permit)
        layout = SiteLayout({LANE.id: LANE})
        memory = SiteMemory(layout, lane.journal, lane.recorder, NotedSignals())
        site = Site({LANE_IN.id: LANE_IN}, {LANE.id: LANE}, ZoneInfo("Asia/Shanghai"))
        desk = lane.doors
        rulings = Rulings(site, OneCardList(known), desk, memory, lane.clock)  # type: ignore[arg-type]  # asked for the status only
        decision = rulings.rule(Tap(LANE_IN.id, PLATE, lane.clock.now())).decision
        assert (decision.reason if isinstance(decision, Deny) else None) is reason
