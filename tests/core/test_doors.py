"""The doors' tasks: the lock is driven, timers run on the clock, nothing waits for a disk."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

import pytest

from gatewayd.alarms import AlarmDesk
from gatewayd.domain.door import (
    ContactChanged,
    ControllerBack,
    ControllerLost,
    DoorInput,
    ExitPressed,
    InputFaulted,
    InputName,
    ModeOrdered,
    TimePassed,
)
from gatewayd.domain.events import (
    AlarmCleared,
    AlarmRaised,
    Cause,
    CauseKind,
    DoorLocked,
    DoorModeChanged,
    DoorOpened,
    DoorUnlocked,
    Outcome,
)
from gatewayd.domain.model import NS_PER_S, AlarmKind, Direction, DoorId, DoorMode, Passage, Stamp
from gatewayd.domain.ports import DeviceError
from gatewayd.doors import DRIVE_TIMEOUT_S, MAX_AHEAD, MAX_INBOX, DoorTask, DoorTasks, DoorWiring
from gatewayd.recorder import Recorder
from tests.clock import ManualClock
from tests.domain.world import GATE, GATE_IN, WANG
from tests.fakes import FakeBoard, MemoryJournal, running

GUARD = Cause(CauseKind.OPERATOR, "li", "parcel")


@dataclass
class Gate:
    task: DoorTask
    doors: DoorTasks
    board: FakeBoard
    clock: ManualClock
    journal: MemoryJournal


WANG_IN = Passage(WANG.id, GATE_IN.id, 17, Direction.IN)


def build(
    *,
    maglock: bool = False,
    mode: DoorMode = DoorMode.LOCKED,
    on_passed: Callable[[Passage, Stamp], None] = lambda _passage, _stamp: None,
) -> tuple[Gate, list[object]]:
    clock = ManualClock()
    journal, board = MemoryJournal(clock), FakeBoard()
    recorder = Recorder(journal, clock, lambda _failing, _why: None)
    alarms = AlarmDesk(journal, recorder, clock)
    wiring = DoorWiring(board, 1, 1, 2, False, not maglock)
    task = DoorTask(GATE, wiring, clock, recorder, alarms, mode, on_passed)
    gate = Gate(task, DoorTasks({GATE.id: task}), board, clock, journal)
    return gate, [task.run(), recorder.run(), alarms.run()]


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    made, tasks = build()
    async with running(*tasks):
        made.task.post(ControllerBack())
        made.task.post(ContactChanged(False))
        await made.board.until(1, False)
        yield made


async def test_an_unlock_drives_the_relay_and_the_clock_takes_it_back(gate: Gate) -> None:
    assert await gate.doors.unlock(GATE.id, GUARD) is Outcome.UNLOCKED
    assert gate.board.relays[1]
    assert gate.doors.status(GATE.id).unlocked
    await gate.clock.advance(GATE.unlock_s)
    await gate.board.until(1, False)
    assert [type(e) for e in gate.journal.events] == [DoorUnlocked, DoorLocked]


async def test_a_board_is_told_how_long_a_grant_lasts_and_nothing_of_what_has_no_end(
    gate: Gate,
) -> None:
    await gate.doors.unlock(GATE.id, GUARD, 2.0)
    assert gate.board.for_s == {1: 2.0}
    await gate.clock.advance(0.5)
    await gate.doors.unlock(GATE.id, GUARD, 1.0)  # cuts nothing short
    assert gate.board.for_s == {1: 1.5}
    await gate.clock.advance(1.5)
    await gate.board.until(1, False)
    assert gate.board.for_s == {1: None}
    await gate.task.order(ModeOrdered(DoorMode.UNLOCKED, GUARD))
    assert (gate.board.relays[1], gate.board.for_s) == (True, {1: None})


async def test_a_board_that_decides_by_itself_is_told_of_a_lockdown(gate: Gate) -> None:
    assert gate.board.shut == {1: False}
    for mode, shut in (
        (DoorMode.LOCKED_DOWN, True),
        (DoorMode.LOCKED, False),
        (DoorMode.BLOCKED, True),
        (DoorMode.UNLOCKED, False),
    ):
        await gate.task.order(ModeOrdered(mode, GUARD))
        assert gate.board.shut == {1: shut}


async def test_the_relock_is_on_time_while_the_journal_hangs(gate: Gate) -> None:
    gate.journal.hold()
    await gate.doors.unlock(GATE.id, GUARD, 2.0)
    await gate.clock.advance(2)
    await gate.board.until(1, False)
    assert gate.journal.events == []
    gate.journal.release()
    await gate.journal.until(DoorLocked)


async def test_a_forced_door_raises_its_alarm_and_clears_it_when_closed(gate: Gate) -> None:
    gate.task.post(ContactChanged(True))
    [alarm] = await gate.journal.until(AlarmRaised)
    assert isinstance(alarm, AlarmRaised)
    assert (alarm.alarm, alarm.about) == (AlarmKind.DOOR_FORCED, GATE.id)
    assert gate.journal.of(DoorOpened) == [DoorOpened(GATE.id, False)]
    gate.task.post(ContactChanged(False))
    await gate.journal.until(AlarmCleared)


async def test_a_board_that_does_not_answer_fails_the_unlock_and_nothing_is_claimed(
    gate: Gate,
) -> None:
    gate.board.broken = "board-1: no reply"
    assert await gate.doors.unlock(GATE.id, GUARD) is Outcome.FAILED
    [alarm] = await gate.journal.until(AlarmRaised)
    assert isinstance(alarm, AlarmRaised)
    assert alarm.alarm is AlarmKind.DOOR_FAILED
    assert gate.doors.status(GATE.id).failed
    assert gate.journal.of(DoorUnlocked) == []
    gate.board.broken = None
    await gate.clock.advance(1)
    await gate.journal.until(AlarmCleared)
    assert not gate.doors.status(GATE.id).failed
    assert gate.board.relays[1] is False


async def test_a_lockdown_is_journaled_refuses_and_the_exit_still_opens(gate: Gate) -> None:
    assert await gate.task.order(ModeOrdered(DoorMode.LOCKED_DOWN, GUARD)) is Outcome.UNLOCKED
    assert await gate.doors.unlock(GATE.id, GUARD) is Outcome.REFUSED
    assert gate.doors.status(GATE.id).mode is DoorMode.LOCKED_DOWN
    gate.task.post(ExitPressed())
    await gate.board.until(1, True)
    [changed] = await gate.journal.until(DoorModeChanged)
    assert isinstance(changed, DoorModeChanged)
    assert changed.cause == GUARD


async def test_a_lockdown_that_the_lock_does_not_confirm_is_told(gate: Gate) -> None:
    gate.board.broken = "board-1: no reply"
    assert await gate.task.order(ModeOrdered(DoorMode.LOCKED_DOWN, GUARD)) is Outcome.FAILED
    assert gate.doors.status(GATE.id).mode is DoorMode.LOCKED_DOWN


async def test_a_locked_door_is_accessed_while_someone_passes(gate: Gate) -> None:
    await gate.doors.unlock(GATE.id, GUARD)
    assert gate.doors.status(GATE.id).mode is DoorMode.ACCESSED
    await gate.clock.advance(GATE.unlock_s)
    assert gate.doors.status(GATE.id).mode is DoorMode.LOCKED


async def test_who_was_let_through_is_told_when_the_door_opens() -> None:
    passed: list[tuple[Passage, Stamp]] = []
    gate, tasks = build(on_passed=lambda passage, stamp: passed.append((passage, stamp)))
    async with running(*tasks):
        gate.task.post(ControllerBack())
        gate.task.post(ContactChanged(False))
        await gate.doors.unlock(GATE.id, GUARD, passage=WANG_IN)
        await gate.clock.advance(2)
        assert passed == []
        gate.task.post(ContactChanged(True))
        await gate.journal.until(DoorOpened)
        assert passed == [(WANG_IN, gate.clock.now())]


async def test_who_needs_longer_may_keep_the_door_open_longer(gate: Gate) -> None:
    await gate.doors.unlock(GATE.id, GUARD, extra_held_s=10)
    gate.task.post(ContactChanged(True))
    await gate.clock.advance(GATE.held_s + 9)
    assert gate.journal.of(AlarmRaised) == []
    await gate.clock.advance(2)
    [alarm] = await gate.journal.until(AlarmRaised)
    assert isinstance(alarm, AlarmRaised)
    assert (alarm.alarm, alarm.detail) == (AlarmKind.DOOR_HELD, "open longer than 40 s")


async def test_a_magnetic_lock_is_released_by_taking_its_current() -> None:
    gate, tasks = build(maglock=True)
    async with running(*tasks):
        gate.task.post(ControllerBack())
        await gate.board.until(1, True)
        await gate.doors.unlock(GATE.id, GUARD)
        assert gate.board.relays[1] is False


async def test_a_mode_from_before_the_restart_is_said_again() -> None:
    gate, tasks = build(mode=DoorMode.UNLOCKED)
    async with running(*tasks):
        gate.task.post(ControllerBack())
        await gate.board.until(1, True)


async def test_more_inputs_than_the_inbox_holds_are_dropped_and_the_door_lives(gate: Gate) -> None:
    for _ in range(MAX_INBOX + 20):
        gate.task.post(TimePassed())
    assert await gate.doors.unlock(GATE.id, GUARD) is Outcome.UNLOCKED


async def test_beyond_what_the_inbox_holds_the_last_of_each_kind_is_heard(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(MAX_INBOX):
        gate.task.post(TimePassed())
    said: list[DoorInput] = [
        ControllerLost(),
        InputFaulted(InputName.LOCK, "open"),
        InputFaulted(InputName.TAMPER, "short"),
        InputFaulted(InputName.TAMPER, ""),
        ControllerBack(),
    ]
    said += [ContactChanged(open_) for open_ in [True, False] * 50 + [True]]
    for event in said:
        gate.task.post(event)
    await gate.clock.advance(0)
    assert await gate.doors.unlock(GATE.id, GUARD) is Outcome.UNLOCKED  # all before it is heard
    assert gate.task.state.online
    assert gate.task.state.open
    assert gate.task.state.faults == frozenset({InputName.LOCK})
    assert [record.message for record in caplog.records] == [
        f"door {GATE.id}: too many inputs at once, the last of each kind count"
    ]
    gate.task.post(ContactChanged(False))
    await gate.clock.advance(0)
    assert gate.task.state.open is False


def watched(gate: Gate) -> list[tuple[DoorMode, bool | None]]:
    """The door's mode and whether it is open, after each of its steps to come."""
    steps: list[tuple[DoorMode, bool | None]] = []
    gate.task.tell_step = lambda: steps.append((gate.task.state.mode, gate.task.state.open))
    return steps


