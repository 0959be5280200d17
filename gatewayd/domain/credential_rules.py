"""Rules about who comes and with what: the credential, its holder, and what was typed with it.

Owns the rules one by one; their order is `gatewayd.domain.policy.RULES`.
"""

from __future__ import annotations

from gatewayd.domain.model import (
    CredentialKind,
    CredentialStatus,
    PinCheck,
    Reason,
    RuleTrace,
    Verification,
)
from gatewayd.domain.verdict import Case, Sentence, open_at

# ------------------------------------------------------------------------ who, and with what

KNOWN = Sentence("credential_known", "known", ("kind",))
UNKNOWN = Sentence("credential_known", "unknown", ("kind", "revision"), Reason.CREDENTIAL_UNKNOWN)
_KNOWN_BY = {kind: KNOWN.line(kind) for kind in CredentialKind}


def credential_known(case: Case) -> RuleTrace:
    """A credential without its person is as good as unknown."""
    kind = case.request.credential.kind
    if case.snapshot.record is None or case.snapshot.person is None:
        return UNKNOWN.line(kind, case.snapshot.revision)
    return _KNOWN_BY[kind]


NOT_WATCHED = Sentence("watch_list", "clear")
PERSON_WATCHED = Sentence("watch_list", "person", (), Reason.ON_WATCH_LIST)
CREDENTIAL_WATCHED = Sentence("watch_list", "credential", (), Reason.ON_WATCH_LIST)


def watch_list(case: Case) -> RuleTrace:
    """Before all that could deny for a lesser reason. Why someone is on it is not journaled: the
    text is the centre's own and may hold a name."""
    if case.person.watch:
        return PERSON_WATCHED.line()
    if case.record.watch:
        return CREDENTIAL_WATCHED.line()
    return NOT_WATCHED.line()


ACTIVE = Sentence("credential_active", "active")
SUSPENDED = Sentence("credential_active", "suspended", (), Reason.CREDENTIAL_SUSPENDED)
LOST = Sentence("credential_active", "lost", (), Reason.CREDENTIAL_LOST)
REVOKED = Sentence("credential_active", "revoked", (), Reason.CREDENTIAL_REVOKED)
_OF_STATUS = {
    CredentialStatus.ACTIVE: ACTIVE,
    CredentialStatus.SUSPENDED: SUSPENDED,
    CredentialStatus.LOST: LOST,
    CredentialStatus.REVOKED: REVOKED,
}


def credential_active(case: Case) -> RuleTrace:
    return _OF_STATUS[case.record.status].line()


# ------------------------------------------------------------------------------------- dates

CLOCK_TRUSTED = Sentence("clock_believable", "trusted")
CLOCK_NOT_NEEDED = Sentence("clock_believable", "not_needed")
CLOCK_UNTRUSTED = Sentence("clock_believable", "untrusted", (), Reason.CLOCK_UNTRUSTED)


def clock_believable(case: Case) -> RuleTrace:
    """Where a date counts a clock is needed; a box that lost its time must not guess."""
    if case.wall_trusted:
        return CLOCK_TRUSTED.line()
    dates = (case.record.valid_from_s, case.record.valid_until_s, _permit_until_s(case))
    if all(date is None for date in dates):
        return CLOCK_NOT_NEEDED.line()
    return CLOCK_UNTRUSTED.line()


BEGUN = Sentence("valid_from", "begun", ("valid_from_s",))
NOT_BEGUN = Sentence("valid_from", "not_begun", ("valid_from_s",), Reason.NOT_YET_VALID)


def valid_from(case: Case) -> RuleTrace | None:
    start_s = case.record.valid_from_s
    if start_s is None:
        return None
    return (NOT_BEGUN if case.wall_s < start_s else BEGUN).line(start_s)


NOT_ENDED = Sentence("valid_until", "not_ended", ("valid_until_s",))
ENDED = Sentence("valid_until", "ended", ("valid_until_s",), Reason.EXPIRED)


