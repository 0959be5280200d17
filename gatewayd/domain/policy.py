"""The decision: may this credential pass this access point now? Pure, and it explains itself.

Rules are tried in the order of `RULES`; the first that fails gives the denial its reason. Every
rule tried leaves a line in the trace: what it saw, pass or fail. A new rule is a new row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import assert_never

from gatewayd.domain.model import (
    AccessLevel,
    AccessRequest,
    CredentialRecord,
    CredentialStatus,
    Decision,
    Deny,
    DoorMode,
    Grant,
    Reason,
    RuleResult,
    RuleTrace,
    Snapshot,
)
from gatewayd.domain.schedule import Moment, is_always, is_open


@dataclass(frozen=True, slots=True)
class Passed:
    saw: str


@dataclass(frozen=True, slots=True)
class Failed:
    saw: str
    reason: Reason
    detail: tuple[tuple[str, str], ...] = ()


Verdict = Passed | Failed


@dataclass(frozen=True, slots=True)
class Case:
    """All that a rule may look at."""

    request: AccessRequest
    snapshot: Snapshot
    now: Moment

    @property
    def record(self) -> CredentialRecord:
        """The credential's record; `credential_known` is the first rule, so later ones have it."""
        assert self.snapshot.record is not None  # noqa: S101  # states the order of RULES
        return self.snapshot.record


_STATUS_REASON = {
    CredentialStatus.SUSPENDED: Reason.CREDENTIAL_SUSPENDED,
    CredentialStatus.LOST: Reason.CREDENTIAL_LOST,
    CredentialStatus.REVOKED: Reason.CREDENTIAL_REVOKED,
}


def _utc(seconds: int) -> str:
    """ISO 8601 in UTC, or the number itself where no calendar reaches that far."""
    try:
        return datetime.fromtimestamp(seconds, tz=UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s after 1970"


def credential_known(case: Case) -> Verdict:
    if case.snapshot.record is None or case.snapshot.person is None:
        seen = f"no such {case.request.credential.kind} in revision {case.snapshot.revision}"
        return Failed(seen, Reason.CREDENTIAL_UNKNOWN)
    return Passed(f"{case.request.credential.kind} of {case.snapshot.person.id}")


def credential_active(case: Case) -> Verdict:
    reason = _STATUS_REASON.get(case.record.status)
    return Passed("active") if reason is None else Failed(case.record.status.value, reason)


def clock_believable(case: Case) -> Verdict:
    """Where validity is bounded a clock is needed; a box that lost its time must not guess."""
    record = case.record
    if case.now.stamp.wall_trusted:
        return Passed("clock trusted")
    if record.valid_from_s is None and record.valid_until_s is None:
        return Passed("clock not trusted, validity unbounded")
    return Failed("clock not trusted, validity bounded", Reason.CLOCK_UNTRUSTED)


def valid_from(case: Case) -> Verdict:
    start = case.record.valid_from_s
    if start is None:
        return Passed("no beginning")
    saw = f"valid from {_utc(start)}"
    if case.now.wall_s < start:
        return Failed(saw, Reason.NOT_YET_VALID, (("valid_from_s", str(start)),))
    return Passed(saw)


def valid_until(case: Case) -> Verdict:
    end = case.record.valid_until_s
    if end is None:
        return Passed("no end")
    saw = f"valid until {_utc(end)}"
    if case.now.wall_s >= end:
        return Failed(saw, Reason.EXPIRED, (("valid_until_s", str(end)),))
    return Passed(saw)


def door_mode(case: Case) -> Verdict:
    mode = case.request.door_mode
    match mode:
        case DoorMode.LOCKED_DOWN:
            return Failed(mode.value, Reason.DOOR_LOCKED_DOWN)
        case DoorMode.BLOCKED:
            return Failed(mode.value, Reason.DOOR_BLOCKED)
        case DoorMode.LOCKED | DoorMode.UNLOCKED | DoorMode.ACCESSED | DoorMode.LOCKED_OPEN:
            return Passed(mode.value)
        case _ as never:
            assert_never(never)


def _levels_here(case: Case) -> list[AccessLevel]:
    door_id = case.request.door.id
    return [level for level in case.snapshot.levels if door_id in level.door_ids]


def access_level(case: Case) -> Verdict:
    here = _levels_here(case)
    if not here:
        held = ", ".join(level.id for level in case.snapshot.levels) or "none"
        return Failed(
            f"levels held: {held}; none has {case.request.door.id}", Reason.NO_ACCESS_LEVEL
        )
    return Passed(", ".join(level.id for level in here))


def _open_now(case: Case, level: AccessLevel) -> bool:
    schedule = case.snapshot.schedules.get(level.schedule_id)
    if schedule is None:
        return False
    if is_always(schedule):
        return True
    return case.now.stamp.wall_trusted and is_open(
        schedule, case.snapshot.calendars, case.now.local
    )


def in_schedule(case: Case) -> Verdict:
    """One level that is open now is enough; `decide` names it in the grant."""
    here = _levels_here(case)
    open_levels = [level.id for level in here if _open_now(case, level)]
    if open_levels:
        return Passed(f"open now: {', '.join(open_levels)}")
    if not case.now.stamp.wall_trusted:
        return Failed("clock not trusted, schedule bounded", Reason.CLOCK_UNTRUSTED)
    names = ", ".join(level.schedule_id for level in here)
    at = case.now.local.isoformat()
    return Failed(f"closed at {at}: {names}", Reason.OUTSIDE_SCHEDULE, (("schedules", names),))


# The order is part of the contract: a denial names the first of these that failed.
RULES: tuple[tuple[str, Callable[[Case], Verdict]], ...] = (
    ("credential_known", credential_known),
    ("credential_active", credential_active),
    ("clock_believable", clock_believable),
    ("valid_from", valid_from),
    ("valid_until", valid_until),
    ("door_mode", door_mode),
    ("access_level", access_level),
    ("in_schedule", in_schedule),
)


def decide(request: AccessRequest, snapshot: Snapshot, now: Moment) -> Decision:
    """Grant, or Deny with the first failed rule's reason; both with the whole trace.

    Pure and total: same arguments, same decision, and no exception for any of them.
    """
    case = Case(request, snapshot, now)
    trace: list[RuleTrace] = []
    for name, rule in RULES:
        verdict = rule(case)
        if isinstance(verdict, Failed):
            trace.append(RuleTrace(name, verdict.saw, RuleResult.FAIL))
            return Deny(verdict.reason, snapshot.person, tuple(trace), verdict.detail)
        trace.append(RuleTrace(name, verdict.saw, RuleResult.PASS))
    assert snapshot.person is not None  # noqa: S101  # credential_known passed
    level = next(level for level in _levels_here(case) if _open_now(case, level))
    return Grant(snapshot.person, level.id, request.door.unlock_s, tuple(trace))
