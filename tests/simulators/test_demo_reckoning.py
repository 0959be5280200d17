"""The demo's verdict: every tap at the centre, in order, exactly once."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from simulators.demo_reckoning import Centre, Lane, Lockdown, SentTap, read_taps, reckon
from simulators.demo_table import LiveScreen, PlainScreen, clock_text, make_screen, said, summary

READER = "main-gate-in"


def tap(n: int, tail: str, reader: str = READER, expect: str = "granted") -> SentTap:
    return SentTap(n, reader, "card", f"••••••{tail}", n * 1_000_000, expect)


def event(seq: int, kind: str, stream: str = "evt", **data: Any) -> dict[str, Any]:  # JSON
    stamp = {"boot": "b", "mono_ns": seq * 1_000_000, "wall_ms": 1_795_000_000_000, "trusted": True}
    arrival = 100 - seq  # alarms overtake: the order of arrival says nothing
    whole = {
        "n": arrival,
        "epoch": "e1",
        "seq": seq,
        "stream": stream,
        "kind": kind,
        "subject": "s",
    }
    return {**whole, "stamp": stamp, "data": data}


def decided(seq: int, tail: str, reader: str = READER, reason: str = "") -> dict[str, Any]:
    card = {"kind": "card", "masked": f"••••••{tail}"}
    kind = "access.denied" if reason else "access.granted"
    made = event(seq, kind, access_point_id=reader, credential=card, place="1-2-301")
    made["data"] |= {"reason": reason} if reason else {"person_id": "p-1"}
    return made


def centre(*events: dict[str, Any], upto: int = 99, **more: Any) -> Centre:  # Centre's fields
    acked = {("e1", "evt"): upto, ("e1", "alarm"): upto}
    whole = Centre(events, acked, [], chain_whole=True, repeats=0, altered=0)
    return replace(whole, **more)


def test_taps_that_are_all_there_in_order_are_accounted_for() -> None:
    taps = [tap(1, "AAAA"), tap(2, "BBBB", "side-door-in"), tap(3, "CCCC")]
    events = (decided(1, "AAAA"), decided(3, "CCCC"), decided(2, "BBBB", "side-door-in"))
    found = reckon(taps, centre(*events))
    assert found.faults == ()
    assert (found.sent, found.decided, found.acknowledged, found.unexpected) == (3, 3, 3, 0)


def test_a_tap_that_the_centre_lacks_is_named() -> None:
    found = reckon([tap(1, "AAAA"), tap(2, "BBBB")], centre(decided(1, "AAAA")))
    assert found.faults == ("tap 2 at main-gate-in, card …BBBB: not at the centre",)


def test_a_code_is_known_by_its_kind_since_nothing_of_it_is_told() -> None:
    code = replace(tap(1, "", expect="credential_unknown"), kind="pin", masked="••••")
    decision = decided(1, "9f3c", reason="credential_unknown")
    decision["data"]["credential"]["kind"] = "pin"
    found = reckon([code, tap(2, "AAAA")], centre(decision, decided(2, "AAAA")))
    assert (found.faults, found.unexpected) == ((), 0)
    assert said(decision) == "denied   1-2-301  a code: credential_unknown"
    assert reckon([code], centre()).faults == ("tap 1 at main-gate-in, a code: not at the centre",)


def test_a_decision_that_nobody_asked_for_is_named() -> None:
    found = reckon([tap(1, "AAAA")], centre(decided(1, "AAAA"), decided(4, "AAAA")))
    assert found.faults == ("event 4 at main-gate-in, card …AAAA: nobody showed it then",)


@pytest.mark.parametrize(
    ("kind", "masked", "called"),
    [("qr", "•••••C8T3", "QR pass …C8T3"), ("plate", "•••5526", "plate …5526")],
)
def test_passes_and_plates_are_accounted_for_as_cards_are(
    kind: str, masked: str, called: str
) -> None:
    shown = replace(tap(1, ""), kind=kind, masked=masked)
    decision = decided(1, "")
    decision["data"]["credential"] = {"kind": kind, "masked": masked}
    assert reckon([shown], centre(decision)).faults == ()
    assert said(decision) == f"granted  1-2-301  {called}"
    # a card with the same last digits is another thing
    faults = reckon([shown], centre(decided(1, masked[-4:]))).faults
    assert f"tap 1 at main-gate-in, {called}: not at the centre" in faults


def test_the_right_cards_in_the_wrong_order_are_no_account() -> None:
    taps = [tap(1, "AAAA"), tap(2, "BBBB")]
    assert reckon(taps, centre(decided(1, "BBBB"), decided(2, "AAAA"))).faults


def test_the_journals_order_counts_and_not_that_of_arrival() -> None:
    taps = [tap(1, "AAAA"), tap(2, "BBBB")]
    assert reckon(taps, centre(decided(2, "BBBB"), decided(1, "AAAA"))).faults == ()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"upto": 0}, "1 decisions are at the centre and not acknowledged"),
        ({"missing": [{"stream": "evt", "after": 1, "through": 3}]}, "misses evt after 1 to 3"),
        ({"chain_whole": False}, "hash chain broken"),
        ({"altered": 2}, "2 events came again with another content"),
    ],
)
def test_other_faults_spoil_the_account_too(more: dict[str, Any], why: str) -> None:
    [fault] = reckon([tap(1, "AAAA")], centre(decided(1, "AAAA"), **more)).faults
    assert why in fault


def test_a_decision_that_the_scenario_did_not_expect_spoils_the_account() -> None:
    taps = [tap(1, "AAAA", expect="expired"), tap(2, "BBBB", expect="expired")]
    told = centre(decided(1, "AAAA", reason="expired"), decided(2, "BBBB"))
    found = reckon(taps, told)
    assert found.unexpected == 1
    assert found.faults == ("tap 2 at main-gate-in, card …BBBB: granted, and not expired",)


@pytest.mark.parametrize(("action", "faults"), [("lockdown", 0), ("fire_reset", 1)])
def test_what_follows_from_an_order_at_the_console_is_only_counted(
    action: str, faults: int
) -> None:
    ordered = event(1, "operator.ordered", operator="leader", action=action)
    told = centre(ordered, decided(2, "AAAA", reason="door_locked_down"))
    found = reckon([tap(1, "AAAA")], told)
    assert (found.unexpected, len(found.faults)) == (1, faults)


def test_an_arm_that_came_down_on_a_vehicle_spoils_the_account() -> None:
    lanes = [Lane("north", passed=3, hits=0), Lane("south", passed=2, hits=1)]
    found = reckon([], centre(), lanes)
    assert found.faults == ("the arm of south came down on a vehicle: 1",)
    assert "north: 3 passed, 0 hit by the arm; south: 2 passed" in summary(found, 0, 0, [])


def test_the_figures_are_counted_from_the_events() -> None:
    told = centre(
        decided(3, "AAAA"),
        event(4, "access.outcome", outcome="unlocked", decision_seq=3),
        event(5, "access.outcome", outcome="failed", decision_seq=3),
        event(6, "picture.stored"),
        event(7, "alarm.raised", "alarm", alarm="door_held", priority="medium", alarm_id="a"),
        event(8, "alarm.raised", "alarm", alarm="door_forced", priority="critical", alarm_id="b"),
        event(9, "alarm.cleared", "alarm", alarm_id="a"),
        event(10, "alarm.cleared", "alarm", alarm_id="a"),  # told once more, with a count
        event(11, "alarm.cleared", "alarm", alarm_id="b"),
        event(12, "alarm.repeated", "alarm", alarm_id="b"),
    )
    found = reckon([tap(1, "AAAA")], told)
    assert (found.opened, found.pictures, found.open_alarms) == (1, 1, 1)
    assert found.alarms == {"door_held": 1, "door_forced": 1}
    assert found.latency_ms == 3.0  # sent at 1 ms, released at 4 ms


def test_denials_fires_and_the_time_of_a_lockdown_are_told() -> None:
    order = event(1, "command.accepted", action="lockdown", command_id="c-1")
    lifted = event(2, "command.accepted", action="lift_lockdown", command_id="c-2")
    by = {"kind": "centre", "ref": "c-1"}
    shut = [event(seq, "door.mode_changed", mode="LockedDown", cause=by) for seq in (3, 7)]
    other = event(9, "door.mode_changed", mode="Locked", cause={"kind": "centre", "ref": "c-2"})
    fires = event(10, "fire.detected", doors=["a"]), event(11, "fire.reset")
    denied = decided(12, "AAAA", reason="interlocked")
    found = reckon([], centre(order, lifted, *shut, other, *fires, denied))
    assert (found.lockdowns, found.fires) == ((Lockdown(doors=2, took_ms=6.0),), (1, 1))
    assert found.denials == {"interlocked": 1}
    told = summary(found, 1, 0, [])
    for text in ("2 doors in 6 ms", "interlocked 1", "1, 1 of them reset by a person"):
        assert text in told


def test_without_a_tap_there_is_nothing_to_complain_of(tmp_path: Path) -> None:
    assert read_taps(tmp_path / "none.jsonl") == []
    found = reckon([], centre())
    assert (found.faults, found.latency_ms) == ((), None)


# --------------------------------------------------------------------------------- screen

EVENTS = [
    (decided(1, "AAAA"), "granted  1-2-301  card …AAAA"),
    (decided(2, "AAAA", reason="expired"), "denied   1-2-301  card …AAAA: expired"),
    (event(3, "access.outcome", outcome="unlocked", decision_seq=1), "unlocked for event 1"),
    (event(4, "door.opened", authorised=False), "opened without a grant"),
    (event(5, "door.opened", authorised=True), "opened"),
    (event(6, "door.held_warning", open_s=6.0), "open for 6 s"),
    (event(7, "alarm.raised", alarm="door_held", priority="medium"), "ALARM    door_held"),
    (event(8, "alarm.repeated", alarm="door_held", repeats=3), "ALARM    door_held again, 3"),
    (event(8, "alarm.cleared"), "alarm over"),
    (event(9, "door.exit_requested"), "exit requested"),
    (
        event(10, "door.mode_changed", mode="LockedDown", cause={"kind": "centre"}),
        "LockedDown, on the word of centre",
    ),
    (event(11, "fire.detected", doors=["side-door"]), "FIRE     frees side-door"),
    (event(12, "fire.reset", cause={"ref": "leader"}), "fire     reset by leader"),
    (event(13, "command.accepted", action="lockdown"), "centre   orders lockdown"),
    (
        event(14, "operator.ordered", operator="leader", action="fire_reset"),
        "operator leader orders fire_reset",
    ),
]


@pytest.mark.parametrize(("happened", "words"), EVENTS)
def test_events_are_told_in_a_few_words(happened: dict[str, Any], words: str) -> None:
    assert words in said(happened)


def test_the_time_is_that_of_the_site() -> None:
    assert clock_text(EVENTS[0][0]) == "19:06:40"


def test_the_live_table_shows_console_events_and_counts() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, height=40)
    with LiveScreen(console) as screen:
        screen.head(["console   http://127.0.0.1:1"])
        screen.step("people come and go")
        screen.events([happened for happened, _ in EVENTS])
    shown = out.getvalue()
    for text in ("http://127.0.0.1:1", "people come and go", "granted 1   denied 1", "door_held"):
        assert text in shown


def test_without_a_terminal_each_event_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    screen = make_screen()
    assert isinstance(screen, PlainScreen)
    with screen:
        screen.head(["console   x"])
        screen.step("starts")
        screen.events([happened for happened, _ in EVENTS])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["console   x", "demo: starts"]
    assert len(lines) == 2 + len(EVENTS) - 1  # an outcome is counted, not listed


def test_the_summary_says_whether_every_tap_is_accounted_for() -> None:
    good = reckon([tap(1, "AAAA")], centre(decided(1, "AAAA")))
    assert "exactly once" in summary(good, 1, 1, ["kept in x"])
    bad = summary(reckon([tap(1, "AAAA")], centre()), 0, 0, [])
    assert "NOT every tap" in bad
    assert "tap 1 at main-gate-in, card …AAAA" in bad
