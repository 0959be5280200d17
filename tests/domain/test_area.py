"""Who is where: passages add up, beside a count by hand; forgiveness; what the decision hears."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.domain.area import (
    Places,
    Seen,
    crossed,
    elapsed_s,
    forgiven,
    moved,
    over_limit,
    under_minimum,
    whereabouts,
)
from gatewayd.domain.events import PersonPassed
from gatewayd.domain.model import Area, AreaId, Direction, PersonId, Stamp
from tests.domain.world import GATE, GATE_IN

WANG, LI = PersonId("p-17"), PersonId("p-18")
GARAGE, YARD = AreaId("garage"), AreaId("yard")


def at(second: int, boot: str = "boot-1", *, trusted: bool = True) -> Stamp:
    return Stamp(boot, second * 10**9, second * 1000, trusted)


def passed(who: PersonId, left: AreaId | None, entered: AreaId | None) -> PersonPassed:
    return PersonPassed(who, GATE.id, GATE_IN.id, 1, left, entered)


def test_nobody_is_anywhere_at_first() -> None:
    assert Places().inside(GARAGE) == 0
    assert Places().seen(WANG) is None
    assert list(Places().everyone()) == []


def test_whoever_passed_is_where_the_passage_led() -> None:
    places = moved(Places(), passed(WANG, YARD, GARAGE), at(1))
    assert places.seen(WANG) == Seen(GARAGE, at(1))
    assert (places.inside(YARD), places.inside(GARAGE)) == (0, 1)
    out = moved(places, passed(WANG, GARAGE, None), at(2))
    assert out.seen(WANG) == Seen(None, at(2))
    assert out.inside(GARAGE) == 0
    assert places.inside(GARAGE) == 1, "the places before are as they were"


def test_who_enters_twice_counts_once() -> None:
    places = moved(Places(), passed(WANG, None, GARAGE), at(1))
    assert moved(places, passed(WANG, None, GARAGE), at(2)).inside(GARAGE) == 1


def test_a_door_without_areas_changes_nobodys_place() -> None:
    places = moved(Places(), passed(WANG, None, GARAGE), at(1))
    assert moved(places, passed(WANG, None, None), at(2)) is places


@pytest.mark.parametrize(
    ("inside", "outside", "direction", "expected"),
    [
        (GARAGE, YARD, Direction.IN, (YARD, GARAGE)),
        (GARAGE, YARD, Direction.OUT, (GARAGE, YARD)),
        (GARAGE, None, Direction.OUT, (GARAGE, None)),
        (GARAGE, GARAGE, Direction.IN, (None, None)),
        (None, None, Direction.IN, (None, None)),
    ],
)
def test_a_passage_leaves_one_area_and_enters_the_other(
    inside: AreaId | None,
    outside: AreaId | None,
    direction: Direction,
    expected: tuple[AreaId | None, AreaId | None],
) -> None:
    assert crossed(replace(GATE, inside=inside, outside=outside), direction) == expected


# -------------------------------------------------------------------------------- forgiveness


def both_inside() -> Places:
    places = moved(Places(), passed(WANG, None, GARAGE), at(1))
    return moved(places, passed(LI, None, YARD), at(2))


def test_whoever_is_forgiven_is_neutral_and_counts_nowhere() -> None:
    places = forgiven(both_inside(), WANG, None, at(9))
    assert places.seen(WANG) == Seen(GARAGE, at(1), neutral=True)
    assert (places.inside(GARAGE), places.inside(YARD)) == (0, 1)
    assert forgiven(places, WANG, None, at(10)) == places


def test_the_next_passage_ends_what_was_forgiven() -> None:
    places = moved(forgiven(both_inside(), WANG, None, at(9)), passed(WANG, None, GARAGE), at(10))
    assert places.seen(WANG) == Seen(GARAGE, at(10))
    assert places.inside(GARAGE) == 1


def test_everyone_is_forgiven_at_once_or_an_area_at_a_time() -> None:
    everywhere = forgiven(both_inside(), None, None, at(9))
    assert [seen.neutral for _, seen in everywhere.everyone()] == [True, True]
    assert everywhere.counts == {}
    garage = forgiven(both_inside(), None, GARAGE, at(9))
    assert {who: seen.neutral for who, seen in garage.everyone()} == {WANG: True, LI: False}
    assert (garage.inside(GARAGE), garage.inside(YARD)) == (0, 1)
    assert forgiven(garage, None, YARD, at(9)) == everywhere


def test_someone_in_another_area_is_not_meant() -> None:
    places = both_inside()
    assert forgiven(places, WANG, YARD, at(9)) is places


def test_someone_of_whom_nothing_is_known_is_neutral_once_forgiven() -> None:
    places = forgiven(Places(), WANG, None, at(9))
    assert places.seen(WANG) == Seen(None, at(9), neutral=True)


PEOPLE = [PersonId(f"p-{n}") for n in range(5)]
SIDES = st.sampled_from([None, GARAGE, YARD])
STEPS = st.lists(
    st.tuples(st.just("pass"), st.sampled_from(PEOPLE), SIDES, SIDES)
    | st.tuples(st.just("forgive"), st.sampled_from([None, *PEOPLE]), SIDES, st.none())
)


@given(STEPS)
def test_the_counts_are_those_of_a_count_by_hand(
    steps: list[tuple[str, PersonId | None, AreaId | None, AreaId | None]],
) -> None:
    places = Places()
    by_hand: dict[PersonId, tuple[AreaId | None, bool]] = {}
    for second, (what, who, one, other) in enumerate(steps):
        if what == "pass":
            assert who is not None
            places = moved(places, passed(who, one, other), at(second))
            if (one, other) != (None, None):
                by_hand[who] = other, False
            continue
        places = forgiven(places, who, one, at(second))
        meant = list(by_hand) if who is None else [who]
        for person in meant:
            area_id, _ = by_hand.get(person, (None, False))
            if one in (None, area_id):
                by_hand[person] = area_id, True
    assert {who: (s.area_id, s.neutral) for who, s in places.everyone()} == by_hand
    for area_id in (GARAGE, YARD):
        assert places.inside(area_id) == list(by_hand.values()).count((area_id, False))


# --------------------------------------------------------------------- what the decision hears


def test_whereabouts_carry_where_since_when_and_how_long_ago() -> None:
    places = moved(Places(), passed(WANG, None, GARAGE), at(1))
    known = whereabouts(places, WANG, at(61))
    assert known is not None
    assert (known.area_id, known.since_wall_ms, known.age_s, known.neutral) == (
        GARAGE,
        1_000,
        60.0,
        False,
    )
    assert whereabouts(places, LI, at(61)) is None
    again = whereabouts(forgiven(places, WANG, None, at(9)), WANG, at(61))
    assert again is not None
    assert again.neutral


@pytest.mark.parametrize(
    ("then", "now", "elapsed"),
    [
        (at(10), replace(at(70), wall_ms=5), 60.0),  # the wall jumped: it is not asked
        (at(10), at(70, "boot-2"), 60.0),
        (at(70), at(10, "boot-2"), 0.0),
        (at(70), at(10), 0.0),
        (at(10, trusted=False), at(70, "boot-2"), None),
        (at(10), at(70, "boot-2", trusted=False), None),
    ],
)
def test_time_is_told_by_the_clock_that_does_not_jump(
    then: Stamp, now: Stamp, elapsed: float | None
) -> None:
    assert elapsed_s(then, now) == elapsed


def test_a_room_where_nobody_works_alone() -> None:
    lab = Area(AreaId("lab"), "Lab", minimum=2, maximum=3)
    assert [under_minimum(lab, inside) for inside in range(4)] == [False, True, False, False]
    assert [over_limit(lab, inside) for inside in (3, 4)] == [False, True]
    plain = Area(AreaId("yard"), "Yard")
    assert not under_minimum(plain, 1)
    assert not over_limit(plain, 10**6)
