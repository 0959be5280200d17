"""The mode desk: orders are kept, end in time, outlive a restart, and no door waits for another."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from gatewayd.domain.door import ContactChanged
from gatewayd.domain.events import (
    Cause,
    CauseKind,
    DoorModeChanged,
    DoorModeOrdered,
    Outcome,
)
from gatewayd.domain.interlock import Interlock, InterlockRule
from gatewayd.domain.model import DoorId, DoorMode, ModeSlot
from gatewayd.domain.ports import JournalError
from tests.clock import START_WALL_MS, ManualClock
from tests.core.gatehouse import (
    CENTRE,
    CHEN,
    GATE_ID,
    SIDE,
    Gatehouse,
    SilentBoard,
    gatehouse,
    orders_of,
)
from tests.domain.world import GATE
from tests.fakes import FakeBoard, MemoryJournal

HOUR = 3600.0
TRAP = (Interlock("trap", (GATE_ID, SIDE), InterlockRule.ONE_UNLOCKED),)


async def test_a_guards_order_frees_the_door_and_says_who_and_until_when() -> None:
    async with gatehouse() as house:
        until_ms = START_WALL_MS + 5_000
        outcome = await house.modes.set_mode(GATE_ID, DoorMode.UNLOCKED, CHEN, until_ms=until_ms)
        assert outcome is Outcome.UNLOCKED
        assert house.unlocked()
        status = house.modes.status(GATE_ID)
        assert (status.mode, status.mode_slot, status.mode_cause, status.mode_until_ms) == (
            DoorMode.UNLOCKED, ModeSlot.OPERATOR, CHEN, until_ms,
        )  # fmt: skip
        assert house.modes.all_status()[1].mode_slot is None


async def test_an_order_is_over_at_its_time_and_the_door_is_as_it_was() -> None:
    async with gatehouse() as house:
        await house.modes.set_mode(GATE_ID, DoorMode.BLOCKED, CENTRE)
        await house.modes.set_mode(GATE_ID, DoorMode.UNLOCKED, CHEN, until_ms=START_WALL_MS + 2_500)
        await house.settled(2.4)
        assert house.unlocked()
        await house.settled(0.1)
        assert not house.unlocked()
        assert house.modes.status(GATE_ID).mode is DoorMode.BLOCKED
        ended = DoorModeOrdered(
            GATE_ID, ModeSlot.OPERATOR, None, None, Cause(CauseKind.SYSTEM, "until")
        )
        assert house.orders()[-1] == ended


async def test_a_clock_that_jumps_ends_what_is_over_within_a_second() -> None:
    async with gatehouse() as house:
        until_ms = START_WALL_MS + 3_600_000
        await house.modes.set_mode(GATE_ID, DoorMode.UNLOCKED, CHEN, until_ms=until_ms)
        house.clock.jump_wall(-9 * HOUR)
        await house.settled(5)
        assert house.unlocked()
        house.clock.jump_wall(11 * HOUR)
        await house.settled(1)
        assert not house.unlocked()


async def test_by_a_clock_that_cannot_be_trusted_an_order_goes_on_until_it_can_be_judged() -> None:
    async with gatehouse() as house:
        until_ms = START_WALL_MS + 2_000
        await house.modes.set_mode(GATE_ID, DoorMode.UNLOCKED, CHEN, until_ms=until_ms)
        house.clock.wall_trusted = False
        await house.settled(60)
        assert house.unlocked()
        house.clock.wall_trusted = True
        await house.settled(1)
        assert not house.unlocked()


async def test_orders_outlive_a_restart_and_those_that_ended_meanwhile_do_not() -> None:
    clock = ManualClock()
    journal = MemoryJournal(clock)
    async with gatehouse(journal=journal, clock=clock) as house:
        await house.modes.set_mode(GATE_ID, DoorMode.LOCKED_DOWN, CHEN)
        until_ms = START_WALL_MS + 10_000
        await house.modes.set_mode(SIDE, DoorMode.UNLOCKED, CHEN, until_ms=until_ms)
    await clock.advance(5)
    async with gatehouse(journal=journal, clock=clock) as house:
        assert house.modes.status(GATE_ID).mode is DoorMode.LOCKED_DOWN
        assert house.modes.status(GATE_ID).mode_cause == CHEN
        assert house.unlocked(SIDE)
    await clock.advance(10)
    async with gatehouse(journal=journal, clock=clock) as house:
        assert not house.unlocked(SIDE)
        await house.settled()
        assert house.orders()[-1].mode is None


# ---------------------------------------------------------------- what waits for whom


async def test_what_frees_a_door_is_durable_first_and_does_not_happen_without() -> None:
    async with gatehouse() as house:
        house.journal.refuse = "disk full"
        with pytest.raises(JournalError):
            await house.modes.set_mode(GATE_ID, DoorMode.UNLOCKED, CHEN)
        assert not house.unlocked()
        assert house.modes.status(GATE_ID).mode is DoorMode.LOCKED
        house.journal.refuse = None
        house.journal.hold()
        order = asyncio.ensure_future(house.modes.set_mode(GATE_ID, DoorMode.UNLOCKED, CHEN))
        await house.settled(1)
        assert not house.unlocked()
        house.journal.release()
        assert await order is Outcome.UNLOCKED
        assert house.unlocked()


async def test_a_lockdown_locks_while_the_journal_hangs_and_is_kept_when_it_goes_on() -> None:
    async with gatehouse() as house:
        await house.modes.set_mode(GATE_ID, DoorMode.UNLOCKED, CHEN)
        house.journal.hold()
        order = asyncio.ensure_future(house.modes.set_mode(GATE_ID, DoorMode.LOCKED_DOWN, CHEN))
        await house.settled()
        assert not house.unlocked()
        assert not order.done()  # what was acknowledged is not lost
        house.journal.release()
        assert await order is Outcome.UNLOCKED
        assert house.orders()[-1].mode is DoorMode.LOCKED_DOWN


async def test_a_lockdown_that_the_journal_refuses_stands_and_follows_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gatewayd.recorder.IN_ORDER_S", 0.01)
    async with gatehouse() as house:
        house.journal.refuse = "disk full"
        outcome = await house.modes.set_mode(GATE_ID, DoorMode.LOCKED_DOWN, CHEN)
        assert outcome is Outcome.UNLOCKED
        assert house.modes.status(GATE_ID).mode is DoorMode.LOCKED_DOWN
        house.journal.refuse = None
        await house.settled(1)
        assert house.orders()[-1].mode is DoorMode.LOCKED_DOWN


async def test_an_order_that_waited_for_the_disk_does_not_undo_a_later_one() -> None:
    async with gatehouse() as house:
        house.journal.hold()
        free = asyncio.ensure_future(house.modes.set_mode(GATE_ID, DoorMode.UNLOCKED, CHEN))
        await house.settled()
        block = asyncio.ensure_future(house.modes.set_mode(GATE_ID, DoorMode.BLOCKED, CHEN))
        await house.settled()
        house.journal.release()
        assert await free is Outcome.REFUSED
        assert await block is Outcome.UNLOCKED
        assert not house.unlocked()
        assert house.modes.status(GATE_ID).mode is DoorMode.BLOCKED


async def test_an_order_that_was_overtaken_on_its_way_to_the_disk_is_not_even_journaled() -> None:
    """Else it would come true at the next start."""
    async with gatehouse() as house:
        house.journal.refuse = "disk full"
        before = asyncio.ensure_future(house.modes.set_mode(SIDE, DoorMode.BLOCKED, CHEN))
        await house.settled()
        free = asyncio.ensure_future(house.modes.set_mode(GATE_ID, DoorMode.UNLOCKED, CHEN))
        await house.settled()
        block = asyncio.ensure_future(house.modes.set_mode(GATE_ID, DoorMode.BLOCKED, CHEN))
        await house.settled()
        house.journal.refuse = None
        await house.settled(1)
        assert [await before, await free, await block] == [
            Outcome.UNLOCKED, Outcome.REFUSED, Outcome.UNLOCKED,
        ]  # fmt: skip
        assert [(e.door_id, e.mode) for e in house.orders()] == [
            (SIDE, DoorMode.BLOCKED),
            (GATE_ID, DoorMode.BLOCKED),
        ]


async def test_an_order_is_taken_back_while_it_waits_for_the_disk() -> None:
    async with gatehouse() as house:
        house.journal.hold()
        free = asyncio.ensure_future(house.modes.set_mode(GATE_ID, DoorMode.UNLOCKED, CHEN))
        await house.settled()
        back = asyncio.ensure_future(house.modes.withdraw(GATE_ID, CHEN))
        await house.settled()
        house.journal.release()
        assert [await free, await back] == [Outcome.REFUSED, Outcome.UNLOCKED]
        assert not house.unlocked()
        assert orders_of(house.journal.events)[GATE_ID] == {}


@pytest.mark.parametrize("before", [None, DoorMode.BLOCKED])
async def test_an_order_whose_giver_hangs_up_while_it_waits_for_the_disk_does_not_come_true(
    before: DoorMode | None,
) -> None:
    """Not even at the next start, although the journal may have it in the end."""
    async with gatehouse() as house:
        if before is not None:
            await house.modes.set_mode(GATE_ID, before, CHEN)
        house.journal.hold()
        task = house.modes.set_mode(GATE_ID, DoorMode.UNLOCKED, CHEN)
        order = asyncio.ensure_future(_durable(house, task))
        await house.settled()
        order.cancel()
        await house.settled()
        house.journal.release()
        await house.settled(1)
        assert DoorMode.UNLOCKED in [one.mode for one in house.orders()]
        kept = orders_of(house.journal.events)[GATE_ID]
        assert [one.mode for one in kept.values()] == ([] if before is None else [before])
        assert house.modes.governs(GATE_ID).mode is (before or DoorMode.LOCKED)
        assert not house.unlocked()


async def _durable(house: Gatehouse, order: Coroutine[Any, Any, Outcome]) -> None:
    """As the journal's own writer has it: what was handed over is written, whoever waits."""
    append = house.journal.append

    async def handed_over(*args: Any) -> int:
        return await asyncio.shield(asyncio.ensure_future(append(*args)))

    with patch.object(house.journal, "append", handed_over):
        await order


