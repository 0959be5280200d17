"""What a rule may look at, and in what words it answers. Owns both; knows no rule.

A rule is a function of a `Case`. It answers with one of its sentences, or with None where it does
not apply. A sentence is a code with blanks; its texts are the keys `trace.<rule>.<saw>` in
gatewayd/console/static/i18n.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from gatewayd.domain.model import (
    AccessLevel,
    AccessRequest,
    CredentialRecord,
    Person,
    Reason,
    RuleResult,
    RuleTrace,
    Schedule,
    Snapshot,
)
from gatewayd.domain.schedule import Moment, is_always, is_open

# Verdicts that each sentence keeps: making one anew takes longer than the rule that wanted it.
# All areas, doors and levels fit, and the dates that many residents share.
KEPT = 2_048


@dataclass(frozen=True, slots=True)
class Verdict:
    """A line for the trace; with a `reason` it is a denial."""

    line: RuleTrace
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Sentence:
    """One thing that a rule can say. `reason`: the rule failed; `warns`: it passed, but someone
    should know. `verdict(*values)` fills the blanks, in their order."""

    rule: str
    saw: str
    blanks: tuple[str, ...] = ()
    reason: Reason | None = None
    warns: bool = False
    verdict: Callable[..., Verdict] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "verdict", lru_cache(KEPT)(self._verdict))

    @property
    def result(self) -> RuleResult:
        if self.reason is not None:
            return RuleResult.FAIL
        return RuleResult.WARN if self.warns else RuleResult.PASS

    def _verdict(self, *values: object) -> Verdict:
        """Raises ValueError unless there is one value for each blank."""
        facts = tuple(zip(self.blanks, map(str, values), strict=True))
        return Verdict(RuleTrace(self.rule, self.saw, self.result, facts), self.reason)


@dataclass(frozen=True, slots=True)
class Case:
    """All that a rule may look at; made by `case_of`.

    `levels` are those of the person that have this door, `open_level` the first of them that is
    open now.
    """

    request: AccessRequest
    snapshot: Snapshot
    now: Moment
    levels: tuple[AccessLevel, ...]
    open_level: AccessLevel | None

    @property
    def record(self) -> CredentialRecord:
        """The credential's record; `credential_known` is the first rule, so later ones have it."""
        assert self.snapshot.record is not None  # noqa: S101  # states the order of RULES
        return self.snapshot.record

    @property
    def person(self) -> Person:
        """The credential's holder, as `record`."""
        assert self.snapshot.person is not None  # noqa: S101  # states the order of RULES
        return self.snapshot.person


def case_of(request: AccessRequest, snapshot: Snapshot, now: Moment) -> Case:
    """The case, with what several rules ask of the levels found out once."""
    door_id = request.door.id
    levels = tuple([level for level in snapshot.levels if door_id in level.door_ids])
    return Case(request, snapshot, now, levels, first_open(levels, snapshot, now))


def first_open(
    levels: tuple[AccessLevel, ...], snapshot: Snapshot, now: Moment
) -> AccessLevel | None:
    """The first level whose schedule is open; one whose schedule is missing never is.

    Without a clock to be trusted, only a schedule that is always open counts.
    """
    for level in levels:
        schedule = snapshot.schedules.get(level.schedule_id)
        if schedule is not None and open_now(schedule, snapshot, now):
            return level
    return None


def open_now(schedule: Schedule, snapshot: Snapshot, now: Moment) -> bool:
    """Whether the schedule is open, as far as the clock can tell."""
    if not now.stamp.wall_trusted:
        return is_always(schedule)
    return is_open(schedule, snapshot.calendars, now.local)
