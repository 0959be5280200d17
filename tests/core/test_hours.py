"""The hours in which a door is unlocked by itself: clock, list, first person, restarts."""

from __future__ import annotations

from dataclasses import replace

from gatewayd.domain.door import ControllerBack
from gatewayd.domain.events import (
    Cause,
    CauseKind,
    DoorFirstPerson,
)
from gatewayd.domain.model import DoorMode, Interval, ModeSlot
from tests.clock import ManualClock
from tests.core.gatehouse import (
    CHEN,
    GATE_ID,
    SIDE,
    Lists,
    gatehouse,
    two_doors,
)
from tests.domain.world import ALWAYS, WORKDAYS
from tests.fakes import MemoryJournal

HOUR = 3600.0


# The clock starts on a Wednesday at 19:06:40 in Shanghai; WORKDAYS go on at 08:00 on Thursday.
TO_MORNING = 12 * HOUR + 53 * 60 + 20


async def test_a_door_is_unlocked_in_its_hours_and_locked_after_them() -> None:
    async with gatehouse(two_doors(unlock_schedule=WORKDAYS.id)) as house:
        await house.later(TO_MORNING - 2)
        assert not house.unlocked()
        await house.settled(2)
        assert house.unlocked()
        status = house.modes.status(GATE_ID)
        assert (status.mode, status.mode_slot) == (DoorMode.UNLOCKED, ModeSlot.SCHEDULE)
        assert status.mode_cause == Cause(CauseKind.SCHEDULE, WORKDAYS.id)
        await house.later(4 * HOUR - 1)
        assert house.unlocked()
        await house.settled(1)
        assert not house.unlocked()
        assert [order.mode for order in house.orders()] == [DoorMode.UNLOCKED, None]


async def test_hours_need_a_clock_and_a_list_unless_they_are_always() -> None:
    async with gatehouse(two_doors(unlock_schedule=WORKDAYS.id)) as house:
        await house.later(TO_MORNING)
        house.clock.wall_trusted = False
        await house.settled(1)
        assert not house.unlocked()
        house.clock.wall_trusted = True
        await house.settled(1)
        assert house.unlocked()
        house.lists.broken = True
        await house.settled(1)
        assert not house.unlocked()
        house.lists.broken = False
        house.lists.have[WORKDAYS.id] = ALWAYS
        house.clock.wall_trusted = False
        await house.settled(1)
        assert house.unlocked()


async def test_hours_that_the_journal_refuses_begin_when_it_takes_them() -> None:
    async with gatehouse(two_doors(unlock_schedule=WORKDAYS.id)) as house:
        house.journal.refuse = "disk full"
        await house.later(TO_MORNING + 3)
        assert not house.unlocked()
        house.journal.refuse = None
        await house.settled(1)
        assert house.unlocked()


async def test_first_person_hours_begin_with_a_grant_in_them_and_with_none_before() -> None:
    doors = two_doors(unlock_schedule=WORKDAYS.id, first_person=True)
    async with gatehouse(doors) as house:
        house.modes.first_person_came(GATE_ID, 5)
        house.modes.first_person_came(SIDE, 6)
        await house.later(TO_MORNING + HOUR)
        assert not house.unlocked()
        house.modes.first_person_came(GATE_ID, 7)
        await house.settled()
        assert house.unlocked()
        house.modes.first_person_came(GATE_ID, 8)
        await house.settled()
        assert house.journal.of(DoorFirstPerson) == [DoorFirstPerson(GATE_ID, 7)]
        await house.later(3 * HOUR)
        assert not house.unlocked()
        await house.later(HOUR)  # the afternoon's hours want a first person of their own
        assert not house.unlocked()


async def test_that_the_first_person_came_outlives_a_restart_within_the_same_hours() -> None:
    clock = ManualClock()
    journal, lists = MemoryJournal(clock), Lists()
    doors = two_doors(unlock_schedule=WORKDAYS.id, first_person=True)
    async with gatehouse(doors, journal=journal, clock=clock, lists=lists) as house:
        await house.later(TO_MORNING + 1)
        house.modes.first_person_came(GATE_ID, 7)
        await house.settled()
        assert house.unlocked()
    await clock.advance(HOUR)
    async with gatehouse(doors, journal=journal, clock=clock, lists=lists) as house:
        assert house.unlocked()
        await house.settled(2)
        assert house.unlocked()
    await clock.advance(24 * HOUR)  # Friday morning: nobody has come yet
    async with gatehouse(doors, journal=journal, clock=clock, lists=lists) as house:
        await house.settled(2)
        assert not house.unlocked()


async def test_who_came_first_came_for_longer_hours_too_when_another_list_moves_their_end() -> None:
    async with gatehouse(two_doors(unlock_schedule=WORKDAYS.id, first_person=True)) as house:
        await house.later(TO_MORNING + HOUR)
        house.modes.first_person_came(GATE_ID, 7)
        await house.settled()
        assert house.unlocked()
        day = (Interval(8 * 3600, 18 * 3600),)  # without the break at noon
        house.lists.have[WORKDAYS.id] = replace(WORKDAYS, week=(day,) * 7)
        await house.settled(1)
        await house.later(4 * HOUR)  # past the end of the hours in which they came
        assert house.unlocked()
        await house.later(6 * HOUR)
        assert not house.unlocked()


async def test_hours_that_closed_and_open_again_want_a_first_person_again() -> None:
    async with gatehouse(two_doors(unlock_schedule=ALWAYS.id, first_person=True)) as house:
        house.modes.first_person_came(GATE_ID, 7)
        await house.settled()
        assert house.unlocked()
        house.lists.have.clear()
        await house.settled(1)
        house.lists.have[ALWAYS.id] = ALWAYS
        await house.settled(2)
        assert not house.unlocked()


async def test_a_door_whose_settings_have_no_hours_any_more_forgets_them() -> None:
    clock = ManualClock()
    journal = MemoryJournal(clock)
    doors = two_doors(unlock_schedule=ALWAYS.id)
    async with gatehouse(doors, journal=journal, clock=clock) as house:
        await house.settled(1)
        assert house.unlocked()
    async with gatehouse(journal=journal, clock=clock) as house:
        await house.settled(1)
        assert not house.unlocked()
        assert house.orders()[-1].mode is None


async def test_a_door_that_comes_back_is_told_its_mode() -> None:
    async with gatehouse() as house:
        await house.modes.set_mode(GATE_ID, DoorMode.LOCKED_OPEN, CHEN)
        house.board.relays.clear()
        house.doors.tasks[GATE_ID].post(ControllerBack())
        await house.settled()
        assert house.unlocked()
