"""Who wins over whom, when an order is over, and the orders again from the journal's events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.domain.door import FREE_MODES
from gatewayd.domain.events import (
    Cause,
    CauseKind,
    DesiredApplied,
    DoorClosed,
    DoorModeOrdered,
    Event,
    FireDetected,
    FireReset,
)
from gatewayd.domain.model import DeviceId, DoorId, DoorMode, ModeSlot
from gatewayd.domain.modes import (
    PRECEDENCE,
    SLOT_OF,
    Effective,
    ModeOrder,
    OrderKey,
    Orders,
    apply,
    changed,
    effective,
    key_of,
    lockdowns,
    next_deadline_ms,
    over,
    replaced,
    slot_of,
)

GATE, SIDE = DoorId("main-gate"), DoorId("side-gate")
GUARD = Cause(CauseKind.OPERATOR, "chen", "moving house")
CENTRE = Cause(CauseKind.CENTRE, "desired 4")
HOURS = Cause(CauseKind.SCHEDULE, "office")
FIRE = Cause(CauseKind.FIRE, "board input 8")
NOW = 1_000


def orders(*given_: tuple[DoorMode, Cause] | tuple[DoorMode, Cause, int]) -> Orders:
    """Each in the slot of its cause."""
    found: Orders = {}
    for mode, cause, *until in given_:
        order = ModeOrder(mode, cause, *until)
        found = changed(found, key_of(slot_of(cause), mode), order)
    return found


def mode(of: Orders, now_ms: int = NOW, *, trusted: bool = True) -> DoorMode:
    return effective(of, now_ms, trusted).mode


def test_a_door_without_orders_is_locked_by_nobody() -> None:
    assert effective({}, NOW, True) == Effective(
        DoorMode.LOCKED, None, Cause(CauseKind.SYSTEM), None
    )


def test_the_guard_wins_over_the_centre_and_the_centre_over_the_hours() -> None:
    hours = orders((DoorMode.UNLOCKED, HOURS))
    centre = {**hours, **orders((DoorMode.BLOCKED, CENTRE))}
    guard = {**centre, **orders((DoorMode.LOCKED, GUARD))}
    assert [mode(each) for each in (hours, centre, guard)] == [
        DoorMode.UNLOCKED,
        DoorMode.BLOCKED,
        DoorMode.LOCKED,
    ]
    assert effective(guard, NOW, True) == Effective(DoorMode.LOCKED, ModeSlot.OPERATOR, GUARD, None)


def test_a_lockdown_in_any_slot_wins_over_every_other_order() -> None:
    free = orders((DoorMode.LOCKED_OPEN, GUARD), (DoorMode.UNLOCKED, HOURS))
    for cause in (GUARD, CENTRE, Cause(CauseKind.LINKAGE, "intruder")):
        assert mode({**free, **orders((DoorMode.LOCKED_DOWN, cause))}) is DoorMode.LOCKED_DOWN


def test_a_fire_wins_over_every_lockdown() -> None:
    both = orders((DoorMode.LOCKED_DOWN, GUARD), (DoorMode.LOCKED_OPEN, FIRE))
    assert effective(both, NOW, True).slot is ModeSlot.FIRE
    assert mode(both) is DoorMode.LOCKED_OPEN


def test_a_lockdown_lies_over_its_slots_order_which_comes_back_when_it_is_lifted() -> None:
    both = orders((DoorMode.BLOCKED, GUARD), (DoorMode.LOCKED_DOWN, GUARD))
    assert mode(both) is DoorMode.LOCKED_DOWN
    [key] = lockdowns(both)
    assert mode(changed(both, key, None)) is DoorMode.BLOCKED


def test_the_centres_whole_word_replaces_its_lockdown_and_nobody_elses() -> None:
    down = orders((DoorMode.LOCKED_DOWN, CENTRE), (DoorMode.LOCKED_DOWN, GUARD))
    after = replaced(down, ModeSlot.CENTRE, ModeOrder(DoorMode.UNLOCKED, CENTRE))
    assert mode(after) is DoorMode.LOCKED_DOWN
    assert lockdowns(after) == (OrderKey(ModeSlot.OPERATOR, lockdown=True),)


def test_an_order_is_over_at_its_last_millisecond() -> None:
    until = orders((DoorMode.UNLOCKED, GUARD, NOW))
    assert mode(until, NOW - 1) is DoorMode.UNLOCKED
    assert mode(until, NOW) is DoorMode.LOCKED
    assert over(until, NOW, True) == (OrderKey(ModeSlot.OPERATOR),)
    assert over(until, NOW - 1, True) == ()


def test_by_a_clock_that_is_not_trusted_nothing_is_over_but_hours_count_for_nothing() -> None:
    """A guard's order stays; a schedule's may not keep a door free through an unknown night."""
    guard, hours = orders((DoorMode.UNLOCKED, GUARD, 1)), orders((DoorMode.UNLOCKED, HOURS, 9_999))
    assert mode(guard, trusted=False) is DoorMode.UNLOCKED
    assert mode(hours, trusted=False) is DoorMode.LOCKED
    assert over(hours, NOW, False) == (OrderKey(ModeSlot.SCHEDULE),)
    always = orders((DoorMode.UNLOCKED, HOURS))
    assert mode(always, trusted=False) is DoorMode.UNLOCKED


def test_the_next_deadline_is_the_first_end() -> None:
    assert next_deadline_ms({}) is None
    assert next_deadline_ms(orders((DoorMode.BLOCKED, CENTRE))) is None
    both = orders((DoorMode.BLOCKED, CENTRE, 7), (DoorMode.UNLOCKED, GUARD, 5))
    assert next_deadline_ms(both) == 5


def test_a_door_of_an_interlock_is_left_free_by_a_fire_alone() -> None:
    free = orders((DoorMode.UNLOCKED, GUARD), (DoorMode.BLOCKED, CENTRE))
    assert effective(free, NOW, True, interlocked=True).mode is DoorMode.BLOCKED
    fire = {**free, **orders((DoorMode.LOCKED_OPEN, FIRE))}
    assert effective(fire, NOW, True, interlocked=True).mode is DoorMode.LOCKED_OPEN


def test_only_some_causes_order_modes() -> None:
    assert set(SLOT_OF.values()) == set(ModeSlot)
    with pytest.raises(ValueError, match="a tap orders no mode"):
        slot_of(Cause(CauseKind.TAP, "17"))


def fold(*events: Event) -> dict[DoorId, Orders]:
    found: dict[DoorId, Orders] = {}
    for event in events:
        found = apply(found, event)
    return found


def test_the_journal_gives_the_orders_back() -> None:
    blocked = DoorModeOrdered(GATE, ModeSlot.OPERATOR, DoorMode.BLOCKED, 5, GUARD)
    down = DoorModeOrdered(GATE, ModeSlot.OPERATOR, DoorMode.LOCKED_DOWN, None, GUARD)
    both = fold(blocked, down, DoorClosed(GATE))[GATE]
    assert both == orders((DoorMode.BLOCKED, GUARD, 5), (DoorMode.LOCKED_DOWN, GUARD))
    lifted = DoorModeOrdered(GATE, ModeSlot.OPERATOR, None, None, GUARD, lifted=True)
    assert fold(blocked, down, lifted)[GATE] == orders((DoorMode.BLOCKED, GUARD, 5))
    gone = DoorModeOrdered(GATE, ModeSlot.OPERATOR, None, None, GUARD)
    assert fold(blocked, down, gone)[GATE] == orders((DoorMode.LOCKED_DOWN, GUARD))


def test_a_wanted_state_is_the_centres_orders_and_locked_is_none() -> None:
    wanted = DesiredApplied(4, "centre", ((GATE, DoorMode.LOCKED_DOWN), (SIDE, DoorMode.BLOCKED)))
    assert fold(wanted) == {
        GATE: orders((DoorMode.LOCKED_DOWN, CENTRE)),
        SIDE: orders((DoorMode.BLOCKED, CENTRE)),
    }
    assert fold(wanted, DesiredApplied(5, "centre", ((GATE, DoorMode.LOCKED),)))[GATE] == {}


def test_a_fire_frees_its_doors_until_it_is_reset() -> None:
    fire = FireDetected(DeviceId("board"), 8, (GATE, SIDE))
    assert {mode(each) for each in fold(fire).values()} == {DoorMode.LOCKED_OPEN}
    assert fold(fire)[GATE][OrderKey(ModeSlot.FIRE)].cause == FIRE
    assert fold(fire, FireReset(GUARD)) == {GATE: {}, SIDE: {}}


any_order = st.builds(
    ModeOrder, st.sampled_from(DoorMode), st.just(GUARD), st.none() | st.integers(0, 10)
)


@given(
    given_=st.dictionaries(st.sampled_from(PRECEDENCE), any_order),
    now_ms=st.integers(0, 10),
    trusted=st.booleans(),
    interlocked=st.booleans(),
)
def test_what_governs_is_the_first_of_the_table_that_counts(
    given_: dict[OrderKey, ModeOrder], now_ms: int, trusted: bool, interlocked: bool
) -> None:
    """Beside a slow model: the orders that are over, or free an interlocked door, thrown out."""
    ended = set(over(given_, now_ms, trusted))
    left = {key: order for key, order in given_.items() if key not in ended}
    if interlocked:
        left = {
            k: o for k, o in left.items() if o.mode not in FREE_MODES or k.slot is ModeSlot.FIRE
        }
    governs = effective(given_, now_ms, trusted, interlocked=interlocked)
    if not left:
        assert (governs.mode, governs.slot) == (DoorMode.LOCKED, None)
        return
    first = min(left, key=PRECEDENCE.index)
    assert (governs.mode, governs.slot) == (left[first].mode, first.slot)
    if governs.mode is not DoorMode.LOCKED_OPEN:
        assert OrderKey(ModeSlot.FIRE) not in left or left[first] is left[OrderKey(ModeSlot.FIRE)]
