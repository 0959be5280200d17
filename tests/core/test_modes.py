"""The mode desk: orders are kept, end in time, outlive a restart, and no door waits for another."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.domain.door import ContactChanged
from gatewayd.domain.events import (
    Cause,
    CauseKind,
    DesiredApplied,
    DoorModeChanged,
    DoorModeOrdered,
    Outcome,
)
from gatewayd.domain.interlock import Interlock, InterlockRule
from gatewayd.domain.model import DoorId, DoorMode, ModeSlot
from gatewayd.domain.modes import effective
from gatewayd.domain.ports import JournalError
from tests.clock import START_WALL_MS, ManualClock
from tests.core.gatehouse import (
    CENTRE,
    CHEN,
    GATE_ID,
    SIDE,
    Gatehouse,
    SilentBoard,
    SlowBoard,
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


async def test_the_status_shows_a_lockdown_while_the_lock_has_still_to_follow() -> None:
    clock = ManualClock()
    async with gatehouse(clock=clock, board=SlowBoard(clock, answers_s=1.5)) as house:
        await house.settled(5)
        passing = asyncio.ensure_future(house.modes.unlock(GATE_ID, CHEN))
        await house.settled(0.1)
        assert house.modes.status(GATE_ID).mode is DoorMode.ACCESSED
        down = asyncio.ensure_future(house.modes.set_mode(GATE_ID, DoorMode.LOCKED_DOWN, CHEN))
        await house.settled(0.5)
        status = house.modes.status(GATE_ID)
        assert (status.mode, status.mode_slot) == (DoorMode.LOCKED_DOWN, ModeSlot.OPERATOR)
        assert status.unlocked  # still, and it is not hidden
        await house.settled(5)
        assert [await passing, await down] == [Outcome.UNLOCKED, Outcome.UNLOCKED]
        assert not house.modes.status(GATE_ID).unlocked


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


async def test_a_lockdown_at_a_silent_board_outlives_a_restart_before_the_board_has_answered() -> (
    None
):
    clock = ManualClock()
    journal = MemoryJournal(clock)
    async with gatehouse(clock=clock, journal=journal, boards={GATE_ID: SilentBoard()}) as house:
        order = asyncio.ensure_future(house.modes.set_mode(GATE_ID, DoorMode.LOCKED_DOWN, CHEN))
        await house.settled()
        assert not order.done()
        order.cancel()
    async with gatehouse(clock=clock, journal=journal) as house:
        assert house.modes.status(GATE_ID).mode is DoorMode.LOCKED_DOWN


async def test_orders_closer_together_than_the_boards_answer_stand_as_they_were_given() -> None:
    clock = ManualClock()
    journal = MemoryJournal(clock)
    board = SlowBoard(clock, answers_s=0.3)
    async with gatehouse(clock=clock, journal=journal, board=board) as house:
        await house.settled(2)
        block = asyncio.ensure_future(house.modes.set_mode(GATE_ID, DoorMode.BLOCKED, CHEN))
        await house.settled(0.1)
        free = asyncio.ensure_future(house.modes.set_mode(GATE_ID, DoorMode.UNLOCKED, CHEN))
        await house.settled(2)
        assert [await block, await free] == [Outcome.REFUSED, Outcome.UNLOCKED]
        assert house.modes.governs(GATE_ID).mode is DoorMode.UNLOCKED
        assert [order.mode for order in house.orders()] == [DoorMode.BLOCKED, DoorMode.UNLOCKED]
    async with gatehouse(clock=clock, journal=journal) as house:
        assert house.modes.governs(GATE_ID).mode is DoorMode.UNLOCKED


async def test_what_the_journal_has_in_hand_is_in_force_though_its_giver_has_gone() -> None:
    async with gatehouse() as house:
        house.journal.hold()
        order = asyncio.ensure_future(house.modes.set_mode(GATE_ID, DoorMode.UNLOCKED, CHEN))
        await house.settled()
        order.cancel()
        await house.settled()
        house.journal.release()
        await house.settled(1)
        assert house.modes.orders(GATE_ID) == orders_of(house.journal.events)[GATE_ID]
        assert house.unlocked()


async def test_what_only_waits_for_its_turn_is_dropped_when_its_giver_goes() -> None:
    async with gatehouse() as house:
        house.journal.hold()
        block = asyncio.ensure_future(house.modes.set_mode(GATE_ID, DoorMode.BLOCKED, CENTRE))
        await house.settled()
        order = asyncio.ensure_future(house.modes.set_mode(GATE_ID, DoorMode.UNLOCKED, CHEN))
        want = asyncio.ensure_future(house.want(DoorMode.UNLOCKED))
        await house.settled()
        order.cancel()
        want.cancel()
        await house.settled()
        house.journal.release()
        assert await block is Outcome.UNLOCKED
        await house.settled(2)
        assert [order.mode for order in house.orders()] == [DoorMode.BLOCKED]
        assert house.journal.of(DesiredApplied) == []
        assert house.modes.governs(GATE_ID).mode is DoorMode.BLOCKED


async def test_a_wanted_state_that_waits_for_the_disk_stands_where_the_journal_has_it() -> None:
    async with gatehouse() as house:
        house.journal.hold()
        want = asyncio.ensure_future(house.want(DoorMode.UNLOCKED))
        await house.settled()
        down = asyncio.ensure_future(house.modes.set_mode(GATE_ID, DoorMode.LOCKED_DOWN, CENTRE))
        await house.settled()
        house.journal.release()
        await want
        await down
        assert house.modes.governs(GATE_ID).mode is DoorMode.LOCKED_DOWN
        assert house.modes.orders(GATE_ID) == orders_of(house.journal.events)[GATE_ID]


async def test_what_lies_over_an_order_on_its_way_to_the_disk_is_withdrawn_durably_too() -> None:
    async with gatehouse() as house:
        await house.modes.set_mode(GATE_ID, DoorMode.BLOCKED, CHEN)
        house.journal.hold()
        want = asyncio.ensure_future(house.want(DoorMode.UNLOCKED))
        await house.settled()
        withdrawn = asyncio.ensure_future(house.modes.withdraw(GATE_ID, CHEN))
        await house.settled()
        assert house.modes.governs(GATE_ID).mode is DoorMode.BLOCKED
        house.journal.release()
        await want
        await withdrawn
        assert house.unlocked()


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
        await house.want(DoorMode.LOCKED_DOWN)
        assert house.modes.status(GATE_ID).mode is DoorMode.LOCKED_DOWN
        await house.want(DoorMode.UNLOCKED)
        assert house.unlocked()
        await house.want(DoorMode.LOCKED)
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
        await house.want(DoorMode.LOCKED)
        assert house.unlocked()
        assert house.modes.status(GATE_ID).mode is DoorMode.ACCESSED


# ----------------------------------------------------------------------------- interlocks


async def test_a_door_of_an_interlock_is_never_left_free() -> None:
    async with gatehouse(interlocks=TRAP) as house:
        outcome = await house.modes.set_mode(GATE_ID, DoorMode.UNLOCKED, CHEN)
        assert outcome is Outcome.INTERLOCKED
        assert house.orders() == []
        await house.want(DoorMode.LOCKED_OPEN)
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


# --------------------------------------------------------------------------- the door's hours

# The clock starts on a Wednesday at 19:06:40 in Shanghai; WORKDAYS go on at 08:00 on Thursday.
TO_MORNING = 12 * HOUR + 53 * 60 + 20


# ------------------------------------------------------------------------- any order of things

some_cause = st.sampled_from([CHEN, CENTRE, Cause(CauseKind.LINKAGE, "intruder")])
any_move = st.one_of(
    st.tuples(
        st.just("mode"),
        st.sampled_from([mode for mode in DoorMode if mode is not DoorMode.ACCESSED]),
        some_cause,
    ),
    st.tuples(
        st.just("want"),
        st.sampled_from([mode for mode in DoorMode if mode is not DoorMode.ACCESSED]),
        st.just(CENTRE),
    ),
    st.tuples(st.sampled_from(["withdraw", "lift"]), st.none(), some_cause),
    st.tuples(
        st.sampled_from(
            ["hold", "release", "refuse", "take", "fire", "well", "reset", "pass", "leave"]
        ),
        st.none(),
        st.just(CHEN),
    ),
)


async def order(house: Gatehouse, what: str, mode: DoorMode | None, cause: Cause) -> None:
    with suppress(JournalError):
        match what:
            case "mode":
                assert mode is not None
                await house.modes.set_mode(GATE_ID, mode, cause)
            case "want":
                assert mode is not None
                await house.want(mode)
            case "withdraw":
                await house.modes.withdraw(GATE_ID, cause)
            case "lift":
                await house.modes.lift(GATE_ID, cause)
            case "reset":
                await house.fire.reset(cause)
            case _:
                move(house, what)


def move(house: Gatehouse, what: str) -> None:
    match what:
        case "hold":
            house.journal.hold()
        case "release":
            house.journal.release()
        case "refuse" | "take":
            house.journal.refuse = "disk full" if what == "refuse" else None
        case "fire" | "well":
            house.panel(what == "well")


@settings(max_examples=250, deadline=None)
@given(
    moves=st.lists(any_move, max_size=14),
    answers_s=st.sampled_from([0, 0.1, 0.3]),
    between_s=st.sampled_from([0, 0.05, 0.2]),
)
async def test_in_any_order_the_door_is_in_the_end_as_the_journal_says(
    moves: list[tuple[str, DoorMode | None, Cause]], answers_s: float, between_s: float
) -> None:
    """Orders that wait for a disk that hangs or refuses and for a board that answers late, from
    givers that go away, beside a fire and its reset: what is kept for the next start is what is in
    force now, and a fire never waits for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gatewayd.recorder.IN_ORDER_S", 0.001)
        clock = ManualClock()
        board = SlowBoard(clock, answers_s)
        async with gatehouse(clock=clock, board=board) as house:
            await house.settled(2)
            given_: list[asyncio.Task[None]] = []
            for what, mode, cause in moves:
                if what == "leave" and given_:
                    given_[-1].cancel()
                else:
                    given_.append(asyncio.create_task(order(house, what, mode, cause)))
                await house.settled(between_s)
                assert answers_s or house.unlocked() or not house.fire.on
            house.journal.refuse = None
            house.journal.release()
            await house.settled(8)
            await asyncio.gather(*given_, return_exceptions=True)
            assert all(each.cancelled() or each.exception() is None for each in given_)
            await house.settled(8)
            kept = orders_of(house.journal.events).get(GATE_ID, {})
            governs = effective(kept, house.clock.now().wall_ms, True)
            assert house.doors.tasks[GATE_ID].state.mode is governs.mode
            assert house.modes.governs(GATE_ID) == governs
            assert house.modes.orders(GATE_ID) == kept
