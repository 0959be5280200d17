"""A mantrap: one door at a time."""

from __future__ import annotations

import pytest

from gatewayd.domain.interlock import Interlock, InterlockRule, blocked_by
from gatewayd.domain.model import DoorId, DoorMode
from gatewayd.domain.ports import DoorStatus

OUTER, INNER, SIDE = DoorId("outer"), DoorId("inner"), DoorId("side")
SHUT = (False, False, DoorMode.LOCKED, True)
SETS = (Interlock("trap", (OUTER, INNER)),)
STRICT = (Interlock("trap", (OUTER, INNER), InterlockRule.ONE_UNLOCKED),)


def status(
    door_id: DoorId, open_: bool | None, unlocked: bool, mode: DoorMode, online: bool
) -> DoorStatus:
    return DoorStatus(door_id, "secure", mode, unlocked, open_, online)


@pytest.mark.parametrize(
    ("inner", "open_blocks", "unlocked_blocks"),
    [
        (SHUT, False, False),
        ((True, False, DoorMode.LOCKED, True), True, True),
        ((False, True, DoorMode.LOCKED, True), True, True),  # someone is about to open it
        ((False, True, DoorMode.UNLOCKED, True), False, True),
        ((False, True, DoorMode.LOCKED_OPEN, True), False, True),
        ((True, True, DoorMode.UNLOCKED, True), True, True),
        ((None, False, DoorMode.LOCKED, True), False, False),  # no contact
        ((None, True, DoorMode.LOCKED, True), True, True),
        ((None, False, DoorMode.LOCKED, False), True, True),  # can't be seen
    ],
)
def test_what_the_other_door_does_stands_in_the_way(
    inner: tuple[bool | None, bool, DoorMode, bool], open_blocks: bool, unlocked_blocks: bool
) -> None:
    states = {OUTER: status(OUTER, *SHUT), INNER: status(INNER, *inner)}
    assert blocked_by(OUTER, SETS, states) == (INNER if open_blocks else None)
    assert blocked_by(OUTER, STRICT, states) == (INNER if unlocked_blocks else None)


def test_a_door_never_stands_in_its_own_way_nor_one_of_no_set() -> None:
    open_ = (True, True, DoorMode.LOCKED, True)
    states = {OUTER: status(OUTER, *open_), INNER: status(INNER, *SHUT), SIDE: status(SIDE, *open_)}
    assert blocked_by(OUTER, SETS, states) is None
    assert blocked_by(SIDE, SETS, states) is None
    assert blocked_by(INNER, SETS, states) == OUTER


def test_a_door_of_two_sets_asks_both() -> None:
    sets = (*SETS, Interlock("lane", (INNER, SIDE)))
    states = {one: status(one, *SHUT) for one in (OUTER, INNER, SIDE)}
    states[SIDE] = status(SIDE, True, False, DoorMode.LOCKED, True)
    assert blocked_by(INNER, sets, states) == SIDE
    assert blocked_by(OUTER, sets, states) is None
