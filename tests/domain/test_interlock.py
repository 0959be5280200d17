"""Mantraps: which door keeps which one shut, by what is known of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gatewayd.domain.door import DoorState
from gatewayd.domain.interlock import Interlock, InterlockRule, blocked_by, tripped_by
from gatewayd.domain.model import Door, DoorId
from tests.domain.world import GATE

OUTER, INNER, BACK = DoorId("outer"), DoorId("inner"), DoorId("back")
SHUT = DoorState(open=False, last_seen_open=False)
ONE_OPEN = Interlock("trap", (OUTER, INNER), InterlockRule.ONE_OPEN)
ONE_UNLOCKED = Interlock("trap", (OUTER, INNER), InterlockRule.ONE_UNLOCKED)


def asked(interlock: Interlock, inner: DoorState, *, has_contact: bool = True) -> DoorId | None:
    """Whether the inner door keeps the outer one shut."""
    door = replace(GATE, has_contact=has_contact)
    doors: dict[DoorId, tuple[Door, DoorState]] = {OUTER: (door, SHUT), INNER: (door, inner)}
    return blocked_by(OUTER, [interlock], doors)


@pytest.mark.parametrize("interlock", [ONE_OPEN, ONE_UNLOCKED])
def test_an_open_door_keeps_the_other_shut(interlock: Interlock) -> None:
    assert asked(interlock, SHUT) is None
    assert asked(interlock, replace(SHUT, open=True, last_seen_open=True)) == INNER


def test_an_unlocked_door_keeps_the_other_shut_only_where_one_may_be_unlocked() -> None:
    unlocked = replace(SHUT, unlocked=True)
    assert asked(ONE_UNLOCKED, unlocked) == INNER
    assert asked(ONE_OPEN, unlocked) is None


def test_a_lock_that_did_not_confirm_counts_as_unlocked() -> None:
    assert asked(ONE_UNLOCKED, replace(SHUT, failed=True)) == INNER


def test_a_door_that_was_never_seen_counts_as_open_and_one_seen_last_as_it_was() -> None:
    assert asked(ONE_OPEN, DoorState()) == INNER
    assert asked(ONE_OPEN, replace(SHUT, open=None)) is None
    assert asked(ONE_OPEN, DoorState(open=None, last_seen_open=True)) == INNER


def test_a_door_without_a_contact_is_judged_by_its_lock_alone() -> None:
    assert asked(ONE_UNLOCKED, DoorState(), has_contact=False) is None
    assert asked(ONE_UNLOCKED, DoorState(unlocked=True), has_contact=False) == INNER


def test_a_door_in_two_interlocks_heeds_both_and_others_none() -> None:
    second = Interlock("vault", (OUTER, BACK), InterlockRule.ONE_OPEN)
    doors = {OUTER: (GATE, SHUT), INNER: (GATE, SHUT), BACK: (GATE, DoorState())}
    assert blocked_by(OUTER, [ONE_OPEN, second], doors) == BACK
    assert blocked_by(INNER, [ONE_OPEN, second], doors) is None
    assert blocked_by(DoorId("elsewhere"), [ONE_OPEN, second], doors) is None
    assert tripped_by(OUTER, [ONE_OPEN, second]) == {INNER, BACK}
    assert tripped_by(INNER, [ONE_OPEN, second]) == {OUTER}
