"""The table of open alarms, and what ends an alarm."""

from __future__ import annotations

from gatewayd.domain.alarm import OpenAlarms, apply, by_urgency, find
from gatewayd.domain.events import AlarmAcknowledged, AlarmCleared, AlarmRaised
from gatewayd.domain.model import ALARM_PRIORITY, AlarmKind, Stamp

NOW = Stamp("b", 1, 2, True)


def raised(
    alarm_id: str, kind: AlarmKind = AlarmKind.DOOR_HELD, about: str = "gate"
) -> AlarmRaised:
    return AlarmRaised(alarm_id, kind, ALARM_PRIORITY[kind], about)


def after(*events: AlarmRaised | AlarmAcknowledged | AlarmCleared) -> OpenAlarms:
    alarms: OpenAlarms = {}
    for seq, event in enumerate(events, 1):
        alarms = apply(alarms, event, seq, NOW)
    return alarms


def test_an_alarm_is_open_until_it_is_both_cleared_and_acknowledged() -> None:
    cleared, acknowledged = AlarmCleared("a", "gate"), AlarmAcknowledged("a", "gate", "li")
    assert after(raised("a"))["a"].active
    assert not after(raised("a"), cleared)["a"].active
    assert after(raised("a"), acknowledged)["a"].acknowledged_by == "li"
    assert after(raised("a"), cleared, acknowledged) == {}
    assert after(raised("a"), acknowledged, cleared) == {}


def test_the_first_to_acknowledge_stays_the_owner() -> None:
    twice = after(
        raised("a"), AlarmAcknowledged("a", "gate", "li"), AlarmAcknowledged("a", "gate", "wu")
    )
    assert twice["a"].acknowledged_by == "li"


def test_what_is_not_open_is_not_changed() -> None:
    assert after(AlarmCleared("x", "gate"), AlarmAcknowledged("x", "gate", "li")) == {}


def test_an_active_alarm_of_the_same_kind_about_the_same_thing_is_found() -> None:
    alarms = after(raised("a"), raised("b", about="side"), raised("c", AlarmKind.DOOR_FORCED))
    found = find(alarms, AlarmKind.DOOR_HELD, "gate")
    assert found is not None
    assert found.alarm_id == "a"
    assert find(alarms, AlarmKind.DOOR_FAILED, "gate") is None
    assert find(after(raised("a"), AlarmCleared("a", "gate")), AlarmKind.DOOR_HELD, "gate") is None


def test_the_most_urgent_unacknowledged_alarm_stands_first() -> None:
    alarms = after(
        raised("held-1"),
        raised("forced", AlarmKind.DOOR_FORCED, "side"),
        raised("held-2", about="b1"),
        raised("taken", AlarmKind.DOOR_FORCED, "b2"),
        AlarmAcknowledged("taken", "b2", "li"),
    )
    assert [a.alarm_id for a in by_urgency(alarms)] == ["forced", "held-1", "held-2", "taken"]


def test_every_kind_has_a_priority() -> None:
    assert set(ALARM_PRIORITY) == set(AlarmKind)
