"""What a rule may look at, and in what words it answers. Owns both; knows no rule.

A rule is a function of a `Case`. It answers with one of its sentences, or with None where it does
not apply. A sentence is a code with blanks; its texts are the keys `trace.<rule>.<saw>` in
gatewayd/console/static/i18n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from gatewayd.domain.model import (
    AccessLevel,
    AccessPoint,
    AccessRequest,
    Credential,
    CredentialKind,
    CredentialRecord,
    Door,
    Person,
    PersonId,
    Reason,
    RuleResult,
    RuleTrace,
    Schedule,
    Situation,
    Snapshot,
)
from gatewayd.domain.schedule import Moment, is_always, is_open


@dataclass(frozen=True, slots=True)
class Sentence:
    """One thing that a rule can say. `reason`: the rule failed; `warns`: it passed, but someone
    should know.

    `line(*values)` is the line of the trace with the blanks filled, in their order. It raises
    TypeError unless there is one value for each blank.
    """

    rule: str
    saw: str
    blanks: tuple[str, ...] = ()
    reason: Reason | None = None
    warns: bool = False
    line: Callable[..., RuleTrace] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "line", _line_of(self))

    @property
    def result(self) -> RuleResult:
        if self.reason is not None:
            return RuleResult.FAIL
        return RuleResult.WARN if self.warns else RuleResult.PASS


def _line_of(sentence: Sentence) -> Callable[..., RuleTrace]:
    """One function for each number of blanks: a line is made in half the time of a general one,
    and a decision makes many."""
    rule, saw, result = sentence.rule, sentence.saw, sentence.result
    match sentence.blanks:
        case ():
            line = RuleTrace(rule, saw, result)
            return lambda: line
        case (a,):
            return lambda x: RuleTrace(rule, saw, result, ((a, str(x)),))
        case (a, b):
            return lambda x, y: RuleTrace(rule, saw, result, ((a, str(x)), (b, str(y))))
        case (a, b, c):
            return lambda x, y, z: RuleTrace(
                rule, saw, result, ((a, str(x)), (b, str(y)), (c, str(z)))
            )
        case _:
            raise ValueError(f"{rule}.{saw} has more than three blanks")


class Case(NamedTuple):
    """All that a rule may look at; made by `case_of`. A tuple, because it is made for each decision
    and a frozen dataclass takes three times as long.

    `record` and `person` are a nobody's where the list has none: `credential_known` is the first
    rule, and no other sees them. `levels` are those of the person that have this door, `open_level`
    the first of them that is open now. `local` is the wall's time at the site, where there is a
    level to ask for its hours; None also for a clock that can't be trusted.
    """

    request: AccessRequest
    snapshot: Snapshot
    record: CredentialRecord
    person: Person
    door: Door
    point: AccessPoint
    situation: Situation
    wall_s: int
    wall_trusted: bool
    levels: list[AccessLevel]
    open_level: AccessLevel | None
    local: datetime | None


_NOBODY = Person(PersonId(""), "")
_NOTHING = CredentialRecord(Credential(CredentialKind.CARD, ""), _NOBODY.id)


def case_of(request: AccessRequest, snapshot: Snapshot, now: Moment) -> Case:
    """The case, with what several rules ask of levels and hours found out once."""
    door, trusted = request.door, now.stamp.wall_trusted
    door_id = door.id
    levels = [level for level in snapshot.levels if door_id in level.door_ids]
    local = now.local if levels and trusted else None
    return Case(
        request,
        snapshot,
        snapshot.record or _NOTHING,
        snapshot.person or _NOBODY,
        door,
        request.access_point,
        request.situation,
        now.wall_s,
        trusted,
        levels,
        first_open(levels, snapshot, local),
        local,
    )


def first_open(
    levels: Iterable[AccessLevel], snapshot: Snapshot, local: datetime | None
) -> AccessLevel | None:
    """The first level whose schedule is open; one whose schedule is missing never is."""
    for level in levels:
        schedule = snapshot.schedules.get(level.schedule_id)
        if schedule is not None and open_at(schedule, snapshot, local):
            return level
    return None


def open_at(schedule: Schedule, snapshot: Snapshot, local: datetime | None) -> bool:
    """Whether the schedule is open; without a clock (None) only one that always is."""
    return is_always(schedule) if local is None else is_open(schedule, snapshot.calendars, local)
