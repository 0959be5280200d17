"""What is granted, what is denied, why, and in which order the reasons win."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.domain.model import (
    AccessLevel,
    CredentialStatus,
    Deny,
    DoorId,
    DoorMode,
    Grant,
    LevelId,
    Reason,
    RuleResult,
    ScheduleId,
    Snapshot,
    Stamp,
)
from gatewayd.domain.policy import RULES, SENTENCES, decide
from gatewayd.domain.schedule import Moment
from gatewayd.domain.verdict import Sentence
from tests.domain.anything import any_asked
from tests.domain.world import (
    CLEANERS,
    GATE,
    NOON,
    RESIDENTS,
    SHANGHAI,
    WANG,
    moment,
    record,
    request,
    snapshot,
)

NOON_S = NOON.wall_s


def test_a_resident_is_granted_with_the_whole_trace() -> None:
    decision = decide(request(), snapshot(), NOON)
    assert isinstance(decision, Grant)
    assert decision.person is WANG
    assert decision.level_id == "residents"
    assert decision.unlock_s == GATE.unlock_s
    assert [line.rule for line in decision.trace] == [
        "credential_known",
        "watch_list",
        "credential_active",
        "clock_believable",
        "door_mode",
        "access_level",
        "in_schedule",
    ]
    assert {line.result for line in decision.trace} == {RuleResult.PASS}


def test_an_unknown_card_is_denied_at_the_first_rule() -> None:
    decision = decide(request(), Snapshot(7, None), NOON)
    assert isinstance(decision, Deny)
    assert decision.reason is Reason.CREDENTIAL_UNKNOWN
    assert decision.person is None
    assert [(t.rule, t.result) for t in decision.trace] == [("credential_known", RuleResult.FAIL)]
    assert decision.trace[0].facts == (("kind", "card"), ("revision", "7"))


def test_a_card_without_its_person_counts_as_unknown() -> None:
    assert _reason(replace(snapshot(), person=None)) is Reason.CREDENTIAL_UNKNOWN


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (CredentialStatus.SUSPENDED, Reason.CREDENTIAL_SUSPENDED),
        (CredentialStatus.LOST, Reason.CREDENTIAL_LOST),
        (CredentialStatus.REVOKED, Reason.CREDENTIAL_REVOKED),
    ],
)
def test_a_card_that_is_not_active_is_denied_with_its_own_reason(
    status: CredentialStatus, reason: Reason
) -> None:
    decision = decide(request(), snapshot(credential_record=record(status=status)), NOON)
    assert isinstance(decision, Deny)
    assert decision.reason is reason
    assert decision.person is WANG


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        (NOON_S, None, None),
        (NOON_S + 1, None, Reason.NOT_YET_VALID),
        (None, NOON_S + 1, None),
        (None, NOON_S, Reason.EXPIRED),
    ],
)
def test_validity_counts_to_the_second(
    start: int | None, end: int | None, reason: Reason | None
) -> None:
    bounded = snapshot(credential_record=record(valid_from_s=start, valid_until_s=end))
    assert _reason(bounded) is reason


def test_an_expired_denial_tells_when() -> None:
    expired = snapshot(credential_record=record(valid_until_s=NOON_S - 60))
    decision = decide(request(), expired, NOON)
    assert isinstance(decision, Deny)
    assert decision.detail == (("valid_until_s", str(NOON_S - 60)),)


def test_a_validity_beyond_any_calendar_is_still_decided() -> None:
    assert _reason(snapshot(credential_record=record(valid_until_s=10**30))) is None


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (DoorMode.LOCKED, None),
        (DoorMode.UNLOCKED, None),
        (DoorMode.LOCKED_OPEN, None),
        (DoorMode.LOCKED_DOWN, Reason.DOOR_LOCKED_DOWN),
        (DoorMode.BLOCKED, Reason.DOOR_BLOCKED),
    ],
)
def test_a_locked_down_or_blocked_door_admits_nobody(mode: DoorMode, reason: Reason | None) -> None:
    decision = decide(request(mode), snapshot(), NOON)
    assert (decision.reason if isinstance(decision, Deny) else None) is reason


def test_a_level_without_this_door_is_no_level() -> None:
    elsewhere = replace(RESIDENTS, door_ids=frozenset({DoorId("b1")}))
    decision = decide(request(), snapshot(elsewhere), NOON)
    assert isinstance(decision, Deny)
    assert decision.reason is Reason.NO_ACCESS_LEVEL
    assert decision.trace[-1].saw == "elsewhere"
    assert decision.detail == (("levels", "residents"),)


def test_nobody_without_levels_passes() -> None:
    assert _reason(replace(snapshot(), levels=())) is Reason.NO_ACCESS_LEVEL


def test_the_cleaner_is_denied_outside_her_hours() -> None:
    late = moment("2026-11-18 18:00:00")
    decision = decide(request(), snapshot(CLEANERS), late)
    assert isinstance(decision, Deny)
    assert decision.reason is Reason.OUTSIDE_SCHEDULE
    assert decision.detail == (("schedules", "workdays"),)
    assert isinstance(decide(request(), snapshot(CLEANERS), moment("2026-11-18 17:59:59")), Grant)


def test_one_open_level_of_several_is_enough_and_is_named() -> None:
    decision = decide(request(), snapshot(CLEANERS, RESIDENTS), moment("2026-11-18 23:00:00"))
    assert isinstance(decision, Grant)
    assert decision.level_id == "residents"


def test_a_level_whose_schedule_is_missing_is_closed() -> None:
    orphan = AccessLevel(LevelId("x"), "X", frozenset({GATE.id}), ScheduleId("gone"))
    assert _reason(snapshot(orphan)) is Reason.OUTSIDE_SCHEDULE


@pytest.mark.parametrize(
    ("level", "bounds", "reason"),
    [
        (RESIDENTS, {}, None),
        (RESIDENTS, {"valid_until_s": NOON_S + 999}, Reason.CLOCK_UNTRUSTED),
        (RESIDENTS, {"valid_from_s": NOON_S - 999}, Reason.CLOCK_UNTRUSTED),
        (CLEANERS, {}, Reason.CLOCK_UNTRUSTED),
    ],
)
def test_a_box_that_lost_its_time_admits_only_what_needs_no_clock(
    level: AccessLevel, bounds: dict[str, int], reason: Reason | None
) -> None:
    lost = replace(NOON, stamp=replace(NOON.stamp, wall_trusted=False))
    decision = decide(request(), snapshot(level, credential_record=record(**bounds)), lost)
    assert (decision.reason if isinstance(decision, Deny) else None) is reason


def test_a_clear_text_card_number_is_in_no_trace_and_no_repr() -> None:
    decision = decide(request(), snapshot(), NOON)
    assert "123456" not in repr(decision)
    assert "123456" not in repr(request())
    assert "王芳" not in repr(decision)


@given(
    wall_ms=st.integers(0, 4_000_000_000_000),
    start=st.none() | st.integers(0, 4_000_000_000),
    end=st.none() | st.integers(0, 4_000_000_000),
    status=st.sampled_from(CredentialStatus),
    mode=st.sampled_from(DoorMode),
    trusted=st.booleans(),
)
def test_a_grant_needs_every_condition_at_once(
    wall_ms: int,
    start: int | None,
    end: int | None,
    status: CredentialStatus,
    mode: DoorMode,
    trusted: bool,
) -> None:
    """Beside a slow, obvious statement of the rules."""
    now = Moment(Stamp("b", 1, wall_ms, trusted), SHANGHAI)
    held = snapshot(credential_record=record(status=status, valid_from_s=start, valid_until_s=end))
    second = wall_ms // 1000
    expected = (
        status is CredentialStatus.ACTIVE
        and (start is None or start <= second)
        and (end is None or second < end)
        and (trusted or (start is None and end is None))
        and mode not in {DoorMode.LOCKED_DOWN, DoorMode.BLOCKED}
    )
    assert isinstance(decide(request(mode), held, now), Grant) is expected


@given(st.randoms(use_true_random=False))
def test_whatever_is_asked_is_decided_in_words_that_there_are(rng: Random) -> None:
    asked = any_asked(rng)
    decision = decide(asked.request, asked.snapshot, asked.now)
    words = {(said.rule, said.saw): said for said in SENTENCES}
    for line in decision.trace:
        said = words[line.rule, line.saw]
        assert line.result is said.result
        assert tuple(name for name, _ in line.facts) == said.blanks
    failed = [words[t.rule, t.saw].reason for t in decision.trace if t.result is RuleResult.FAIL]
    assert failed == ([] if isinstance(decision, Grant) else [decision.reason])
    order = [name for name, _ in RULES]
    assert [order.index(line.rule) for line in decision.trace] == sorted(
        {order.index(line.rule) for line in decision.trace}
    )


def test_every_sentence_is_said_some_time() -> None:
    rng, said = Random(7), set()
    for _ in range(20_000):
        asked = any_asked(rng)
        trace = decide(asked.request, asked.snapshot, asked.now).trace
        said |= {(line.rule, line.saw) for line in trace}
    assert said == {(sentence.rule, sentence.saw) for sentence in SENTENCES}


def test_no_sentence_is_there_twice_and_each_is_of_a_rule() -> None:
    pairs = [(said.rule, said.saw) for said in SENTENCES]
    assert len(pairs) == len(set(pairs))
    assert {rule for rule, _ in pairs} == {name for name, _ in RULES}
    assert [judge.__name__ for _, judge in RULES] == [name for name, _ in RULES]


def test_a_sentence_wants_a_value_for_each_blank_and_has_three_at_most() -> None:
    assert Sentence("r", "s", ("a",)).line(5).facts == (("a", "5"),)
    with pytest.raises(TypeError):
        Sentence("r", "s", ("a",)).line()
    with pytest.raises(ValueError, match="more than three blanks"):
        Sentence("r", "s", ("a", "b", "c", "d"))


def _reason(held: Snapshot) -> Reason | None:
    decision = decide(request(), held, NOON)
    return decision.reason if isinstance(decision, Deny) else None
