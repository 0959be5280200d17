"""What the box knew at a tap, folded from its journal: what a whole replay seldom meets."""

from __future__ import annotations

from dataclasses import replace

from gatewayd.domain import place_rules
from gatewayd.domain.company import Pass
from gatewayd.domain.events import AccessGranted, AccessOutcome, Outcome, PersonPassed
from gatewayd.domain.model import Area, AreaId, Companion, LevelId
from gatewayd.inquiry.past import Past
from tests.clock import ManualClock
from tests.domain.world import GATE, GATE_IN, WANG
from tests.store import samples

PAIR = replace(GATE, two_person_s=20)


def test_the_use_of_the_first_of_two_counts_where_the_box_counted_it() -> None:
    past, now = Past({}, frozenset()), ManualClock().now()
    past.waits(GATE_IN, WANG, now, Pass("d1", 1))
    facts = past.situation(samples.denied(), now, GATE_IN, PAIR, None)
    assert facts.waiting == Companion(WANG.id, 0.0)
    failed = AccessOutcome(GATE_IN.id, GATE.id, 7, Outcome.FAILED, companion_used="d1")
    past.follow(failed, now)
    assert past.situation(samples.denied(), now, GATE_IN, PAIR, None).waiting is not None
    past.follow(replace(failed, outcome=Outcome.UNLOCKED), now)
    assert past.situation(samples.denied(), now, GATE_IN, PAIR, None).waiting is None


def test_a_grant_that_was_recorded_late_used_its_passes_up() -> None:
    """It has no outcome of its own."""
    past, now = Past({}, frozenset()), ManualClock().now()
    past.waits(GATE_IN, WANG, now, Pass("d1", 1))
    seen = samples.denied()
    late = AccessGranted(
        GATE_IN.id, GATE.id, GATE_IN.direction, seen.credential, WANG.id, "", LevelId("residents"),
        3.0, 1, (), recorded_late=True, companion_used="d1",
    )  # fmt: skip
    past.decided(7, late)
    assert past.situation(samples.denied(), now, GATE_IN, PAIR, None).waiting is None


def test_how_full_an_area_was_is_taken_from_what_the_rule_saw() -> None:
    yard = Area(AreaId("yard"), "Yard", maximum=5)
    past, now = Past({yard.id: yard}, frozenset()), ManualClock().now()
    door = replace(GATE, inside=yard.id)
    past.follow(PersonPassed(WANG.id, GATE.id, GATE_IN.id, 1, None, yard.id), now)
    seen = replace(samples.denied(), trace=(place_rules.ROOM.line(yard.id, 3, 5),))
    by_wang = replace(seen, person_id=WANG.id)  # who is inside, and took no second place
    elsewhere = replace(seen, trace=(place_rules.ROOM.line("garage", 3, 5),))
    found = [
        past.situation(event, now, GATE_IN, door, None).inside
        for event in (replace(seen, person_id=None), by_wang, elsewhere)
    ]
    assert found == [3, 4, 1]