async def test_what_frees_is_journaled_after_the_lockdown_that_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gatewayd.recorder.IN_ORDER_S", 0.01)
    async with gatehouse() as house:
        await house.modes.set_mode(GATE_ID, DoorMode.UNLOCKED, CHEN)
        house.journal.refuse = "disk full"
        await house.modes.set_mode(GATE_ID, DoorMode.LOCKED_DOWN, CHEN)
        house.journal.refuse = None  # and the recorder tries again in a second
        with pytest.raises(JournalError, match="still wait for the disk"):
            await house.modes.lift(GATE_ID, CHEN)
        await house.settled(1)
        assert await house.modes.lift(GATE_ID, CHEN) is Outcome.UNLOCKED
        assert [e.mode for e in house.orders()] == [DoorMode.UNLOCKED, DoorMode.LOCKED_DOWN, None]


async def test_a_lockdown_of_64_doors_on_four_boards_waits_for_no_dead_board() -> None:
    doors = {DoorId(f"d-{n}"): replace(GATE, id=DoorId(f"d-{n}")) for n in range(64)}
    boards: list[FakeBoard] = [SilentBoard(), FakeBoard(), FakeBoard(), FakeBoard()]
    at = {door: boards[n % 4] for n, door in enumerate(doors)}
    async with gatehouse(doors, boards=at) as house:
        alive = [door for n, door in enumerate(doors) if n % 4]
        for door in alive:
            await house.doors.unlock(door, CHEN)
        orders = [
            asyncio.ensure_future(house.modes.set_mode(door, DoorMode.LOCKED_DOWN, CHEN))
            for door in doors
        ]
        await house.settled()  # no time passes at all
        for n, door in enumerate(doors):
            locked = not at[door].relays.get(n + 1, False)
            assert locked
            assert house.modes.status(door).mode is DoorMode.LOCKED_DOWN or n % 4 == 0
        assert [order.done() for order in orders].count(True) == 48
        assert {house.doors.tasks[door].state.mode for door in alive} == {DoorMode.LOCKED_DOWN}
        for order in orders:
            order.cancel()


