"""Scenarios: the file's checks, the plan's rules, and people at fake devices."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from simulators.cli import main
from simulators.compound import make_compound
from simulators.scenario import LIVELY_HOUR, Player, Stage
from simulators.scenario_plan import (
    RESTED,
    Plan,
    ScenarioError,
    Step,
    Telling,
    load_scenario,
    make_plan,
)
from tests.clock import ManualClock

NOW_MS = 1_795_000_000_000
COMPOUND = make_compound(1, date(2026, 11, 24))
HOUR = load_scenario(LIVELY_HOUR)


def plan(**telling: Any) -> Plan:  # the fields of Telling
    return make_plan(HOUR, COMPOUND, Telling(NOW_MS, **telling))


# ----------------------------------------------------------------------------------- file


def written(folder: Path, change: dict[str, str]) -> Path:
    text = LIVELY_HOUR.read_text(encoding="utf-8")
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "scenario.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"length_s = 3600": "length_s = 0"}, "length_s"),
        ({'door = "main-gate"': 'door = "back"'}, "names door 'back'; known: main-gate, side-door"),
        ({"at_s = 120": "at_s = 4000"}, "after length_s"),
        ({'act = "refused"': 'act = "dance"'}, r"scene\.0\.act"),
        ({'who = "expired"': 'who = "burglar"'}, r"scene\.0\.who"),
        ({"open_s = 12.0": ""}, "needs open_s"),
        ({'expect = "expired"': ""}, "expect names the decision"),
        ({"length_s = 3600": "length_s = 3600\nlenght_s = 1"}, "lenght_s"),
        ({"length_s = 3600": "length_s ="}, "Invalid value"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, change: dict[str, str], why: str) -> None:
    with pytest.raises(ScenarioError, match=why) as wrong:
        load_scenario(written(tmp_path, change))
    assert "scenario.toml" in str(wrong.value)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="No such file"):
        load_scenario(tmp_path / "none.toml")


# ----------------------------------------------------------------------------------- plan


def test_the_same_seed_speed_and_length_give_the_same_plan() -> None:
    assert plan(seconds=60) == plan(seconds=60)
    assert plan(seconds=60) != plan(seconds=60, seed=5)


@pytest.mark.parametrize("telling", [{"seconds": 60}, {"seconds": 30}, {"speed": 20}, {"speed": 1}])
def test_at_a_door_one_person_is_through_before_the_next_comes(telling: dict[str, float]) -> None:
    told = plan(**telling)
    pace = HOUR.pace
    for door in HOUR.door:
        lane = [step for step in told.steps if step.door == door.id]
        for step, following in pairwise(lane):
            least = step.open_s if step.act != "refused" else pace.hold_s
            assert following.at_s - step.at_s >= least + pace.step_s - 1e-9


def test_within_a_minute_all_scenes_are_told_early_and_taps_come_every_few_seconds() -> None:
    told = plan(seconds=60)
    assert told.left_out == ()
    scenes = {(s.act, s.who): s.at_s for s in told.steps if s.who != "resident"}
    assert {who for _, who in scenes} >= {"expired", "unknown", "lost", "cleaner-off-duty"}
    assert all(at_s < 46 for at_s in scenes.values())
    assert {"held", "forced", "enter", "leave", "refused"} == {s.act for s in told.steps}
    taps = [step.at_s for step in told.steps if step.card]
    assert len(taps) >= 20
    assert max(b - a for a, b in pairwise(taps)) < 8  # some go out between, without a card
    assert max(step.at_s for step in told.steps) < 60


def test_too_short_a_time_says_what_is_left_out() -> None:
    told = plan(seconds=12)
    assert told.left_out
    assert all(step.at_s < 12 for step in told.steps)


def test_speed_shortens_the_waits_and_not_the_doors() -> None:
    slow, fast = plan(speed=1), plan(speed=30)
    assert slow.length_s == 30 * fast.length_s
    [held] = [step for step in fast.steps if step.act == "held"]
    assert held.open_s == 12.0


def test_nobody_comes_twice_within_the_debounce() -> None:
    shown = [step.card for step in plan(seconds=120).steps if step.who == "resident" and step.card]
    for n, card in enumerate(shown):
        assert card not in shown[max(0, n - RESTED + 1) : n]


def test_each_reader_sees_cards_that_it_can_read() -> None:
    bits = {door.id: door.bits for door in HOUR.door}
    for step in plan(seconds=120).steps:
        assert step.card is None or step.card.bits in bits[step.door]


# ---------------------------------------------------------------------------------- player


class FakeDevice:
    """Answers as a simulated reader and relay board would; keeps what it was asked."""

    def __init__(self, *, locked: bool = False, sent: bool = True) -> None:
        self.asked: list[dict[str, Any]] = []
        self.locked = locked
        self.sent = sent

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request)
        await asyncio.sleep(0)
        if request["do"] == "present":
            return {"sent": self.sent, "first_ns": 42}
        if request["do"] == "status":
            return {"doors": [{"locked": self.locked}, {"locked": self.locked}]}
        forced = request["do"] == "door" and not request.get("only_if_unlocked")
        return {"moved": forced or not self.locked}

    def moves(self) -> list[str]:
        return [r.get("action", r["do"]) for r in self.asked if r["do"] != "status"]


def step(act: Any, expect: str = "", open_s: float = 1.0) -> Step:  # an Act
    card = COMPOUND.residents[0].card_for([40]) if expect else None
    return Step(1, 0.5, "main-gate", act, "resident", card, expect, open_s)


async def played(board: FakeDevice, reader: FakeDevice, *steps: Step) -> tuple[Player, list[Any]]:
    clock, record = ManualClock(), io.StringIO()
    stage = Stage(
        {"main-gate-in": reader, "side-door-in": reader},  # type: ignore[dict-item]  # a fake
        {"main-gate": board, "side-door": board},  # type: ignore[dict-item]  # a fake
    )
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
    stage = Stage({"main-gate-in": board}, {"main-gate": board, "side-door": board})  # type: ignore[dict-item]  # a fake
    player = Player(HOUR, stage, io.StringIO(), clock)
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


# -------------------------------------------------------------------------- command line


def test_the_plan_is_printed_without_touching_a_device(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["scenario", "--record", str(tmp_path / "r"), "--board", "b", "--reader", "a=b"]
    assert main([*common, "--plan", "--seconds", "20"]) == 0
    shown = capsys.readouterr().out
    assert "→ expired" in shown
    assert "left out, too little time" in shown
    assert COMPOUND.residents[0].issued[0].card.value not in shown


def test_a_scenario_without_its_readers_says_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["scenario", "--record", str(tmp_path / "r"), "--board", "b", "--reader", "a=b"]
    assert main(argv) == 1
    assert "missing for main-gate-in, side-door-in" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--reader", "nothing"], ["--speed", "0"], ["--seconds", "x"]])
def test_a_wrong_command_line_is_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(["scenario", "--record", "r", "--board", "b", "--reader", "a=b", *wrong])
