"""Requests for tests of the rules: the same card at the same gate, in any situation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gatewayd.domain.model import (
    AccessPoint,
    AccessRequest,
    AntiPassback,
    Area,
    AreaId,
    Companion,
    Credential,
    Decision,
    Deny,
    Door,
    DoorMode,
    PersonId,
    Reason,
    RuleTrace,
    Situation,
    Snapshot,
    Whereabouts,
)
from gatewayd.domain.policy import decide
from gatewayd.domain.schedule import Moment
from tests.domain.world import CARD, GATE, GATE_IN, NOON, snapshot

GARAGE = Area(AreaId("garage"), "Garage", AntiPassback.HARD)
YARD = Area(AreaId("yard"), "Yard", AntiPassback.OFF)


def ask(
    *,
    point: AccessPoint = GATE_IN,
    door: Door = GATE,
    mode: DoorMode = DoorMode.LOCKED,
    credential: Credential = CARD,
    **situation: Any,
) -> AccessRequest:
    """A request of Wang's card, with what the box knows of the situation."""
    return AccessRequest(credential, point, door, mode, Situation(**situation))


def of_wang(held: Snapshot | None = None, **changes: Any) -> Snapshot:
    """The snapshot with Wang changed."""
    held = held or snapshot()
    assert held.person is not None
    return replace(held, person=replace(held.person, **changes))


def where(area: Area | None, age_s: float | None = 60.0, *, neutral: bool = False) -> Whereabouts:
    """In the area (None: outside), since `age_s`."""
    area_id = None if area is None else area.id
    return Whereabouts(area_id, NOON.stamp.wall_ms - 60_000, age_s, neutral)


def other(age_s: float = 1.0, *, may_escort: bool = False, who: str = "p-18") -> Companion:
    """Someone else at the door."""
    return Companion(PersonId(who), age_s, may_escort)


def outcome(
    request: AccessRequest, held: Snapshot | None = None, now: Moment = NOON
) -> Reason | None:
    """Why it is denied; None: granted."""
    decision = decide(request, held or snapshot(), now)
    return decision.reason if isinstance(decision, Deny) else None


def line(decision: Decision, rule: str) -> RuleTrace | None:
    """What the rule said; None: it did not apply."""
    return next((said for said in decision.trace if said.rule == rule), None)


def said(
    rule: str, request: AccessRequest, held: Snapshot | None = None, now: Moment = NOON
) -> str | None:
    """The code of what the rule said; None: it did not apply."""
    found = line(decide(request, held or snapshot(), now), rule)
    return None if found is None else found.saw
