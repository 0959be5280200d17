"""Where and when: areas with anti-passback and limits, interlock, vehicles, escorts, two people."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.domain.model import (
    AccessRequest,
    AntiPassback,
    Area,
    AreaId,
    Companion,
    Deny,
    DoorId,
    Excess,
    Grant,
    PersonId,
    Reason,
    RuleResult,
    Whereabouts,
)
from gatewayd.domain.policy import accompanied_by, decide
from tests.domain.situations import (
    GARAGE,
    YARD,
    ask,
    line,
    of_wang,
    other,
    outcome,
    said,
    where,
)
from tests.domain.world import GATE, GATE_IN, NOON, WANG, snapshot

SOFT = replace(GARAGE, anti_passback=AntiPassback.SOFT)
TIMED = replace(GARAGE, anti_passback=AntiPassback.TIMED, forgive_s=600.0)
STRICT = replace(GARAGE, admit_unknown=False)


# ------------------------------------------------------------------------------- anti-passback


def test_who_is_in_a_hard_area_does_not_enter_it_again() -> None:
    decision = decide(ask(entering=GARAGE, whereabouts=where(GARAGE)), snapshot(), NOON)
    assert isinstance(decision, Deny)
    assert decision.reason is Reason.ANTI_PASSBACK
    assert decision.detail == (("area", "garage"), ("since_s", str(NOON.wall_s - 60)))


def test_who_is_not_in_a_hard_area_does_not_leave_it() -> None:
    assert outcome(ask(leaving=GARAGE, whereabouts=where(None))) is Reason.ANTI_PASSBACK
    assert outcome(ask(leaving=GARAGE, whereabouts=where(YARD))) is Reason.ANTI_PASSBACK
    assert said("anti_passback", ask(leaving=GARAGE, whereabouts=where(YARD))) == "elsewhere"


@pytest.mark.parametrize(
    ("request_", "saw"),
    [
        (ask(entering=GARAGE, whereabouts=where(None)), "in_order"),
        (ask(entering=GARAGE, whereabouts=where(YARD)), "in_order"),
        (ask(leaving=GARAGE, whereabouts=where(GARAGE)), "in_order"),
        (ask(entering=GARAGE, leaving=YARD, whereabouts=where(YARD)), "in_order"),
        (ask(entering=YARD, leaving=GARAGE, whereabouts=where(GARAGE)), "in_order"),
        (ask(entering=YARD, whereabouts=where(YARD)), None),
        (ask(whereabouts=where(YARD)), None),
    ],
)
def test_a_passage_in_order_passes(request_: AccessRequest, saw: str | None) -> None:
    assert outcome(request_) is None
    assert said("anti_passback", request_) == saw


def test_a_soft_area_lets_pass_and_warns() -> None:
    again = ask(entering=SOFT, whereabouts=where(SOFT))
    decision = decide(again, snapshot(), NOON)
    assert isinstance(decision, Grant)
    warned = line(decision, "anti_passback")
    assert warned is not None
    assert (warned.saw, warned.result) == ("inside_soft", RuleResult.WARN)
    assert said("anti_passback", ask(leaving=SOFT, whereabouts=where(None))) == "elsewhere_soft"


@pytest.mark.parametrize(
    ("age_s", "admit_unknown", "saw"),
    [
        (599.9, True, "inside"),
        (600.0, True, "inside_long"),
        (None, True, "inside_long"),
        (None, False, "inside"),
    ],
)
def test_a_timed_area_denies_for_its_time_only(
    age_s: float | None, admit_unknown: bool, saw: str
) -> None:
    area = replace(TIMED, admit_unknown=admit_unknown)
    request = ask(entering=area, whereabouts=where(area, age_s))
    assert said("anti_passback", request) == saw
    assert (outcome(request) is None) is (saw == "inside_long")


def test_a_timed_area_is_left_from_elsewhere_after_its_time() -> None:
    request = ask(leaving=TIMED, whereabouts=where(None, 601.0))
    assert said("anti_passback", request) == "elsewhere_long"


def test_whoever_was_forgiven_passes_wherever_they_were() -> None:
    for request in (
        ask(entering=STRICT, whereabouts=where(STRICT, neutral=True)),
        ask(leaving=STRICT, whereabouts=where(None, neutral=True)),
    ):
        assert outcome(request) is None
        assert said("anti_passback", request) == "neutral"


@pytest.mark.parametrize(
    ("area", "reason", "saw"),
    [
        (GARAGE, None, "unknown_admitted"),
        (STRICT, Reason.WHEREABOUTS_UNKNOWN, "unknown"),
        (replace(TIMED, admit_unknown=False), Reason.WHEREABOUTS_UNKNOWN, "unknown"),
        (replace(SOFT, admit_unknown=False), None, "unknown_soft"),
        (replace(YARD, admit_unknown=False), None, None),
    ],
)
def test_who_is_nobody_knows_where_is_for_the_area_to_say(
    area: Area, reason: Reason | None, saw: str | None
) -> None:
    for request in (ask(entering=area), ask(leaving=area)):
        assert outcome(request) is reason
        assert said("anti_passback", request) == saw


def test_of_two_areas_the_stricter_one_counts() -> None:
    lobby = Area(AreaId("lobby"), "Lobby", AntiPassback.SOFT)
    nowhere = where(None)
    assert outcome(ask(entering=lobby, leaving=GARAGE, whereabouts=nowhere)) is Reason.ANTI_PASSBACK
    again = where(GARAGE)
    denied = ask(entering=GARAGE, leaving=lobby, whereabouts=again)
    assert said("anti_passback", denied) == "inside"
    warned = ask(entering=lobby, leaving=GARAGE, whereabouts=where(lobby))
    assert said("anti_passback", warned) == "elsewhere"
    softly = ask(entering=GARAGE, leaving=lobby, whereabouts=nowhere)
    assert said("anti_passback", softly) == "elsewhere_soft"


MODES = st.sampled_from(AntiPassback)
AREAS = st.builds(
    Area,
    st.sampled_from([AreaId("a"), AreaId("b")]),
    st.just("A"),
    MODES,
    st.sampled_from([0.0, 60.0]),
    admit_unknown=st.booleans(),
)
PLACES = st.builds(
    Whereabouts,
    st.sampled_from([None, AreaId("a"), AreaId("b"), AreaId("c")]),
    st.just(1_000),
    st.none() | st.sampled_from([0.0, 59.9, 60.0]),
    st.booleans(),
)


@given(st.none() | AREAS, st.none() | AREAS, st.none() | PLACES)
def test_anti_passback_agrees_with_a_slow_obvious_statement(
    entering: Area | None, leaving: Area | None, known: Whereabouts | None
) -> None:
    def denies(area: Area, wrong: bool) -> bool:
        if area.anti_passback in {AntiPassback.OFF, AntiPassback.SOFT}:
            return False
        if known is None:
            return not area.admit_unknown
        if known.neutral or not wrong:
            return False
        if area.anti_passback is AntiPassback.HARD:
            return True
        return not area.admit_unknown if known.age_s is None else known.age_s < area.forgive_s

    at = None if known is None else known.area_id
    expected = (entering is not None and denies(entering, at == entering.id)) or (
        leaving is not None and denies(leaving, at != leaving.id)
    )
    request = ask(entering=entering, leaving=leaving, whereabouts=known)
    reasons = {Reason.ANTI_PASSBACK, Reason.WHEREABOUTS_UNKNOWN}
    assert (outcome(request) in reasons) is expected


# ----------------------------------------------------------------------------------- occupancy

FULL_AT_3 = replace(YARD, maximum=3)


@pytest.mark.parametrize(
    ("inside", "reason"), [(2, None), (3, Reason.AREA_FULL), (7, Reason.AREA_FULL)]
)
def test_a_full_area_admits_nobody(inside: int, reason: Reason | None) -> None:
    assert outcome(ask(entering=FULL_AT_3, inside=inside)) is reason
    assert outcome(ask(leaving=FULL_AT_3, inside=inside)) is None


def test_an_area_may_only_warn_that_it_is_full() -> None:
    area = replace(FULL_AT_3, excess=Excess.WARN)
    decision = decide(ask(entering=area, inside=3), snapshot(), NOON)
    assert isinstance(decision, Grant)
    warned = line(decision, "occupancy")
    assert warned is not None
    assert warned.result is RuleResult.WARN
    assert warned.facts == (("area", "yard"), ("inside", "3"), ("maximum", "3"))


def test_an_area_without_a_limit_says_nothing() -> None:
    assert said("occupancy", ask(entering=YARD, inside=999)) is None


def test_who_is_counted_inside_already_takes_no_second_place() -> None:
    again = ask(entering=FULL_AT_3, inside=3, whereabouts=where(FULL_AT_3))
    assert outcome(again) is None
    forgiven = ask(entering=FULL_AT_3, inside=3, whereabouts=where(FULL_AT_3, neutral=True))
    assert outcome(forgiven) is Reason.AREA_FULL


def test_two_who_come_together_take_two_places() -> None:
    pair_door = replace(GATE, two_person_s=10.0)
    request = ask(door=pair_door, entering=FULL_AT_3, inside=2, waiting=other())
    assert outcome(request) is Reason.AREA_FULL
    assert outcome(replace(request, situation=replace(request.situation, inside=1))) is None


LAB = replace(YARD, minimum=2, shortfall=Excess.DENY)


def test_nobody_is_the_only_one_where_several_must_be() -> None:
    decision = decide(ask(entering=LAB, inside=0), snapshot(), NOON)
    assert isinstance(decision, Deny)
    assert decision.reason is Reason.AREA_TOO_FEW
    assert decision.detail == (("area", "yard"), ("inside", "0"), ("minimum", "2"))
    assert outcome(ask(entering=LAB, inside=1)) is None
    assert outcome(ask(entering=LAB, inside=1, whereabouts=where(LAB))) is Reason.AREA_TOO_FEW
    assert outcome(ask(leaving=LAB, inside=0)) is None, "nobody is kept from going out"


def test_an_area_may_only_warn_of_whoever_is_alone_there() -> None:
    area = replace(LAB, shortfall=Excess.WARN)
    warned = line(decide(ask(entering=area, inside=0), snapshot(), NOON), "occupancy")
    assert warned is not None
    assert (warned.saw, warned.result) == ("few_warned", RuleResult.WARN)
    assert said("occupancy", ask(entering=area, inside=1)) == "enough"


def test_a_door_for_two_is_the_way_into_an_empty_area_with_a_minimum() -> None:
    pair_door = replace(GATE, two_person_s=10.0)
    first = ask(door=pair_door, entering=LAB, inside=0)
    assert outcome(first) is Reason.SECOND_PERSON_REQUIRED, "so that the second one can come"
    assert outcome(replace(first, situation=replace(first.situation, waiting=other()))) is None
    three = replace(first.situation, entering=replace(LAB, minimum=3), waiting=other())
    assert outcome(replace(first, situation=three)) is Reason.AREA_TOO_FEW


@pytest.mark.parametrize(("inside", "saw"), [(0, "too_few"), (1, "room"), (2, "room"), (3, "full")])
def test_of_two_limits_the_one_that_is_the_matter_speaks(inside: int, saw: str) -> None:
    assert said("occupancy", ask(entering=replace(LAB, maximum=3), inside=inside)) == saw


# ---------------------------------------------------------------------- interlock and vehicles


def test_another_door_of_the_interlock_stands_in_the_way() -> None:
    decision = decide(ask(blocked_by=DoorId("inner")), snapshot(), NOON)
    assert isinstance(decision, Deny)
    assert decision.reason is Reason.INTERLOCKED
    assert decision.detail == (("other_door", "inner"),)


@pytest.mark.parametrize(
    ("lane", "vehicle", "reason"),
    [
        (True, False, Reason.NO_VEHICLE),
        (True, True, None),
        (True, None, None),
        (False, False, None),
    ],
)
def test_a_barrier_opens_for_vehicles(
    lane: bool, vehicle: bool | None, reason: Reason | None
) -> None:
    assert outcome(ask(point=replace(GATE_IN, vehicle=lane), vehicle=vehicle)) is reason


# ------------------------------------------------------------------------------------- company

VISITOR = of_wang(needs_escort=True)


@pytest.mark.parametrize(
    ("companion", "saw"),
    [
        (None, "alone"),
        (other(may_escort=True), "escorted"),
        (other(30.0, may_escort=True), "escorted"),
        (other(30.1, may_escort=True), "late"),
        (other(), "alone"),
        (other(may_escort=True, who=WANG.id), "alone"),
    ],
)
def test_a_visitor_passes_only_after_an_escort(companion: Companion | None, saw: str) -> None:
    request = ask(companion=companion)
    assert said("escort", request, VISITOR) == saw
    assert outcome(request, VISITOR) is (None if saw == "escorted" else Reason.ESCORT_REQUIRED)
    assert said("escort", request) is None


HOSTED = of_wang(escorts=(PersonId("p-20"), PersonId("p-21")))


@pytest.mark.parametrize(
    ("companion", "saw"),
    [
        (None, "without_own"),
        (other(who="p-20"), "escorted"),
        (other(who="p-21"), "escorted"),
        (other(30.1, who="p-21"), "late"),
        (other(may_escort=True), "without_own"),
        (other(may_escort=True, who=WANG.id), "without_own"),
    ],
)
def test_a_visitor_of_someone_follows_them_only(companion: Companion | None, saw: str) -> None:
    request = ask(companion=companion)
    assert said("escort", request, HOSTED) == saw
    assert outcome(request, HOSTED) is (None if saw == "escorted" else Reason.ESCORT_REQUIRED)


def test_a_visitors_own_escort_may_wait_as_the_first_of_two() -> None:
    host = ask(door=PAIR_DOOR, waiting=other(who="p-20"))
    assert said("escort", host, HOSTED) == "escorted"
    guard = ask(door=PAIR_DOOR, waiting=other(may_escort=True))
    assert outcome(guard, HOSTED) is Reason.ESCORT_REQUIRED


def test_a_grant_names_the_escort_it_counted_on() -> None:
    request = ask(companion=other(who="p-20"))
    assert accompanied_by(request, HOSTED, NOON) == "p-20"
    assert accompanied_by(request, snapshot(), NOON) is None


PAIR_DOOR = replace(GATE, two_person_s=10.0)


@pytest.mark.parametrize(
    ("waiting", "saw"),
    [
        (None, "first"),
        (other(10.0), "second"),
        (other(10.1), "first"),
        (other(who=WANG.id), "first"),
    ],
)
def test_a_door_for_two_opens_for_the_second(waiting: Companion | None, saw: str) -> None:
    request = ask(door=PAIR_DOOR, waiting=waiting)
    assert said("two_person", request) == saw
    assert outcome(request) is (None if saw == "second" else Reason.SECOND_PERSON_REQUIRED)


def test_elsewhere_one_is_enough_and_nobody_counts_as_waiting() -> None:
    assert said("two_person", ask(waiting=other())) is None
    assert outcome(ask(waiting=other(may_escort=True)), VISITOR) is Reason.ESCORT_REQUIRED


def test_an_escort_who_waits_as_the_first_of_two_escorts_the_second() -> None:
    assert outcome(ask(door=PAIR_DOOR, waiting=other(may_escort=True)), VISITOR) is None
    assert outcome(ask(door=PAIR_DOOR, waiting=other()), VISITOR) is Reason.ESCORT_REQUIRED