async def test_a_door_whose_orders_giver_has_gone_follows_all_the_same() -> None:
    """The order is kept and governs; whoever gave it may have hung up."""
    async with gatehouse() as house:
        order = asyncio.ensure_future(house.modes.set_mode(GATE_ID, DoorMode.LOCKED_DOWN, CHEN))
        await asyncio.sleep(0)
        order.cancel()
        await house.settled(1)
        assert house.doors.tasks[GATE_ID].state.mode is DoorMode.LOCKED_DOWN


async def test_an_order_to_lock_is_journaled_though_its_giver_hangs_up_at_a_dead_board() -> None:
    async with gatehouse(boards={GATE_ID: SilentBoard()}) as house:
        order = asyncio.ensure_future(house.modes.set_mode(GATE_ID, DoorMode.LOCKED_DOWN, CHEN))
        await house.settled()
        order.cancel()
        await house.settled()
        assert [e.mode for e in house.orders()] == [DoorMode.LOCKED_DOWN]


# -------------------------------------------------------------------------- whose word


async def test_a_lockdown_stays_whatever_is_ordered_until_it_is_lifted() -> None:
    async with gatehouse() as house:
        await house.modes.set_mode(GATE_ID, DoorMode.LOCKED_DOWN, CENTRE)
        assert await house.modes.set_mode(GATE_ID, DoorMode.UNLOCKED, CHEN) is Outcome.REFUSED
        await house.modes.withdraw(GATE_ID, CENTRE)
        assert house.modes.status(GATE_ID).mode is DoorMode.LOCKED_DOWN
        await house.modes.set_mode(GATE_ID, DoorMode.LOCKED_DOWN, CHEN)
        assert await house.modes.lift(GATE_ID, CHEN) is Outcome.UNLOCKED
        assert house.modes.status(GATE_ID).mode is DoorMode.UNLOCKED
        assert house.unlocked()
        lifted = [order.slot for order in house.orders() if order.lifted]
        assert set(lifted) == {ModeSlot.OPERATOR, ModeSlot.CENTRE}