def valid_until(case: Case) -> RuleTrace | None:
    end_s = case.record.valid_until_s
    if end_s is None:
        return None
    return (ENDED if case.wall_s >= end_s else NOT_ENDED).line(end_s)


USES_LEFT = Sentence("uses_left", "left", ("used", "uses"))
USED_UP = Sentence("uses_left", "used_up", ("used", "uses"), Reason.NO_USES_LEFT)


def uses_left(case: Case) -> RuleTrace | None:
    uses, used = case.record.uses, case.situation.used
    if uses is None:
        return None
    return (USED_UP if used >= uses else USES_LEFT).line(used, uses)


PERMIT_PAID = Sentence("permit", "paid", ("permit_until_s",))
PERMIT_ENDED = Sentence("permit", "ended", ("permit_until_s",), Reason.PERMIT_EXPIRED)


def _permit_until_s(case: Case) -> int | None:
    """When the permit ends, where one counts: at a vehicle's lane, unless the loop says that who
    stands there is on foot."""
    if not case.point.vehicle or case.situation.vehicle is False:
        return None
    return case.record.permit_until_s


def permit(case: Case) -> RuleTrace | None:
    end_s = _permit_until_s(case)
    if end_s is None:
        return None
    return (PERMIT_ENDED if case.wall_s >= end_s else PERMIT_PAID).line(end_s)


# --------------------------------------------------------------------------------------- PIN

CODE_ENOUGH = Sentence("pin", "code")
CARD_ENOUGH = Sentence("pin", "card_enough", ("schedule",))
PIN_RIGHT = Sentence("pin", "right")
PIN_DURESS = Sentence("pin", "duress", warns=True)
CARD_MISSING = Sentence("pin", "card_missing", (), Reason.CARD_MISSING)
PIN_MISSING = Sentence("pin", "missing", (), Reason.PIN_MISSING)
PIN_WRONG = Sentence("pin", "wrong", (), Reason.PIN_WRONG)
PIN_NOT_SET = Sentence("pin", "not_set", (), Reason.PIN_MISSING)
PIN_LOCKED_OUT = Sentence("pin", "locked_out", (), Reason.PIN_LOCKED_OUT)
_OF_CODE_ALONE = {
    Verification.CARD: CARD_MISSING,
    Verification.PIN: CODE_ENOUGH,
    Verification.CARD_OR_PIN: CODE_ENOUGH,
    Verification.CARD_AND_PIN: CARD_MISSING,
}
_OF_CHECK = {
    PinCheck.NOT_TYPED: PIN_MISSING,
    PinCheck.RIGHT: PIN_RIGHT,
    PinCheck.WRONG: PIN_WRONG,
    PinCheck.DURESS: PIN_DURESS,
    PinCheck.LOCKED_OUT: PIN_LOCKED_OUT,
}
_WANTS_PIN = frozenset({Verification.PIN, Verification.CARD_AND_PIN})


def pin(case: Case) -> RuleTrace | None:
    """What the access point asks for. A code alone is no card, and a card alone is no code."""
    verification = case.point.verification
    if case.request.credential.kind is CredentialKind.PIN:
        said = _OF_CODE_ALONE[verification]
        guessing = case.situation.pin is PinCheck.LOCKED_OUT and said is CODE_ENOUGH
        return (PIN_LOCKED_OUT if guessing else said).line()
    if verification not in _WANTS_PIN:
        return None
    if verification is Verification.CARD_AND_PIN and not _pin_hours(case):
        return CARD_ENOUGH.line(case.point.pin_schedule)
    check = case.situation.pin
    if check is PinCheck.NOT_TYPED and not case.person.pin:
        return PIN_NOT_SET.line()
    return _OF_CHECK[check].line()


def _pin_hours(case: Case) -> bool:
    """Whether a PIN is asked for now. A schedule that is missing, or a clock that can't tell,
    asks for it."""
    local, schedule_id = case.local, case.point.pin_schedule
    if local is None or schedule_id is None:
        return True
    schedule = case.snapshot.schedules.get(schedule_id)
    return schedule is None or open_at(schedule, case.snapshot, local)
