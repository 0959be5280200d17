"""Who comes and with what: watch list, dates, uses, permits and PINs, each with its corners."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gatewayd.domain.model import (
    AccessPoint,
    CredentialKind,
    CredentialStatus,
    Deny,
    Grant,
    PinCheck,
    Reason,
    RuleResult,
    Verification,
)
from gatewayd.domain.policy import decide, under_duress
from tests.domain.situations import ask, line, of_wang, outcome, said
from tests.domain.world import CARD, CLEANERS, GATE_IN, NOON, WORKDAYS, moment, record, snapshot

NOON_S = NOON.wall_s
LOST_CLOCK = replace(NOON, stamp=replace(NOON.stamp, wall_trusted=False))
LANE = replace(GATE_IN, vehicle=True)
CODE = replace(CARD, kind=CredentialKind.PIN)
AFTERNOON = moment("2026-11-18 14:00:00")


# --------------------------------------------------------------------------------- watch list


def test_a_person_on_the_watch_list_is_denied_whatever_else_is_wrong() -> None:
    held = of_wang(snapshot(credential_record=record(status=CredentialStatus.LOST)), watch="banned")
    decision = decide(ask(), held, NOON)
    assert isinstance(decision, Deny)
    assert decision.reason is Reason.ON_WATCH_LIST
    assert decision.trace[-1].saw == "person"
    assert "banned" not in repr(decision.trace)


def test_a_credential_on_the_watch_list_is_denied_as_well() -> None:
    held = snapshot(credential_record=record(watch="seen at a theft"))
    assert outcome(ask(), held) is Reason.ON_WATCH_LIST
    assert said("watch_list", ask(), held) == "credential"
    assert said("watch_list", ask()) == "clear"


# ------------------------------------------------------------------------------ dates and uses


@pytest.mark.parametrize(
    ("used", "reason"), [(2, None), (3, Reason.NO_USES_LEFT), (9, Reason.NO_USES_LEFT)]
)
def test_a_pass_opens_so_often_and_no_more(used: int, reason: Reason | None) -> None:
    assert outcome(ask(used=used), snapshot(credential_record=record(uses=3))) is reason


def test_a_card_without_a_limit_is_not_asked_for_its_uses() -> None:
    assert said("uses_left", ask(used=10_000)) is None


def test_rules_about_dates_leave_no_line_where_there_is_no_date() -> None:
    assert {rule: said(rule, ask()) for rule in ("valid_from", "valid_until", "permit")} == {
        "valid_from": None,
        "valid_until": None,
        "permit": None,
    }
    dated = snapshot(credential_record=record(valid_from_s=0, valid_until_s=NOON_S + 1))
    assert said("valid_from", ask(), dated) == "begun"
    assert said("valid_until", ask(), dated) == "not_ended"


@pytest.mark.parametrize(
    ("point", "vehicle", "until_s", "reason"),
    [
        (LANE, None, NOON_S, Reason.PERMIT_EXPIRED),
        (LANE, True, NOON_S, Reason.PERMIT_EXPIRED),
        (LANE, True, NOON_S + 1, None),
        (LANE, True, None, None),
        (GATE_IN, None, NOON_S - 99, None),  # on foot
        (LANE, False, NOON_S - 99, Reason.NO_VEHICLE),  # on foot in the lane
    ],
)
def test_a_permit_counts_for_vehicles_only(
    point: AccessPoint, vehicle: bool | None, until_s: int | None, reason: Reason | None
) -> None:
    held = snapshot(credential_record=record(permit_until_s=until_s))
    assert outcome(ask(point=point, vehicle=vehicle), held) is reason


def test_an_expired_permit_tells_since_when() -> None:
    held = snapshot(credential_record=record(permit_until_s=NOON_S - 5))
    decision = decide(ask(point=LANE), held, NOON)
    assert isinstance(decision, Deny)
    assert decision.detail == (("permit_until_s", str(NOON_S - 5)),)


def test_a_permit_needs_a_clock_where_it_counts() -> None:
    held = snapshot(credential_record=record(permit_until_s=NOON_S + 999))
    assert outcome(ask(point=LANE), held, LOST_CLOCK) is Reason.CLOCK_UNTRUSTED
    assert outcome(ask(), held, LOST_CLOCK) is None
    assert said("clock_believable", ask(), held, LOST_CLOCK) == "not_needed"
    assert said("clock_believable", ask(), held) == "trusted"


# ---------------------------------------------------------------------------------------- PIN


def at(verification: Verification, hours: bool = False) -> AccessPoint:
    """The gate's reader, asking for that; `hours`: for the PIN only in working hours."""
    return replace(GATE_IN, verification=verification, pin_schedule=WORKDAYS.id if hours else None)


