"""Who came before: escorts and the first of two, at one door and in one direction."""

from __future__ import annotations

from dataclasses import replace

from gatewayd.domain.company import MAX_KEPT, Company, Pass, admitted, waits
from gatewayd.domain.model import NS_PER_S, Companion, Direction, PersonId
from tests.domain.world import GATE, WANG

IN, OUT = (GATE.id, Direction.IN), (GATE.id, Direction.OUT)
VISITOR = replace(WANG, id=PersonId("p-2"), needs_escort=True)
GUARD = replace(WANG, id=PersonId("p-1"), may_escort=True)


def test_at_first_nobody_came() -> None:
    assert Company().companion(IN, 5, VISITOR) is None
    assert Company().waiting(IN, 5, {}) is None


def test_an_escort_is_remembered_with_the_time_since() -> None:
    company = admitted(Company(), IN, GUARD, 10 * NS_PER_S)
    found = company.companion(IN, 12 * NS_PER_S, VISITOR)
    assert found == Companion(GUARD.id, 2.0, may_escort=True)
    assert company.companion(OUT, 12 * NS_PER_S, VISITOR) is None
    assert company.companion(IN, 12 * NS_PER_S, WANG) is None, "who needs none is told of none"
    assert company.companion(IN, 12 * NS_PER_S, None) is None


def test_a_visitors_host_is_found_behind_others_who_came_after() -> None:
    company = admitted(admitted(Company(), IN, WANG, 0), IN, GUARD, NS_PER_S)
    hosted = replace(VISITOR, escorts=(WANG.id,))
    assert company.companion(IN, 2 * NS_PER_S, hosted) == Companion(WANG.id, 2.0)
    elsewhere = replace(VISITOR, escorts=(PersonId("p-404"),))
    assert company.companion(IN, 2 * NS_PER_S, elsewhere) is None


def test_of_several_escorts_the_last_one_counts() -> None:
    other = replace(GUARD, id=PersonId("p-5"))
    company = admitted(admitted(Company(), IN, GUARD, 0), IN, other, 5 * NS_PER_S)
    found = company.companion(IN, 6 * NS_PER_S, VISITOR)
    assert found == Companion(other.id, 1.0, may_escort=True)


def test_what_is_kept_of_a_busy_gate_has_a_limit() -> None:
    company = Company()
    for number in range(MAX_KEPT + 5):
        company = admitted(company, IN, replace(WANG, id=PersonId(f"p-{number}")), number)
    kept = [who.person_id for who in company.before[IN]]
    assert kept == [f"p-{number}" for number in range(5, MAX_KEPT + 5)]
    pair = admitted(waits(company, IN, GUARD, 999), IN, WANG, 1_000)
    assert [who.person_id for who in pair.before[IN]] == [*kept[2:], GUARD.id, WANG.id]


def test_the_escorted_do_not_take_the_escorts_place() -> None:
    company = admitted(admitted(Company(), IN, GUARD, 0), IN, WANG, NS_PER_S)
    found = company.companion(IN, 2 * NS_PER_S, VISITOR)
    assert found == Companion(GUARD.id, 2.0, may_escort=True)


def test_the_first_of_two_waits_until_the_second_is_admitted() -> None:
    company = waits(Company(), IN, WANG, 0)
    assert company.waiting(IN, NS_PER_S, {}) == Companion(WANG.id, 1.0)
    assert company.waiting(OUT, NS_PER_S, {}) is None
    pair = admitted(company, IN, GUARD, NS_PER_S)
    assert pair.waiting(IN, NS_PER_S, {}) is None
    assert company.waiting(IN, NS_PER_S, {}) is not None, "the company before is as it was"


def test_whoever_comes_next_waits_instead() -> None:
    company = waits(waits(Company(), IN, WANG, 0), IN, GUARD, NS_PER_S)
    assert company.waiting(IN, NS_PER_S, {}) == Companion(GUARD.id, 0.0, may_escort=True)


def test_an_escort_who_waited_first_escorts_once_both_are_admitted() -> None:
    company = admitted(waits(Company(), IN, GUARD, 0), IN, WANG, 3 * NS_PER_S)
    found = company.companion(IN, 4 * NS_PER_S, VISITOR)
    assert found == Companion(GUARD.id, 1.0, may_escort=True)
    nobody = admitted(waits(Company(), IN, WANG, 0), IN, WANG, 3 * NS_PER_S)
    assert nobody.companion(IN, 4 * NS_PER_S, VISITOR) is None


def test_a_pass_that_was_used_up_meanwhile_leads_nobody_in() -> None:
    company = waits(Company(), IN, WANG, 0, Pass("d1", 2))
    assert company.waiting(IN, 0, {"d1": 1}) == Companion(WANG.id, 0.0)
    assert company.waiting(IN, 0, {"d1": 2}) is None


def test_the_pass_of_whoever_waits_there_is_known_for_as_long_as_they_wait() -> None:
    company = waits(Company(), IN, WANG, 0, Pass("d1", 1))
    found = [company.pass_of(*of) for of in ((IN, WANG.id), (OUT, WANG.id), (IN, GUARD.id))]
    assert found == ["d1", "", ""]
    assert admitted(company, IN, GUARD, 0).pass_of(IN, WANG.id) == ""
    assert waits(Company(), IN, WANG, 0).pass_of(IN, WANG.id) == ""
