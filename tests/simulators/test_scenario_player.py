"""A scenario's people at fake devices: what they do, and what is written down of it."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from simulators import scenario
from simulators.compound import make_compound
from simulators.control import obey
from simulators.guard import Guard, GuardError
from simulators.reader import SimulatedReader
from simulators.relay_board import SimulatedRelayBoard
from simulators.relay_terminals import DoorWiring, NamedInput
from simulators.scenario import LIVELY_HOUR
from simulators.scenario_file import load_scenario
from simulators.scenario_plan import Plan, Step
from simulators.scenario_player import Player, Stage
from tests.clock import ManualClock
from tests.simulators.waiting import until

COMPOUND = make_compound(1, date(2026, 11, 24))
HOUR = load_scenario(LIVELY_HOUR)


class FakeDevice:
    """Answers as a simulated reader and relay board would; keeps what it was asked."""

    def __init__(self, *, locked: bool = False, sent: bool = True) -> None:
        self.asked: list[dict[str, Any]] = []
        self.locked = locked
        self.sent = sent
        self.outcome = "done"

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request)
        await asyncio.sleep(0)
        if request["do"] == "present":
            return {"sent": self.sent, "first_ns": 42}
        if request["do"] == "press":
            return {"sent": self.sent, "first_ns": 50, "sent_ns": 77}
        if request["do"] == "command":
            return {"outcome": self.outcome}
        if request["do"] == "vehicle":
            return {}
        if request["do"] == "status":
            return {"doors": [{"locked": self.locked}, {"locked": self.locked}]}
        forced = request["do"] == "door" and not request.get("only_if_unlocked")
        return {"moved": forced or not self.locked}

    def moves(self) -> list[str]:
        return [r.get("action", r["do"]) for r in self.asked if r["do"] != "status"]


def step(act: Any, expect: str = "", open_s: float = 1.0, digits: str = "") -> Step:  # an Act
    card = COMPOUND.residents[0].card_for([40]) if expect and act != "pin" else None
    return Step(1, 0.5, "main-gate", act, "resident", card, expect, open_s, digits)


def set_up(board: Any, reader: Any, others: Any = None, centre: Any = None) -> Stage:  # fakes
    names = ("main-gate-in", "main-gate-out", "main-gate-qr", "side-door-in", "lane-in")
    readers = dict.fromkeys((*names, "lane-plates"), reader)
    boards = dict.fromkeys(("main-gate", "side-door", "lane"), board)
    return Stage(readers, boards, others or board, centre)


async def played(
    board: FakeDevice,
    reader: FakeDevice,
    *steps: Step,
    others: FakeDevice | None = None,
    centre: FakeDevice | None = None,
) -> tuple[Player, list[Any]]:
    clock, record = ManualClock(), io.StringIO()
    stage = set_up(board, reader, others, centre)
    player = Player(HOUR, stage, record, clock)
    async with asyncio.TaskGroup() as group:
        playing = group.create_task(player.play(Plan(steps, 10, ())), name="playing")
        while not playing.done():
            await clock.advance(0.5)
    return player, [json.loads(line) for line in record.getvalue().splitlines()]


async def test_who_is_let_in_opens_the_door_and_closes_it_behind() -> None:
    board, reader = FakeDevice(), FakeDevice()
    player, taps = await played(board, reader, step("enter", "granted"))
    assert reader.moves() == ["present"]
    assert board.moves() == ["open", "close"]
    assert player.played.passed == 1
    [tap] = taps
    card = COMPOUND.residents[0].card_for([40])
    assert tap == {
        "n": 1,
        "reader": "main-gate-in",
        "kind": "card",
        "bits": 40,
        "masked": card.masked,
        "sent_ns": 42,
        "expect": "granted",
    }


async def test_a_pass_is_shown_to_the_scanner_as_its_text() -> None:
    board, reader = FakeDevice(), FakeDevice()
    qr = COMPOUND.guests[0].text_for("qr")
    shown = replace(step("enter", "granted"), card=qr, shows="qr")
    _, [tap] = await played(board, reader, shown)
    [asked] = [each for each in reader.asked if each["do"] == "present"]
    assert asked == {"do": "present", "text": qr.value, "hold_s": HOUR.pace.hold_s}
    assert (tap["reader"], tap["kind"], tap["bits"]) == ("main-gate-qr", "qr", 0)
    assert tap["masked"] == "•" * 15 + qr.value[-4:]
    assert board.moves() == ["open", "close"]


async def test_who_is_not_let_in_goes_away_and_forces_nothing() -> None:
    board = FakeDevice(locked=True)
    player, taps = await played(board, FakeDevice(), step("enter", "granted"))
    assert board.moves() == []
    assert player.played.waited_in_vain == 1
    assert len(taps) == 1


class LocksAgain(FakeDevice):
    """Released when asked, locked again when the hand is at the handle."""

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        reply = await super().ask(request)
        self.locked = self.locked or request["do"] == "status"
        return reply


def through(then_expect: str) -> Step:
    return replace(step("through", "granted"), then="side-door", then_expect=then_expect)


def in_order(board: FakeDevice) -> list[str]:
    """What both were asked, in one order: cards and leaves by their door."""
    return [f"{r.get('action', r['do'])} {r.get('door', '')}".strip() for r in board.asked
            if r["do"] != "status"]  # fmt: skip


@pytest.mark.parametrize(
    ("then_expect", "moves"),
    [
        ("granted", ["present", "open 1", "close 1", "present", "open 2", "close 2"]),
        ("anti_passback", ["present", "open 1", "close 1", "present"]),
        ("interlocked", ["present", "open 1", "present", "close 1"]),
    ],
)
async def test_a_mantrap_is_passed_door_by_door_or_held_open(
    then_expect: str, moves: list[str]
) -> None:
    board, reader = FakeDevice(), FakeDevice()
    reader.asked = board.asked  # one order of events
    _, taps = await played(board, reader, through(then_expect))
    assert in_order(board) == moves
    assert [tap["expect"] for tap in taps] == ["granted", then_expect]
    assert [tap["reader"] for tap in taps] == ["main-gate-in", "side-door-in"]


async def test_who_leaves_by_card_shows_it_at_the_reader_of_the_way_out() -> None:
    board, reader = FakeDevice(), FakeDevice()
    card = COMPOUND.residents[0].card_for([40])
    _, [tap] = await played(board, reader, replace(step("leave", "granted"), card=card))
    assert tap["reader"] == "main-gate-out"
    assert board.moves() == ["open", "close"]


class FakeConsole(BaseHTTPRequestHandler):
    """Takes a log-in, and a fire's reset with its cookie and key once the panel has no fire."""

    server: ConsoleServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body))
        if self.path.endswith("/session"):
            self._answer(201, {}, ("Set-Cookie", "session=s1; HttpOnly"))
        elif self.headers["Cookie"] != "session=s1" or not self.headers["Idempotency-Key"]:
            self._answer(401, {"code": "not-signed-in"})
        elif self.server.still_on:
            self.server.still_on -= 1
            self._answer(409, {"code": "fire-still-on"})
        else:
            self._answer(*self.server.answer)

    def _answer(self, status: int, told: dict[str, Any], *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for header in headers:
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, *_: object) -> None: ...