@pytest.mark.parametrize("mode", [DoorMode.LOCKED_DOWN, DoorMode.LOCKED_OPEN])
async def test_a_lockdown_or_a_fire_waits_for_no_queue_of_exit_presses(
    gate: Gate, mode: DoorMode
) -> None:
    steps = watched(gate)
    for _ in range(200):
        gate.task.post(ExitPressed())
    assert await gate.task.order(ModeOrdered(mode, GUARD)) is Outcome.UNLOCKED
    assert [one for one, _ in steps].index(mode) <= 2  # behind the press in hand, and its drive
    await gate.clock.advance(0)
    assert len(steps) > 200  # and each press was heard


async def test_a_mode_is_taken_while_the_door_waits_for_a_deadline_or_for_nothing(
    gate: Gate,
) -> None:
    assert await gate.task.order(ModeOrdered(DoorMode.BLOCKED, GUARD)) is Outcome.UNLOCKED
    assert await gate.task.order(ModeOrdered(DoorMode.LOCKED, GUARD)) is Outcome.UNLOCKED
    await gate.doors.unlock(GATE.id, GUARD)
    assert gate.task.unsettled
    assert await gate.task.order(ModeOrdered(DoorMode.LOCKED_DOWN, GUARD)) is Outcome.UNLOCKED


