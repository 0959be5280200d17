"""The decision: may this credential pass this access point now? Pure, and it explains itself.

Rules are tried in the order of `RULES`; the first that fails gives the denial its reason. Every
rule that applies leaves a line in the trace: what it saw, and whether it passed, warned or failed.
A new rule is a new row; the rules themselves are in `credential_rules` and `place_rules`.
"""

from __future__ import annotations

from collections.abc import Callable

from gatewayd.domain import credential_rules, place_rules
from gatewayd.domain.credential_rules import (
    clock_believable,
    credential_active,
    credential_known,
    permit,
    pin,
    uses_left,
    valid_from,
    valid_until,
    watch_list,
)
from gatewayd.domain.model import (
    AccessRequest,
    Decision,
    Deny,
    Grant,
    PersonId,
    PinCheck,
    RuleResult,
    RuleTrace,
    Snapshot,
)
from gatewayd.domain.place_rules import (
    access_level,
    anti_passback,
    company,
    door_mode,
    escort,
    in_schedule,
    interlock,
    occupancy,
    two_person,
    vehicle_present,
    waiting_first,
)
from gatewayd.domain.schedule import Moment
from gatewayd.domain.verdict import Case, Sentence, case_of

# The order is part of the contract: a denial names the first of these that failed. Who it is comes
# first, then what was agreed of them, then the door as it stands, and last what the site remembers:
# a guard hears first what no second try will change.
RULES: tuple[tuple[str, Callable[[Case], RuleTrace | None]], ...] = (
    ("credential_known", credential_known),
    ("watch_list", watch_list),
    ("credential_active", credential_active),
    ("clock_believable", clock_believable),
    ("valid_from", valid_from),
    ("valid_until", valid_until),
    ("uses_left", uses_left),
    ("permit", permit),
    ("door_mode", door_mode),
    ("access_level", access_level),
    ("in_schedule", in_schedule),
    ("pin", pin),
    ("anti_passback", anti_passback),
    ("occupancy", occupancy),
    ("interlock", interlock),
    ("vehicle_present", vehicle_present),
    ("escort", escort),
    ("two_person", two_person),
)
_JUDGES = tuple(judge for _, judge in RULES)
_FAIL = RuleResult.FAIL  # an enum's member is looked up slowly, and this is asked for each rule
# All that the rules can say: each has its text in every language, and its place in the reference.
SENTENCES: tuple[Sentence, ...] = tuple(
    said
    for room in (credential_rules, place_rules)
    for said in vars(room).values()
    if isinstance(said, Sentence)
)
_REASON = {(said.rule, said.saw): said.reason for said in SENTENCES if said.reason is not None}


def decide(request: AccessRequest, snapshot: Snapshot, now: Moment) -> Decision:
    """Grant, or Deny with the first failed rule's reason; both with the whole trace.

    Pure and total: same arguments, same decision, and no exception for any of them. A denial's
    `remedies` are left empty: `explain.explained` fills them in, where there is time.
    """
    case = case_of(request, snapshot, now)
    trace: list[RuleTrace] = []
    for judge in _JUDGES:
        line = judge(case)
        if line is None:
            continue
        trace.append(line)
        if line.result is _FAIL:
            return Deny(_REASON[line.rule, line.saw], snapshot.person, tuple(trace), line.facts)
    assert case.open_level is not None  # noqa: S101  # in_schedule passed
    return Grant(
        case.person,
        case.open_level.id,
        request.door.extended_s if case.person.extended_opening else request.door.unlock_s,
        tuple(trace),
        duress=under_duress(request, snapshot),
    )


def under_duress(request: AccessRequest, snapshot: Snapshot) -> bool:
    """Whether whoever shows this asks for help in silence. Also of a denial: someone may be made
    to try a door that they have no right to."""
    by_card = snapshot.record is not None and snapshot.record.duress
    return by_card or request.situation.pin is PinCheck.DURESS


def first_of_two(request: AccessRequest, snapshot: Snapshot, now: Moment) -> PersonId | None:
    """Who goes through as well on a grant of the same arguments, at a door for two."""
    if request.door.two_person_s <= 0:
        return None
    return waiting_first(case_of(request, snapshot, now))


def accompanied_by(request: AccessRequest, snapshot: Snapshot, now: Moment) -> PersonId | None:
    """Whom a grant of the same arguments counted on: the first of two people, or the escort."""
    return company(case_of(request, snapshot, now))