async def test_to_lift_or_withdraw_what_is_not_there_does_nothing() -> None:
    async with gatehouse() as house:
        assert await house.modes.lift(GATE_ID, CHEN) is Outcome.UNLOCKED
        assert await house.modes.withdraw(GATE_ID, CHEN) is Outcome.UNLOCKED
        assert house.orders() == []
        with pytest.raises(KeyError):
            await house.modes.lift(DoorId("nowhere"), CHEN)


async def test_a_guards_withdrawal_gives_the_door_back_to_the_centre() -> None:
    async with gatehouse() as house:
        await house.modes.set_mode(GATE_ID, DoorMode.BLOCKED, CENTRE)
        await house.modes.set_mode(GATE_ID, DoorMode.LOCKED, CHEN)
        assert house.modes.status(GATE_ID).mode is DoorMode.LOCKED
        await house.modes.withdraw(GATE_ID, CHEN)
        assert house.modes.status(GATE_ID).mode is DoorMode.BLOCKED
        assert [type(e) for e in house.journal.of(DoorModeChanged)] == [DoorModeChanged] * 3


async def test_what_the_centre_wants_is_its_whole_word_on_a_door() -> None:
    async with gatehouse() as house:
        await house.modes.want(GATE_ID, DoorMode.LOCKED_DOWN, CENTRE)
        assert house.modes.status(GATE_ID).mode is DoorMode.LOCKED_DOWN
        await house.modes.want(GATE_ID, DoorMode.UNLOCKED, CENTRE)
        assert house.unlocked()
        await house.modes.want(GATE_ID, DoorMode.LOCKED, CENTRE)
        assert house.modes.status(GATE_ID).mode_slot is None
        assert not house.unlocked()
        assert house.orders() == []  # desired.applied stands in the journal for all of them


