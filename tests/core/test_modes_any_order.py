"""The running mode desk in every order of things, with a disk that hangs and refuses."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.domain.events import (
    Cause,
    CauseKind,
)
from gatewayd.domain.model import DoorMode
from gatewayd.domain.modes import effective
from gatewayd.domain.ports import JournalError
from tests.core.gatehouse import (
    CENTRE,
    CHEN,
    GATE_ID,
    Gatehouse,
    gatehouse,
    orders_of,
)

some_cause = st.sampled_from([CHEN, CENTRE, Cause(CauseKind.LINKAGE, "intruder")])
any_move = st.one_of(
    st.tuples(
        st.just("mode"),
        st.sampled_from([mode for mode in DoorMode if mode is not DoorMode.ACCESSED]),
        some_cause,
    ),
    st.tuples(st.sampled_from(["withdraw", "lift"]), st.none(), some_cause),
    st.tuples(
        st.sampled_from(["hold", "release", "refuse", "take", "fire", "well", "reset", "pass"]),
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


@settings(max_examples=150, deadline=None)
@given(moves=st.lists(any_move, max_size=14))
async def test_in_any_order_the_door_is_in_the_end_as_the_journal_says(
    moves: list[tuple[str, DoorMode | None, Cause]],
) -> None:
    """Orders that wait for a disk that hangs or refuses, beside a fire and its reset: what is kept
    for the next start is what governs now, and a fire never waits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gatewayd.recorder.IN_ORDER_S", 0.001)
        async with gatehouse() as house:
            given_ = []
            for what, mode, cause in moves:
                given_.append(asyncio.ensure_future(order(house, what, mode, cause)))
                await house.settled()
                assert house.unlocked() or not house.fire.on
            house.journal.refuse = None
            house.journal.release()
            await house.settled(2)
            await asyncio.gather(*given_)
            await house.settled(2)
            kept = orders_of(house.journal.events).get(GATE_ID, {})
            governs = effective(kept, house.clock.now().wall_ms, True)
            assert house.doors.tasks[GATE_ID].state.mode is governs.mode
            assert house.modes.governs(GATE_ID) == governs