async def test_modes_are_taken_in_their_order_and_other_inputs_have_their_turn(gate: Gate) -> None:
    async def opens() -> None:
        gate.task.post(ContactChanged(True))

    steps = watched(gate)
    modes = [DoorMode.BLOCKED, DoorMode.LOCKED] * 20
    async with asyncio.TaskGroup() as group:
        for mode in modes:
            group.create_task(gate.task.order(ModeOrdered(mode, GUARD)))
        group.create_task(opens())
    taken = [mode for mode, _ in itertools.groupby(steps, key=lambda step: step[0])]
    assert taken == modes
    before = steps[: [is_open for _, is_open in steps].index(True)]
    assert len(list(itertools.groupby(before, key=lambda step: step[0]))) == MAX_AHEAD


async def test_an_order_beats_the_deadline_it_extends(gate: Gate) -> None:
    await gate.doors.unlock(GATE.id, GUARD, 3.0)
    await gate.clock.advance(2)
    await gate.doors.unlock(GATE.id, GUARD, 3.0)
    await gate.clock.advance(2)
    assert gate.board.relays[1]
    await gate.clock.advance(2)
    assert gate.board.relays[1] is False


async def test_an_order_whose_giver_has_gone_is_not_carried_out_later() -> None:
    gate, tasks = build()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await gate.doors.unlock(GATE.id, GUARD)
    async with running(*tasks):
        gate.task.post(ControllerBack())
        await gate.board.until(1, False)
        await gate.clock.advance(0)
    assert (1, True) not in gate.board.orders