class ConsoleServer(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FakeConsole)
        self.asked: list[tuple[str, Any]] = []
        self.still_on = 0
        self.answer: tuple[int, dict[str, Any]] = (200, {"seq": 1})


@pytest.fixture
def console() -> Iterator[ConsoleServer]:
    with ConsoleServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def guard_of(console: ConsoleServer, folder: Path, kind: type[Guard] = Guard) -> Guard:
    url = f"http://127.0.0.1:{console.server_port}"
    path = folder / "demo.json"
    path.write_text(json.dumps({"console": url, "operators": {"leader": "pw"}}))
    return kind.from_file(path)


async def test_a_guard_logs_in_and_resets_the_fire_once_the_panel_has_none(
    console: ConsoleServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulators.guard.WAIT_S", 0)
    console.still_on = 1
    answered = asyncio.Event()

    class HeardGuard(Guard):
        async def reset_fire(self, reason: str) -> bool:
            try:
                return await super().reset_fire(reason)
            finally:
                answered.set()

    guard = guard_of(console, tmp_path, HeardGuard)
    assert "pw" not in repr(guard)
    stage = replace(set_up(FakeDevice(), FakeDevice()), guard=guard)
    player = Player(HOUR, stage, io.StringIO(), clock := ManualClock())
    reset = Step(1, 0.5, "", "reset", "somebody", None, "", 1.0)
    async with asyncio.TaskGroup() as group:
        playing = group.create_task(player.play(Plan((reset,), 1, ())), name="playing")
        await clock.advance(1)
        async with asyncio.timeout(20):
            await answered.wait()
        await clock.advance(60)
        await playing
    assert player.played.resets == 1
    assert console.asked[0] == ("/api/v1/session", {"name": "leader", "password": "pw"})
    assert console.asked[-1] == ("/api/v1/fire/reset", {"reason": HOUR.name})


async def test_a_panel_that_goes_on_saying_fire_is_not_reset(
    console: ConsoleServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulators.guard.WAIT_S", 0)
    monkeypatch.setattr("simulators.guard.TRIES", 2)
    console.still_on = 5
    assert await guard_of(console, tmp_path).reset_fire("over") is False


async def test_what_the_console_refuses_is_told_in_its_words(
    console: ConsoleServer, tmp_path: Path
) -> None:
    console.answer = 409, {"code": "no-fire"}
    with pytest.raises(GuardError, match="no-fire"):
        await guard_of(console, tmp_path).reset_fire("over")


def test_a_file_without_a_guard_says_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text("{}")
    with pytest.raises(ValueError, match=r"demo\.json: needs 'console' and the password"):
        Guard.from_file(tmp_path / "demo.json")


class FakeLane(FakeDevice):
    """Its arm is up while a vehicle that was let in is there, and down once that has gone."""

    def __init__(self, *, lets_in: bool = True) -> None:
        super().__init__()
        self.lets_in = lets_in

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        reply = await super().ask(request)
        waits = not {"pass", "leave"} & set(self.moves())
        arm = float(self.lets_in and "present" in self.moves() and waits)
        return {**reply, "barriers": [{"arm": arm, "vehicle": waits}]}


@pytest.mark.parametrize(
    ("expect", "lets_in", "stops_s", "moves"),
    [
        ("granted", True, 0.0, ["arrive", "present", "pass"]),
        ("granted", True, 6.0, ["arrive", "present", "stop", "pass"]),
        ("granted", False, 0.0, ["arrive", "present", "leave"]),
        ("permit_expired", False, 0.0, ["arrive", "present", "leave"]),
    ],
)
async def test_a_vehicle_comes_before_its_card_and_drives_in_or_backs_out(
    expect: str, lets_in: bool, stops_s: float, moves: list[str]
) -> None:
    board, reader = FakeLane(lets_in=lets_in), FakeDevice()
    reader.asked = board.asked  # one order of events
    drives = replace(step("drive", expect, stops_s), door="lane")
    player, taps = await played(board, reader, drives)
    assert board.moves() == moves
    assert [(tap["reader"], tap["expect"]) for tap in taps] == [("lane-in", expect)]
    assert player.played.passed == ("pass" in moves)
    assert player.played.waited_in_vain == (expect == "granted" and not lets_in)


async def test_told_to_stop_a_driver_who_has_not_shown_a_card_goes_away() -> None:
    clock, board, record = ManualClock(), FakeLane(), io.StringIO()
    player = Player(HOUR, set_up(board, board), record, clock)
    drives = replace(step("drive", "granted"), door="lane")
    async with asyncio.TaskGroup() as group:
        playing = group.create_task(player.play(Plan((drives,), 10, ())), name="playing")
        while "arrive" not in board.moves():
            await clock.advance(0.5)
        player.stop()
        await clock.advance(1)
        await playing
    assert board.moves() == ["arrive", "leave"]
    assert record.getvalue() == ""


async def test_a_lock_that_closes_before_the_handle_is_reached_is_not_forced() -> None:
    board = LocksAgain()
    player, _ = await played(board, FakeDevice(), step("enter", "granted"))
    assert board.moves() == ["open"]  # tried, and it did not move
    assert (player.played.passed, player.played.waited_in_vain) == (0, 1)


async def test_who_is_refused_does_not_touch_the_door() -> None:
    board = FakeDevice()
    _, taps = await played(board, FakeDevice(), step("refused", "expired"))
    assert board.moves() == []
    assert [tap["expect"] for tap in taps] == ["expired"]


async def test_a_card_that_never_reached_the_line_is_not_written_down() -> None:
    player, taps = await played(FakeDevice(), FakeDevice(sent=False), step("refused", "expired"))
    assert taps == []
    assert player.played.not_sent == 1


async def test_who_goes_out_presses_the_button_first() -> None:
    board = FakeDevice()
    await played(board, FakeDevice(), step("leave"))
    assert board.moves() == ["press_exit", "open", "close"]


async def test_a_door_is_forced_without_a_card_though_it_is_locked() -> None:
    board = FakeDevice(locked=True)
    player, taps = await played(board, FakeDevice(), step("forced"))
    assert board.moves() == ["open", "close"]
    assert (player.played.forced, taps) == (1, [])


async def test_told_to_stop_the_player_closes_the_door_and_ends() -> None:
    clock, board = ManualClock(), FakeDevice()
    player = Player(HOUR, set_up(board, board), io.StringIO(), clock)
    held = step("held", "granted", open_s=500)
    async with asyncio.TaskGroup() as group:
        steps = (held, Step(2, 600, "main-gate", "forced", "", None, "", 1))
        playing = group.create_task(player.play(Plan(steps, 1_000, ())), name="playing")
        while "open" not in board.moves():
            await clock.advance(0.5)
        player.stop()
        await clock.advance(1)
        await playing
    assert board.moves() == ["present", "open", "close"]
    assert player.stopped


# ---------------------------------------------------------------- keys, inputs and orders


async def test_a_pin_is_typed_after_its_card_and_both_are_one_tap() -> None:
    board, reader = FakeDevice(), FakeDevice()
    player, taps = await played(board, reader, step("enter", "granted", digits="4711"))
    assert reader.moves() == ["present", "press"]
    assert reader.asked[-1] == {"do": "press", "keys": "4711#", "gap_s": HOUR.pace.key_s}
    assert board.moves() == ["open", "close"]
    [tap] = taps
    assert (tap["kind"], tap["bits"], tap["sent_ns"]) == ("card", 40, 77)
    assert "4711" not in json.dumps(tap)
    assert player.played.taps == 1


async def test_a_code_alone_is_a_tap_and_who_knows_it_goes_through() -> None:
    board, reader = FakeDevice(), FakeDevice()
    player, [tap] = await played(board, reader, step("pin", "granted", digits="2468"))
    assert reader.asked == [{"do": "press", "keys": "2468#", "gap_s": HOUR.pace.key_s}]
    assert board.moves() == ["open", "close"]
    assert player.played.passed == 1
    assert tap == {
        "n": 1,
        "reader": "main-gate-in",
        "kind": "pin",
        "bits": 0,
        "masked": "••••",
        "sent_ns": 77,
        "expect": "granted",
    }


async def test_who_types_a_wrong_code_does_not_touch_the_door() -> None:
    board = FakeDevice()
    _, taps = await played(board, FakeDevice(), step("pin", "credential_unknown", digits="1"))
    assert board.moves() == []
    assert [tap["expect"] for tap in taps] == ["credential_unknown"]


async def test_a_code_that_did_not_get_through_is_not_written_down() -> None:
    reader = FakeDevice(sent=False)
    player, taps = await played(FakeDevice(), reader, step("pin", "x", digits="1"))
    assert (taps, player.played.not_sent) == ([], 1)


def fire(at_s: float = 0.5, open_s: float = 5.0) -> Step:
    return Step(1, at_s, "", "input", "fire", None, "", open_s)


async def test_a_fire_goes_on_while_people_come_and_is_over_after_its_time() -> None:
    board, others = FakeDevice(), FakeDevice()
    at_door = replace(step("forced", open_s=0.5), order=2, at_s=2.0)
    asked: list[Any] = []
    board.asked = others.asked = asked  # one order of events
    player, _ = await played(board, FakeDevice(), fire(), at_door, others=others)
    assert asked == [
        {"do": "input", "name": "fire"},
        {"do": "door", "action": "open", "door": 1},
        {"do": "door", "action": "close", "door": 1},
        {"do": "input", "name": "fire", "normal": True},
    ]
    assert player.played.inputs == 1


async def test_what_concerns_the_site_waits_for_people_who_are_late() -> None:
    board, others = FakeDevice(locked=True), FakeDevice()  # patience_s at a lock that never opens
    asked: list[Any] = []
    board.asked = others.asked = asked
    await played(board, FakeDevice(), step("enter", "granted"), fire(at_s=0.6), others=others)
    assert [request["do"] for request in asked[-2:]] == ["input", "input"]
    assert "status" in [request["do"] for request in asked[:-2]]


async def test_told_to_stop_nothing_goes_on_happening() -> None:
    clock, others = ManualClock(), FakeDevice()
    player = Player(HOUR, set_up(FakeDevice(), FakeDevice(), others), io.StringIO(), clock)
    async with asyncio.TaskGroup() as group:
        plan = Plan((fire(open_s=500),), 1_000, ())
        playing = group.create_task(player.play(plan), name="playing")
        while not others.asked:
            await clock.advance(0.5)
        player.stop()
        await clock.advance(1)
        await playing
    assert others.asked[-1] == {"do": "input", "name": "fire", "normal": True}


@pytest.mark.parametrize(("door", "target"), [("", "*"), ("side-door", "side-door")])
async def test_the_centre_orders_a_lockdown_and_waits_for_what_came_of_it(
    door: str, target: str
) -> None:
    centre = FakeDevice()
    order = Step(1, 0.5, door, "order", "lockdown", None, "", 1.0)
    player, taps = await played(FakeDevice(), FakeDevice(), order, centre=centre)
    [asked] = centre.asked
    assert (asked["do"], asked["action"], asked["target"]) == ("command", "lockdown", target)
    assert asked["wait_s"] > 0
    assert (player.played.orders, player.played.orders_failed, taps) == (1, 0, [])


async def test_an_order_that_was_not_carried_out_is_counted() -> None:
    centre = FakeDevice()
    centre.outcome = ""
    order = Step(1, 0.5, "", "order", "lift_lockdown", None, "", 1.0)
    player, _ = await played(FakeDevice(), FakeDevice(), order, centre=centre)
    assert player.played.orders_failed == 1


# ----------------------------------------------------------------------------------- real devices

STORY = """
name = "A code and a fire"
seed = 1
length_s = 60

[pace]
key_s = 0.01
step_s = 0.01
settle_s = 0.01

[[door]]
id = "side-door"
reader = "side-door-in"
bits = [26, 34]
board_door = 1

[crowd]
every_s = 600

[[scene]]
at_s = 1
door = "side-door"
act = "pin"
code = "4711"
expect = "credential_unknown"

[[scene]]
at_s = 2
act = "input"
input = "fire"
open_s = 0.3
"""


async def test_the_simulated_devices_play_it(tmp_path: Path, link: Path) -> None:
    story, record = tmp_path / "story.toml", tmp_path / "taps.jsonl"
    story.write_text(STORY)
    sockets = tmp_path / "reader.sock", tmp_path / "board.sock"
    reader = SimulatedReader("wiegand-hex", link, keypad=4, baud=115_200, control=sockets[0])
    board = SimulatedRelayBoard(
        tmp_path / "board",
        doors=(DoorWiring(1, 1),),
        named=(NamedInput("fire", 8, normally_active=True),),
        control=sockets[1],
    )
    parser = argparse.ArgumentParser()
    scenario.add_arguments(parser)
    files = ["--file", str(story), "--record", str(record), "--seconds", "2"]
    lines = ["--reader", f"side-door-in={sockets[0]}", "--board", str(sockets[1])]
    async with reader, board, asyncio.TaskGroup() as group:
        playing = group.create_task(scenario.run(parser.parse_args([*files, *lines])), name="play")
        await until(lambda: not board.terminals.inputs[7])
        await until(lambda: board.terminals.inputs[7])
        assert await playing == 0
        status = await obey(reader.controls(), b'{"do": "status"}')
    assert status["keys"] == len("4711#")
    taps = [json.loads(line) for line in record.read_text().splitlines()]
    assert [(tap["kind"], tap["expect"]) for tap in taps][:1] == [("pin", "credential_unknown")]
