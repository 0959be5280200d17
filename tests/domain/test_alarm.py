"""The table of open alarms: what an alarm goes through, and what ends it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gatewayd.domain.alarm import (
    MAX_ALIKE,
    MAX_SHELF_MS,
    NEVER_SUPPRESSED,
    RETURN_NS,
    OpenAlarms,
    ShelveRefusal,
    active,
    again,
    aged,
    apply,
    by_urgency,
    due,
    repeated,
    telling,
    why_not_shelve,
)
from gatewayd.domain.events import (
    ALARM_EVENTS,
    EVENT_TYPES,
    AlarmAcknowledged,
    AlarmCleared,
    AlarmEscalated,
    AlarmEvent,
    AlarmRaised,
    AlarmReopened,
    AlarmRepeated,
    AlarmShelved,
    AlarmUnshelved,
    Escalation,
    Stream,
    stream_of,
)
from gatewayd.domain.model import ALARM_PRIORITY, NS_PER_MS, NS_PER_S, AlarmKind, Stamp

HELD, FORCED, NOTICE = AlarmKind.DOOR_HELD, AlarmKind.DOOR_FORCED, AlarmKind.NOTICE
MINUTE_NS = 60 * NS_PER_S
ESCALATE_NS = 3 * MINUTE_NS


def at(minutes: float, boot: str = "b", *, trusted: bool = True) -> Stamp:
    """So many minutes into the watch."""
    ns = round(minutes * MINUTE_NS)
    return Stamp(boot, ns, 1_795_000_000_000 + ns // NS_PER_MS, trusted)


NOW = at(0)


def raised(alarm_id: str, kind: AlarmKind = HELD, about: str = "gate") -> AlarmRaised:
    return AlarmRaised(alarm_id, kind, ALARM_PRIORITY[kind], about)


CLEARED, TAKEN = AlarmCleared("a", "gate"), AlarmAcknowledged("a", "gate", "li")


def shelved(until: Stamp, alarm_id: str = "a") -> AlarmShelved:
    return AlarmShelved(alarm_id, "gate", "li", "bad contact", until.wall_ms)


def story(*told: tuple[float, AlarmEvent]) -> OpenAlarms:
    """The table after these events, each at its minute."""
    alarms: OpenAlarms = {}
    for seq, (minute, event) in enumerate(told, 1):
        alarms = apply(alarms, event, seq, at(minute))
    return alarms


def after(*events: AlarmEvent) -> OpenAlarms:
    return story(*((0, event) for event in events))


def listed(alarms: OpenAlarms) -> list[str]:
    return [alarm.alarm_id for alarm in by_urgency(alarms)]


# ---------------------------------------------------------------------------- the plain life


def test_an_alarm_is_open_until_it_is_both_cleared_and_acknowledged() -> None:
    assert after(raised("a"))["a"].active
    assert not after(raised("a"), CLEARED)["a"].active
    assert after(raised("a"), TAKEN)["a"].acknowledged_by == "li"
    assert listed(after(raised("a"), CLEARED)) == ["a"]
    assert listed(after(raised("a"), CLEARED, TAKEN)) == []
    assert listed(after(raised("a"), TAKEN, CLEARED)) == []


def test_the_first_to_acknowledge_stays_the_owner() -> None:
    assert after(raised("a"), TAKEN, replace(TAKEN, operator="wu"))["a"].acknowledged_by == "li"


def test_what_is_not_open_is_not_changed() -> None:
    assert after(CLEARED, TAKEN) == {}


def test_an_alarm_that_is_told_once_more_only_learns_its_place() -> None:
    late = after(raised("a"), TAKEN, raised("a"))["a"]
    assert (late.acknowledged_by, late.raised_seq) == ("li", 3)


def test_the_list_is_waiting_taken_shelved_and_duress_before_all() -> None:
    alarms = after(
        raised("held-1"),
        raised("forced", FORCED, "side"),
        raised("held-2", about="b1"),
        raised("taken", FORCED, "b2"),
        AlarmAcknowledged("taken", "b2", "li"),
        raised("shelved", AlarmKind.TAMPER),
        shelved(at(5), "shelved"),
        raised("duress", AlarmKind.DURESS, "gate-in"),
    )
    assert listed(alarms) == ["duress", "forced", "held-1", "held-2", "taken", "shelved"]


def test_all_that_is_told_of_alarms_travels_in_their_own_stream() -> None:
    assert {event.KIND for event in ALARM_EVENTS} == {
        kind for kind in EVENT_TYPES if kind.startswith("alarm.")
    }
    for event in (raised("a"), TAKEN, CLEARED, shelved(at(1)), AlarmReopened("a", "gate")):
        assert stream_of(event) is Stream.ALARMS


def test_every_kind_has_a_priority() -> None:
    assert set(ALARM_PRIORITY) == set(AlarmKind)


# --------------------------------------------------------------------------------- chatter


def test_what_comes_back_within_ten_minutes_is_the_same_alarm() -> None:
    gone = story((0, raised("a")), (1, TAKEN), (2, CLEARED))
    assert listed(gone) == []
    same = again(gone, HELD, "gate", at(11.9))
    assert same is not None
    assert same.alarm_id == "a"
    assert again(gone, HELD, "gate", at(12)) is None
    assert again(gone, HELD, "side", at(3)) is None
    assert again(gone, AlarmKind.DOOR_FAILED, "gate", at(3)) is None


def test_one_that_still_waits_is_the_same_however_late() -> None:
    same = again(story((0, raised("a")), (1, CLEARED)), HELD, "gate", at(500))
    assert same is not None


def test_what_can_come_back_no_more_is_forgotten() -> None:
    assert list(story((0, raised("a")), (0, TAKEN), (1, CLEARED), (11, raised("b")))) == ["b"]


def test_a_repeat_is_counted_with_its_moment_and_its_detail() -> None:
    alarm = story((0, raised("a")), (1, CLEARED))["a"]
    alarm = repeated(repeated(alarm, "", at(2)), "open again", at(3))
    assert (alarm.repeats, alarm.active, alarm.latest) == (2, True, at(3))
    assert telling(alarm) == (AlarmRepeated("a", "gate", 2, "open again", HELD), at(3))
    over = replace(alarm, over=at(4))
    assert telling(over) == (AlarmCleared("a", "gate", 2, HELD), at(4))
    told = story((0, raised("a")), (3, telling(alarm)[0]), (4, telling(over)[0]))["a"]
    assert (told.repeats, told.latest, told.latest_seq, told.over) == (2, at(3), 2, at(4))


def test_an_event_that_tells_less_than_is_known_changes_nothing() -> None:
    """The desk is ahead of its journal while an input chatters; the feed folds over both."""
    ahead = after(raised("a"), AlarmRepeated("a", "gate", 5))
    assert apply(ahead, AlarmCleared("a", "gate", 3), 9, NOW) == ahead
    assert apply(ahead, AlarmRepeated("a", "gate", 4), 9, NOW) == ahead
    over = apply(ahead, AlarmCleared("a", "gate", 5), 9, NOW)
    assert apply(over, AlarmRepeated("a", "gate", 5), 10, NOW) == over


def test_one_that_was_taken_stays_taken_but_waits_again_after_ten_minutes() -> None:
    back = story((0, raised("a")), (1, TAKEN), (2, CLEARED), (3, AlarmRepeated("a", "gate", 1)))
    assert back["a"].acknowledged_by == "li"
    assert due(back, at(9.9), ESCALATE_NS) == []
    [reopened] = due(back, at(10), ESCALATE_NS)
    assert reopened == AlarmReopened("a", "gate", HELD)
    waits = apply(back, reopened, 9, at(10))["a"]
    assert waits.waiting
    assert waits.waiting_since == at(10)
    assert due({"a": waits}, at(19), ESCALATE_NS) == []


def test_a_repeat_before_anyone_took_it_reopens_nothing() -> None:
    alarms = story((0, raised("a")), (1, AlarmRepeated("a", "gate", 1)), (2, TAKEN))
    assert due(alarms, at(60), ESCALATE_NS) == []
    assert repeated(alarms["a"], "", at(61)).again


def test_even_what_is_over_at_once_waits_again() -> None:
    blip = story(
        (0, raised("a")), (0, CLEARED), (1, TAKEN),
        (2, AlarmRepeated("a", "gate", 1)), (2, AlarmCleared("a", "gate", 1)),
    )  # fmt: skip
    assert listed(blip) == []
    [event] = due(blip, at(10), ESCALATE_NS)
    assert listed(apply(blip, event, 9, at(10))) == ["a"]


@pytest.mark.parametrize("kind", sorted(NEVER_SUPPRESSED))
def test_duress_forced_and_fire_are_each_time_an_alarm_of_their_own(kind: AlarmKind) -> None:
    alarms: OpenAlarms = {}
    for n in range(MAX_ALIKE):
        assert again(alarms, kind, "gate", NOW) is None
        alarms = apply(alarms, raised(f"a-{n}", kind), n + 1, NOW)
        alarms = apply(alarms, AlarmCleared(f"a-{n}", "gate"), n + 1, NOW)
    last = again(alarms, kind, "gate", NOW)
    assert last is not None
    assert last.alarm_id == f"a-{MAX_ALIKE - 1}"
    taken = apply(alarms, AlarmAcknowledged("a-0", "gate", "li"), 99, NOW)
    assert again(taken, kind, "gate", NOW) is None


def test_a_notice_is_news_once_the_one_before_it_was_taken() -> None:
    first = after(raised("a", NOTICE), CLEARED)
    assert again(first, NOTICE, "gate", at(1)) is not None
    assert again(apply(first, TAKEN, 3, at(2)), NOTICE, "gate", at(3)) is None


def test_what_is_up_of_a_kind_about_a_thing_is_found() -> None:
    alarms = after(
        raised("a", FORCED), raised("b", FORCED), raised("c", FORCED, "side"), raised("d"), CLEARED
    )
    assert [a.alarm_id for a in active(alarms, FORCED, "gate")] == ["b"]


# -------------------------------------------------------------------------------- shelving


def test_a_shelved_alarm_is_listed_and_does_not_wait() -> None:
    alarms = story((0, raised("a")), (1, shelved(at(61))))
    assert listed(alarms) == ["a"]
    assert not alarms["a"].waiting
    assert due(alarms, at(60.9), ESCALATE_NS) == []


def test_it_comes_back_when_its_time_is_up_and_waits_although_it_was_taken() -> None:
    alarms = story((0, raised("a")), (1, TAKEN), (1, shelved(at(61))))
    [event] = due(alarms, at(61), ESCALATE_NS)
    assert event == AlarmUnshelved("a", "gate", "", HELD)
    back = apply(alarms, event, 9, at(61))["a"]
    assert back.waiting
    assert back.shelf is None
    assert due({"a": back}, at(63), ESCALATE_NS * 10) == []


def test_a_shelved_alarm_that_is_over_goes_and_stays_shelved_if_it_returns() -> None:
    alarms = story((0, raised("a")), (1, shelved(at(400))), (2, CLEARED))
    assert listed(alarms) == []
    assert due(alarms, at(500), ESCALATE_NS) == []
    same = again(alarms, HELD, "gate", at(300))
    assert same is not None
    assert not repeated(same, "", at(300)).waiting
    assert again(alarms, HELD, "gate", at(400)) is None


def test_a_notice_that_is_shelved_stays_so() -> None:
    alarms = story((0, raised("a", NOTICE)), (0, CLEARED), (1, shelved(at(61))))
    assert again(alarms, NOTICE, "gate", at(60)) is not None
    assert again(alarms, NOTICE, "gate", at(61)) is None


def test_the_shelf_is_timed_by_the_clock_that_does_not_jump_and_by_the_walls() -> None:
    alarms = story((0, raised("a")), (0, shelved(at(60))))
    back_an_hour = replace(at(60), wall_ms=NOW.wall_ms)
    assert due(alarms, back_an_hour, ESCALATE_NS) != []
    forward = replace(at(1), wall_ms=at(60).wall_ms)
    assert due(alarms, forward, ESCALATE_NS) != []
    assert due(alarms, replace(forward, wall_trusted=False), ESCALATE_NS) == []


@pytest.mark.parametrize(
    ("kind", "until_ms", "refusal"),
    [
        (HELD, MAX_SHELF_MS, None),
        (HELD, MAX_SHELF_MS + 1, ShelveRefusal.TOO_LONG),
        (HELD, 0, ShelveRefusal.PAST),
        *((kind, 60_000, ShelveRefusal.NEVER) for kind in sorted(NEVER_SUPPRESSED)),
    ],
)
def test_who_may_be_shelved_and_for_how_long(
    kind: AlarmKind, until_ms: int, refusal: ShelveRefusal | None
) -> None:
    alarm = after(raised("a", kind))["a"]
    assert why_not_shelve(alarm, NOW.wall_ms + until_ms, NOW) is refusal


# ------------------------------------------------------------------------------ escalation


def escalations(alarms: OpenAlarms, minute: float) -> tuple[list[Escalation], OpenAlarms]:
    """To whom it is escalated at that minute, and the table after it."""
    found = []
    while events := due(alarms, at(minute), ESCALATE_NS):
        for event in events:
            assert isinstance(event, AlarmEscalated)
            found.append(event.to)
            alarms = apply(alarms, event, 9, at(minute))
    return found, alarms


def test_what_nobody_takes_goes_to_the_leader_and_then_to_the_manager_once_each() -> None:
    alarms = after(raised("a", FORCED))
    told = {}
    for minute in (2.9, 3, 5.9, 6, 100):
        told[minute], alarms = escalations(alarms, minute)
    assert told == {2.9: [], 3: [Escalation.LEADER], 5.9: [], 6: [Escalation.MANAGER], 100: []}
    assert alarms["a"].escalated_to is Escalation.MANAGER


def test_what_is_taken_or_of_low_priority_is_not_escalated_and_medium_has_patience() -> None:
    assert escalations(after(raised("a", FORCED), TAKEN), 100)[0] == []
    assert escalations(after(raised("a", NOTICE)), 100)[0] == []
    assert escalations(after(raised("a")), 29.9)[0] == []
    assert escalations(after(raised("a")), 30)[0] == [Escalation.LEADER]


def test_an_alarm_that_is_over_and_was_never_taken_is_escalated_too() -> None:
    assert escalations(after(raised("a", FORCED), CLEARED), 3)[0] == [Escalation.LEADER]


# -------------------------------------------------------------------------------- the clock


def test_time_across_a_restart_is_told_by_the_wall_and_unknown_time_is_long_ago() -> None:
    next_boot = at(5, "next")
    assert aged(at(0), next_boot, 5 * MINUTE_NS)
    assert not aged(at(0), next_boot, 6 * MINUTE_NS)
    assert aged(at(0), replace(next_boot, wall_trusted=False), RETURN_NS)
    assert aged(at(0, trusted=False), next_boot, RETURN_NS)
    assert aged(at(6), next_boot, RETURN_NS)  # the wall's clock went back
