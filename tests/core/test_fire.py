"""Fire: the escape doors are free at once, whatever else is ordered, until a person resets it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gatewayd.domain.door import ControllerBack, ControllerLost
from gatewayd.domain.events import Cause, CauseKind, FireDetected, FireReset, Outcome
from gatewayd.domain.interlock import Interlock, InterlockRule
from gatewayd.domain.model import AlarmKind, DeviceId, DoorMode, ModeSlot
from gatewayd.domain.ports import FireAnswer, InputChanged, JournalError
from gatewayd.fire import FireInput
from tests.clock import ManualClock
from tests.core.gatehouse import (
    CHEN,
    GATE_ID,
    PANEL,
    SIDE,
    Gatehouse,
    gatehouse,
    raised,
    two_doors,
)
from tests.fakes import MemoryJournal

DETECTED = FireDetected(DeviceId("board-1"), 8, (GATE_ID,))


@pytest.fixture
async def house() -> AsyncIterator[Gatehouse]:
    async with gatehouse() as made:
        made.panel(True)  # all is well
        yield made


async def test_a_fire_frees_the_escape_doors_alarms_and_is_journaled(house: Gatehouse) -> None:
    house.panel(False)
    await house.settled()
    assert house.unlocked()
    assert not house.unlocked(SIDE)
    status = house.modes.status(GATE_ID)
    assert (status.mode, status.mode_slot) == (DoorMode.LOCKED_OPEN, ModeSlot.FIRE)
    assert status.mode_cause == Cause(CauseKind.FIRE, "board-1 input 8")
    assert house.fire.on
    assert house.alarmed(AlarmKind.FIRE)
    [alarm] = house.alarms.open_alarms()
    assert alarm.detail == "escape doors freed: 1"
    assert house.journal.of(FireDetected) == [DETECTED]


async def test_a_fire_waits_for_no_disk(house: Gatehouse) -> None:
    house.journal.hold()
    free = asyncio.ensure_future(house.modes.set_mode(GATE_ID, DoorMode.UNLOCKED, CHEN))
    await house.settled()
    house.panel(False)
    await house.settled()
    assert house.unlocked()
    house.journal.release()
    await free
    await house.settled()
    assert house.journal.of(FireDetected) == [DETECTED]


async def test_nothing_locks_an_escape_door_while_there_is_a_fire(house: Gatehouse) -> None:
    house.panel(False)
    await house.settled()
    for kind in (CauseKind.OPERATOR, CauseKind.CENTRE, CauseKind.LINKAGE):
        for mode in (DoorMode.LOCKED, DoorMode.BLOCKED, DoorMode.LOCKED_DOWN):
            outcome = await house.modes.set_mode(GATE_ID, mode, Cause(kind, "x"))
            assert outcome is Outcome.REFUSED
            assert house.unlocked()
    await house.want(DoorMode.LOCKED_DOWN)
    await house.modes.withdraw(GATE_ID, CHEN)
    await house.modes.lift(GATE_ID, CHEN)
    house.doors.tasks[GATE_ID].post(ControllerLost())
    house.doors.tasks[GATE_ID].post(ControllerBack())
    await house.settled(3)
    assert house.unlocked()


async def test_after_the_reset_a_door_is_as_it_was_ordered_meanwhile(house: Gatehouse) -> None:
    house.panel(False)
    await house.settled()
    await house.modes.set_mode(GATE_ID, DoorMode.LOCKED_DOWN, CHEN)
    assert await house.fire.reset(CHEN) is FireAnswer.STILL_ON
    assert house.unlocked()
    house.panel(True)
    await house.settled()
    assert house.unlocked()  # the panel alone ends nothing
    assert await house.fire.reset(CHEN) is FireAnswer.RESET
    await house.settled()
    assert not house.unlocked()
    assert house.modes.status(GATE_ID).mode is DoorMode.LOCKED_DOWN
    assert house.journal.of(FireReset) == [FireReset(CHEN)]
    assert not house.alarmed(AlarmKind.FIRE)
    assert await house.fire.reset(CHEN) is FireAnswer.NO_FIRE


async def test_a_reset_that_cannot_be_journaled_resets_nothing(house: Gatehouse) -> None:
    house.panel(False)
    house.panel(True)
    await house.settled()
    house.journal.refuse = "disk full"
    with pytest.raises(JournalError):
        await house.fire.reset(CHEN)
    await house.settled()
    assert house.unlocked()
    assert house.fire.on


async def test_a_fire_that_speaks_again_during_its_reset_goes_on(house: Gatehouse) -> None:
    house.panel(False)
    house.panel(True)
    await house.settled()
    house.journal.hold()
    reset = asyncio.ensure_future(house.fire.reset(CHEN))
    await house.settled()
    house.panel(False)
    house.journal.release()
    assert await reset is FireAnswer.STILL_ON
    await house.settled()
    assert house.unlocked()
    assert house.journal.of(FireDetected) == [DETECTED, DETECTED]


async def test_a_fire_outlives_a_restart_and_frees_new_escape_doors_too() -> None:
    clock = ManualClock()
    journal = MemoryJournal(clock)
    async with gatehouse(journal=journal, clock=clock) as house:
        house.panel(False)
        await house.settled()
    both = {door: replace(one, escape=True) for door, one in two_doors().items()}
    async with gatehouse(both, journal=journal, clock=clock) as house:
        assert house.fire.on
        assert house.unlocked()
        assert house.unlocked(SIDE)
        assert house.alarmed(AlarmKind.FIRE)
        house.panel(True)
        assert await house.fire.reset(CHEN) is FireAnswer.RESET
        await house.settled()
        assert not house.unlocked()
        house.panel(False)
        await house.settled()
        assert house.unlocked()
    async with gatehouse(journal=journal, clock=clock, panel=None) as house:
        assert house.unlocked()
        house.panel(False)
        await house.fire.reset(CHEN)
        await house.settled()
        assert not house.unlocked()
        assert not house.unlocked(SIDE)


async def test_after_a_restart_no_fire_is_reset_before_its_input_was_heard() -> None:
    clock = ManualClock()
    journal = MemoryJournal(clock)
    async with gatehouse(journal=journal, clock=clock) as house:
        house.panel(False)
        await house.settled()
    async with gatehouse(journal=journal, clock=clock) as house:
        assert await house.fire.reset(CHEN) is FireAnswer.NOT_KNOWN
        await house.settled()
        assert house.unlocked()
        house.panel(False)
        assert await house.fire.reset(CHEN) is FireAnswer.STILL_ON
        house.panel(True)
        assert await house.fire.reset(CHEN) is FireAnswer.RESET
        await house.settled()
        assert not house.unlocked()


async def test_a_restart_in_a_fire_raises_no_alarm_beside_the_one_that_goes_on() -> None:
    clock = ManualClock()
    journal = MemoryJournal(clock)
    async with gatehouse(journal=journal, clock=clock) as house:
        house.panel(False)
        await house.settled()
    for _ in range(2):
        async with gatehouse(journal=journal, clock=clock) as house:
            house.panel(False)
            await house.settled()
            assert house.alarmed(AlarmKind.FIRE)
    assert raised(journal, AlarmKind.FIRE) == 1


async def test_a_fire_whose_alarm_was_lost_with_the_power_is_an_alarm_after_the_restart() -> None:
    clock = ManualClock()
    journal = MemoryJournal(clock)
    await journal.append(DETECTED)
    async with gatehouse(journal=journal, clock=clock) as house:
        await house.settled()
        assert house.alarmed(AlarmKind.FIRE)
    assert raised(journal, AlarmKind.FIRE) == 1


async def test_no_fire_is_reset_while_the_board_of_its_input_is_offline(house: Gatehouse) -> None:
    house.panel(False)
    house.panel(True)
    await house.settled()
    house.fire.input_lost()
    assert await house.fire.reset(CHEN) is FireAnswer.NOT_KNOWN
    await house.settled()
    assert house.unlocked()
    house.panel(True)  # the board is back and says how the input stands
    assert await house.fire.reset(CHEN) is FireAnswer.RESET


async def test_a_board_that_is_lost_while_the_reset_waits_for_its_turn_ends_no_fire(
    house: Gatehouse,
) -> None:
    house.journal.hold()
    house.panel(False)
    house.panel(True)
    await house.settled()
    reset = asyncio.ensure_future(house.fire.reset(CHEN))
    await house.settled()
    house.fire.input_lost()
    house.journal.release()
    assert await reset is FireAnswer.NOT_KNOWN
    assert house.fire.on
    assert house.journal.of(FireReset) == []


async def test_a_burnt_wire_is_no_word_that_the_fire_is_over() -> None:
    async with gatehouse(panel=replace(PANEL, active_means_fire=True)) as house:
        house.panel(True)
        house.panel(False, "open")
        await house.settled()
        assert await house.fire.reset(CHEN) is FireAnswer.NOT_KNOWN
        await house.settled()
        assert house.unlocked()
        house.panel(False)
        assert await house.fire.reset(CHEN) is FireAnswer.RESET


async def test_other_inputs_and_repeated_words_of_the_panel_change_nothing(
    house: Gatehouse,
) -> None:
    house.fire.input_changed(InputChanged(7, False, house.clock.now()))
    await house.settled()
    assert not house.fire.on
    for active in (False, True, False, False):
        house.panel(active)
        await house.settled()
    assert raised(house.journal, AlarmKind.FIRE) == 1
    assert len(house.journal.of(FireDetected)) == 1


@pytest.mark.parametrize("fault", ["short", "open"])
@pytest.mark.parametrize("active_means_fire", [True, False])
async def test_a_broken_line_is_an_alarm_and_a_fire_only_where_normal_must_be_proven(
    fault: str, active_means_fire: bool
) -> None:
    panel = replace(PANEL, active_means_fire=active_means_fire)
    async with gatehouse(panel=panel) as house:
        house.panel(not active_means_fire)
        house.panel(not active_means_fire, fault)
        await house.settled()
        assert house.alarmed(AlarmKind.INPUT_FAULT)
        assert house.unlocked() is not active_means_fire
        assert house.fire.on is not active_means_fire
        house.panel(not active_means_fire)
        await house.settled()
        assert not house.alarmed(AlarmKind.INPUT_FAULT)


def test_what_an_active_input_means_is_a_setting() -> None:
    stamp = ManualClock().now()
    fire, normal = FireInput(DeviceId("b"), 8, True), FireInput(DeviceId("b"), 8, False)
    assert [one.says_fire(InputChanged(8, True, stamp)) for one in (fire, normal)] == [True, False]
    assert [one.says_fire(InputChanged(8, False, stamp)) for one in (fire, normal)] == [False, True]


async def test_a_fire_frees_a_door_of_an_interlock_whatever_stands_open() -> None:
    trap = (Interlock("trap", (GATE_ID, SIDE), InterlockRule.ONE_UNLOCKED),)
    async with gatehouse(interlocks=trap) as house:
        await house.modes.unlock(SIDE, CHEN, 60)
        house.panel(False)
        await house.settled()
        assert house.unlocked(SIDE)
        assert house.unlocked()
        assert await house.modes.unlock(SIDE, CHEN) is Outcome.INTERLOCKED


async def test_a_board_that_fails_in_a_fire_frees_its_door_as_soon_as_it_answers(
    house: Gatehouse,
) -> None:
    house.board.broken = "board-1: no reply"
    house.panel(False)
    await house.settled(5)
    assert not house.unlocked()
    assert house.alarmed(AlarmKind.DOOR_FAILED)
    house.board.broken = None
    await house.settled(1)
    assert house.unlocked()
    assert not house.alarmed(AlarmKind.DOOR_FAILED)