# ---------------------------------------------------------------------------------- the end


class GivesUp(FakeBoard):
    """A board that has stopped answering: its driver gives up after 1.5 s. One with a `turn_s` is
    alive and takes one order after the other, each so long; who waits too long is given up."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.clock = clock
        self.turn_s: float | None = 0.0
        self._free_ns = 0

    async def set_relay(
        self, relay: int, energised: bool, for_s: float | None = None, *, shut: bool = False
    ) -> None:
        now_ns = self.clock.monotonic_ns()
        latest_ns = now_ns + round(1.5 * NS_PER_S)
        turn_ns = 2 * NS_PER_S if self.turn_s is None else round(self.turn_s * NS_PER_S)
        done_ns = max(now_ns, self._free_ns) + turn_ns
        if done_ns > latest_ns:
            await self.clock.sleep_until(latest_ns)
            raise DeviceError("no reply")
        self._free_ns = done_ns
        await self.clock.sleep_until(done_ns)
        await super().set_relay(relay, energised, for_s, shut=shut)


async def unlocked_at(clock: ManualClock, boards: list[GivesUp], each: int) -> DoorTasks:
    """So many doors on each of the boards, unlocked by a guard; their tasks have ended."""
    journal = MemoryJournal(clock)
    recorder = Recorder(journal, clock, lambda _failing, _why: None)
    alarms = AlarmDesk(journal, recorder, clock)
    tasks = {}
    for board_no, board in enumerate(boards):
        for relay in range(1, each + 1):
            door = replace(GATE, id=DoorId(f"d-{board_no}-{relay}"))
            wiring = DoorWiring(board, relay, None, None, False, True)
            tasks[door.id] = DoorTask(door, wiring, clock, recorder, alarms)
    doors = DoorTasks(tasks)
    async with running(*(task.run() for task in tasks.values())):
        await asyncio.gather(*(doors.unlock(door_id, GUARD) for door_id in tasks))
    assert all(board.relays == dict.fromkeys(range(1, each + 1), True) for board in boards)
    return doors


async def end_takes_s(doors: DoorTasks, clock: ManualClock) -> float:
    began_ns = clock.monotonic_ns()
    end = asyncio.create_task(doors.lock_before_the_end())
    while not end.done():
        await clock.advance(0.1)
    await end
    return (clock.monotonic_ns() - began_ns) / NS_PER_S


async def test_the_end_waits_for_20_doors_of_silent_boards_as_long_as_for_one() -> None:
    clock = ManualClock()
    boards = [GivesUp(clock) for _ in range(5)]
    doors = await unlocked_at(clock, boards, each=4)
    for board in boards[1:]:
        board.turn_s = None
    assert await end_takes_s(doors, clock) == pytest.approx(1.5, abs=0.15)
    assert set(boards[0].relays.values()) == {False}


async def test_the_end_locks_all_doors_of_a_board_whose_line_is_slow() -> None:
    clock = ManualClock()
    board = GivesUp(clock)
    doors = await unlocked_at(clock, [board], each=8)
    board.turn_s = 0.3  # five of eight within the time that a driver waits
    assert await end_takes_s(doors, clock) < 2 * DRIVE_TIMEOUT_S
    assert set(board.relays.values()) == {False}


async def test_a_relock_that_the_end_interrupts_is_said_once_more() -> None:
    clock = ManualClock()
    board = GivesUp(clock)
    journal = MemoryJournal(clock)
    recorder = Recorder(journal, clock, lambda _failing, _why: None)
    wiring = DoorWiring(board, 1, None, None, False, True)
    task = DoorTask(GATE, wiring, clock, recorder, AlarmDesk(journal, recorder, clock))
    async with running(task.run()):
        await DoorTasks({GATE.id: task}).unlock(GATE.id, GUARD)
        board.turn_s = 0.3
        await clock.advance(GATE.unlock_s + 0.1)
        assert board.relays[1]  # the board has the order in hand, and has not carried it out
    board.turn_s = 0.0
    await end_takes_s(DoorTasks({GATE.id: task}), clock)
    assert not board.relays[1]


def test_a_door_that_is_not_ours_is_a_key_error() -> None:
    gate, tasks = build()
    for task in tasks:
        task.close()  # type: ignore[attr-defined]  # coroutines that never ran
    with pytest.raises(KeyError):
        gate.doors.status(DoorId("nowhere"))