@pytest.mark.parametrize(
    ("check", "reason", "saw"),
    [
        (PinCheck.RIGHT, None, "right"),
        (PinCheck.DURESS, None, "duress"),
        (PinCheck.WRONG, Reason.PIN_WRONG, "wrong"),
        (PinCheck.NOT_TYPED, Reason.PIN_MISSING, "missing"),
        (PinCheck.LOCKED_OUT, Reason.PIN_LOCKED_OUT, "locked_out"),
    ],
)
def test_card_and_pin_wants_both(check: PinCheck, reason: Reason | None, saw: str) -> None:
    request = ask(point=at(Verification.CARD_AND_PIN), pin=check)
    held = of_wang(pin="a keyed hash")
    assert outcome(request, held) is reason
    assert said("pin", request, held) == saw


def test_someone_without_a_pin_hears_that_they_have_none() -> None:
    request = ask(point=at(Verification.CARD_AND_PIN))
    assert outcome(request) is Reason.PIN_MISSING
    assert said("pin", request) == "not_set"


@pytest.mark.parametrize("verification", [Verification.CARD, Verification.CARD_OR_PIN])
def test_a_card_alone_is_enough_where_no_pin_is_asked_for(verification: Verification) -> None:
    request = ask(point=at(verification), pin=PinCheck.WRONG)
    assert outcome(request) is None
    assert said("pin", request) is None


@pytest.mark.parametrize("verification", [Verification.CARD, Verification.CARD_AND_PIN])
def test_a_code_alone_is_no_card(verification: Verification) -> None:
    request = ask(point=at(verification), credential=CODE, pin=PinCheck.RIGHT)
    assert outcome(request) is Reason.CARD_MISSING


@pytest.mark.parametrize("verification", [Verification.PIN, Verification.CARD_OR_PIN])
def test_a_code_alone_is_enough_where_codes_are_taken(verification: Verification) -> None:
    request = ask(point=at(verification), credential=CODE)
    assert outcome(request) is None
    assert said("pin", request) == "code"


def test_where_only_codes_are_taken_a_card_needs_its_pin() -> None:
    held = of_wang(pin="a keyed hash")
    assert outcome(ask(point=at(Verification.PIN)), held) is Reason.PIN_MISSING
    assert outcome(ask(point=at(Verification.PIN), pin=PinCheck.RIGHT), held) is None


def test_outside_the_pin_hours_the_card_is_enough() -> None:
    request = ask(point=at(Verification.CARD_AND_PIN, hours=True))
    assert outcome(request, now=NOON) is None
    assert said("pin", request, now=NOON) == "card_enough"
    assert outcome(request, now=AFTERNOON) is Reason.PIN_MISSING


def test_a_clock_or_a_schedule_that_can_not_tell_asks_for_the_pin() -> None:
    request = ask(point=at(Verification.CARD_AND_PIN, hours=True))
    assert outcome(request, now=LOST_CLOCK) is Reason.PIN_MISSING
    no_schedule = snapshot()
    del no_schedule.schedules[WORKDAYS.id]
    assert outcome(request, no_schedule) is Reason.PIN_MISSING


def test_rights_are_judged_before_the_pin() -> None:
    request = ask(point=at(Verification.CARD_AND_PIN), pin=PinCheck.WRONG)
    assert outcome(request, snapshot(CLEANERS)) is Reason.OUTSIDE_SCHEDULE


# ------------------------------------------------------------------------------------- duress


def test_a_duress_pin_opens_as_usual_and_says_so_to_those_who_should_know() -> None:
    request = ask(point=at(Verification.CARD_AND_PIN), pin=PinCheck.DURESS)
    decision = decide(request, snapshot(), NOON)
    assert isinstance(decision, Grant)
    assert decision.duress
    assert decision.reason is Reason.GRANTED
    typed = line(decision, "pin")
    assert typed is not None
    assert typed.result is RuleResult.WARN


def test_a_duress_pin_is_understood_where_none_was_asked_for() -> None:
    decision = decide(ask(pin=PinCheck.DURESS), snapshot(), NOON)
    assert isinstance(decision, Grant)
    assert decision.duress


def test_a_duress_card_opens_as_usual() -> None:
    decision = decide(ask(), snapshot(credential_record=record(duress=True)), NOON)
    assert isinstance(decision, Grant)
    assert decision.duress
    assert {said.result for said in decision.trace} == {RuleResult.PASS}


def test_a_denial_can_be_under_duress_too() -> None:
    held = snapshot(CLEANERS, credential_record=record(duress=True))
    assert outcome(ask(), held) is Reason.OUTSIDE_SCHEDULE
    assert under_duress(ask(), held)
    assert under_duress(ask(pin=PinCheck.DURESS), snapshot())
    assert not under_duress(ask(pin=PinCheck.WRONG), snapshot())
    assert not under_duress(ask(), replace(snapshot(), record=None))


def test_who_needs_longer_gets_longer() -> None:
    decision = decide(ask(), of_wang(extended_opening=True), NOON)
    assert isinstance(decision, Grant)
    assert decision.unlock_s == ask().door.extended_s
