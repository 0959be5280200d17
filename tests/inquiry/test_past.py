"""What the box knew at a tap, folded from its journal: what a whole replay seldom meets."""

from __future__ import annotations

from dataclasses import replace

from gatewayd.domain.company import Pass
from gatewayd.domain.events import AccessOutcome, Outcome
from gatewayd.domain.model import Companion
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
