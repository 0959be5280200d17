"""Who a board may let in by itself: never more than the box would, and less where it can't tell."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gatewayd.domain.fallback import fallback_card, may_fall_back
from gatewayd.domain.model import (
    AntiPassback,
    Area,
    AreaId,
    Barrier,
    Credential,
    CredentialKind,
    CredentialStatus,
    Door,
    DoorId,
    Excess,
    FallbackCard,
    PersonId,
    Snapshot,
    Verification,
)
from tests.domain.world import CARD, CLEANERS, GATE, GATE_IN, WANG, record, snapshot

TERMINALS = {GATE.id: 1, DoorId("b6"): 3}
LAB = AreaId("lab")


def test_a_resident_s_card_opens_the_doors_that_are_always_open_to_it() -> None:
    assert fallback_card(snapshot(), TERMINALS) == FallbackCard(CARD, frozenset({1, 3}))
    assert fallback_card(snapshot(), {GATE.id: 2}) == FallbackCard(CARD, frozenset({2}))


def test_its_days_go_with_it() -> None:
    bounded = snapshot(credential_record=record(valid_from_s=100, valid_until_s=200))
    assert fallback_card(bounded, {GATE.id: 1}) == FallbackCard(CARD, frozenset({1}), 100, 200)


def test_hours_are_not_the_boards_to_judge() -> None:
    assert fallback_card(snapshot(CLEANERS), TERMINALS) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"status": CredentialStatus.SUSPENDED},
        {"uses": 1},
        {"duress": True},
        {"watch": "stolen"},
        {"credential": Credential(CredentialKind.PIN, "x")},
    ],
)
def test_a_credential_that_needs_the_box_is_left_out(changes: dict[str, object]) -> None:
    assert fallback_card(snapshot(credential_record=record(**changes)), TERMINALS) is None


@pytest.mark.parametrize(
    "changes", [{"watch": "banned"}, {"needs_escort": True}, {"escorts": (PersonId("p-host"),)}]
)
def test_a_person_who_needs_the_box_is_left_out(changes: dict[str, object]) -> None:
    person = replace(WANG, **changes)  # type: ignore[arg-type]  # test sugar
    assert fallback_card(replace(snapshot(), person=person), TERMINALS) is None


def test_an_unknown_card_and_one_for_other_doors_are_left_out() -> None:
    assert fallback_card(Snapshot(7, None), TERMINALS) is None
    assert fallback_card(snapshot(), {DoorId("garage"): 1}) is None


@pytest.mark.parametrize(
    ("door", "verification", "area", "may"),
    [
        (GATE, Verification.CARD, None, True),
        (GATE, Verification.CARD_OR_PIN, None, True),
        (GATE, Verification.CARD_AND_PIN, None, False),
        (GATE, Verification.PIN, None, False),
        (replace(GATE, barrier=Barrier()), Verification.CARD, None, False),
        (GATE, Verification.CARD, Area(LAB, "Lab"), True),
        (GATE, Verification.CARD, Area(LAB, "Lab", AntiPassback.SOFT), True),
        (GATE, Verification.CARD, Area(LAB, "Lab", AntiPassback.HARD), False),
        (GATE, Verification.CARD, Area(LAB, "Lab", maximum=9), False),
        (GATE, Verification.CARD, Area(LAB, "Lab", AntiPassback.TIMED, forgive_s=60), False),
        (GATE, Verification.CARD, Area(LAB, "Lab", maximum=9, excess=Excess.WARN), False),
        (GATE, Verification.CARD, Area(LAB, "Lab", minimum=2), False),
        (GATE, Verification.CARD, Area(LAB, "Lab", minimum=2, shortfall=Excess.DENY), False),
        (replace(GATE, two_person_s=10), Verification.CARD, None, False),
    ],
)
def test_a_door_falls_back_where_a_card_alone_is_all_that_is_asked(
    door: Door, verification: Verification, area: Area | None, may: bool
) -> None:
    point = replace(GATE_IN, verification=verification)
    areas = {} if area is None else {area.id: area}
    for place in ("inside", "outside"):
        placed = replace(door, **{place: None if area is None else area.id})  # type: ignore[arg-type]  # test sugar
        assert may_fall_back(placed, [point], areas, set()) is may
    elsewhere = replace(point, door_id=DoorId("b6"), verification=Verification.PIN)
    assert may_fall_back(GATE, [elsewhere], {}, set())


def test_a_door_of_an_interlock_waits_for_the_box() -> None:
    assert not may_fall_back(GATE, [GATE_IN], {}, {DoorId("b6"), GATE.id})
    assert may_fall_back(GATE, [GATE_IN], {}, {DoorId("b6"), DoorId("b7")})