async def test_a_lock_that_does_not_confirm_a_mode_is_told_as_failed() -> None:
    async with gatehouse() as house:
        house.board.broken = "board-1: no reply"
        assert await house.modes.set_mode(GATE_ID, DoorMode.LOCKED_DOWN, CHEN) is Outcome.FAILED
        assert house.modes.status(GATE_ID).mode is DoorMode.LOCKED_DOWN
        house.board.broken = None
        assert await house.modes.set_mode(GATE_ID, DoorMode.LOCKED_DOWN, CHEN) is Outcome.UNLOCKED


async def test_what_is_no_order_is_refused_at_once() -> None:
    async with gatehouse() as house:
        with pytest.raises(ValueError, match="only a passage is Accessed"):
            await house.modes.set_mode(GATE_ID, DoorMode.ACCESSED, CHEN)
        with pytest.raises(ValueError, match="ends when it is lifted"):
            await house.modes.set_mode(GATE_ID, DoorMode.LOCKED_DOWN, CHEN, until_ms=1)
        with pytest.raises(ValueError, match="a tap orders no mode"):
            await house.modes.set_mode(GATE_ID, DoorMode.LOCKED, Cause(CauseKind.TAP, "1"))
        assert house.orders() == []


async def test_an_order_in_force_cuts_no_passage_short_that_it_does_not_concern() -> None:
    async with gatehouse() as house:
        await house.modes.unlock(GATE_ID, CHEN)
        await house.modes.withdraw(GATE_ID, CHEN)
        await house.modes.want(GATE_ID, DoorMode.LOCKED, CENTRE)
        assert house.unlocked()
        assert house.modes.status(GATE_ID).mode is DoorMode.ACCESSED


# ----------------------------------------------------------------------------- interlocks


async def test_a_door_of_an_interlock_is_never_left_free() -> None:
    async with gatehouse(interlocks=TRAP) as house:
        outcome = await house.modes.set_mode(GATE_ID, DoorMode.UNLOCKED, CHEN)
        assert outcome is Outcome.INTERLOCKED
        assert house.orders() == []
        await house.modes.want(GATE_ID, DoorMode.LOCKED_OPEN, CENTRE)
        assert house.modes.status(GATE_ID).mode is DoorMode.LOCKED


async def test_of_two_doors_asked_at_once_one_opens_and_the_other_says_who_is_in_the_way() -> None:
    async with gatehouse(interlocks=TRAP) as house:
        both = await asyncio.gather(
            house.modes.unlock(GATE_ID, CHEN), house.modes.unlock(SIDE, CHEN)
        )
        assert sorted(both) == [Outcome.INTERLOCKED, Outcome.UNLOCKED]
        opened, waits = (GATE_ID, SIDE) if both[0] is Outcome.UNLOCKED else (SIDE, GATE_ID)
        assert house.modes.status(waits).blocked_by == opened
        await house.settled(GATE.unlock_s)
        assert await house.modes.unlock(waits, CHEN) is Outcome.UNLOCKED


async def test_where_one_may_be_open_the_first_that_opens_locks_the_other() -> None:
    trap = (replace(TRAP[0], rule=InterlockRule.ONE_OPEN),)
    async with gatehouse(interlocks=trap) as house:
        assert await house.modes.unlock(GATE_ID, CHEN) is Outcome.UNLOCKED
        assert await house.modes.unlock(SIDE, CHEN) is Outcome.UNLOCKED
        house.doors.tasks[SIDE].post(ContactChanged(True))
        await house.settled()
        assert not house.unlocked(GATE_ID)
        assert house.modes.status(GATE_ID).blocked_by == SIDE
        house.doors.tasks[SIDE].post(ContactChanged(False))
        await house.settled()
        assert house.modes.status(GATE_ID).blocked_by is None
