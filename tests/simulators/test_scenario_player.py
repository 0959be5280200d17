"""A scenario's people at fake devices: what they do, and what is written down of it."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from simulators import scenario
from simulators.compound import make_compound
from simulators.control import obey
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
    readers = {"main-gate-in": reader, "side-door-in": reader}
    return Stage(readers, {"main-gate": board, "side-door": board}, others or board, centre)


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
