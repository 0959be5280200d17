"""What is wired to the simulated board's inputs beside doors: it happens by its name."""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from simulators.cli import main
from simulators.control import obey
from simulators.modbus_wire import seal
from simulators.relay_board import SimulatedRelayBoard, add_arguments, parse_input
from simulators.relay_terminals import DoorWiring, NamedInput
from tests.simulators.waiting import Tty

NORTH = DoorWiring(relay=1, contact=1, exit=2, name="north")
FIRE = NamedInput("fire", 8)
TAMPER = NamedInput("tamper", 7, normally_active=True)  # a loop that is cut when it happens


async def order(board: SimulatedRelayBoard, **request: Any) -> dict[str, Any]:
    return await obey(board.controls(), json.dumps(request).encode())


@pytest.fixture
async def board(link: Path) -> AsyncIterator[SimulatedRelayBoard]:
    async with SimulatedRelayBoard(
        link, doors=(NORTH,), named=(FIRE, TAMPER), baud=115_200
    ) as board:
        yield board


async def test_what_is_wired_to_an_input_happens_by_its_name_whatever_its_polarity(
    board: SimulatedRelayBoard,
) -> None:
    assert board.terminals.inputs[6:] == [True, False]
    assert (await order(board, do="input", name="tamper"))["inputs"][6:] == [False, False]
    assert (await order(board, do="input", name="fire"))["inputs"][6:] == [False, True]
    assert (await order(board, do="input", name="fire"))["inputs"][6:] == [False, True]
    named = (await order(board, do="status"))["named"]
    assert named[0] == {"name": "fire", "terminal": 8, "normal": False}
    for name in ("fire", "tamper"):
        await order(board, do="input", name=name, normal=True)
    assert board.terminals.inputs[6:] == [True, False]
    named = (await order(board, do="status"))["named"]
    assert [each["normal"] for each in named] == [True, True]


async def test_it_is_seen_over_the_wire(
    board: SimulatedRelayBoard, link: Path, clients: list[Tty]
) -> None:
    clients.append(Tty(link))
    await order(board, do="input", name="fire")
    clients[0].write(bytes.fromhex("01020000000879CC"))
    assert await clients[0].read(6) == seal(bytes.fromhex("010201C1"))  # 8, 7 and the shut door


@pytest.mark.parametrize(
    ("request_fields", "words"),
    [
        ({"name": "flood"}, "no input is named 'flood'; known: fire, tamper"),
        ({}, "'input' (a terminal) or 'name'"),
        ({"name": "fire", "input": 8}, "'input' (a terminal) or 'name'"),
        ({"name": "fire", "active": True}, "'active' goes with 'input'"),
        ({"input": 8, "normal": True}, "'normal' goes with 'name'"),
        ({"name": "fire", "normal": 1}, "'normal' must be true or false"),
    ],
)
async def test_a_wrong_order_says_what_to_write_and_moves_nothing(
    request_fields: dict[str, Any], words: str, board: SimulatedRelayBoard
) -> None:
    assert words in (await order(board, do="input", **request_fields))["error"]
    assert board.terminals.inputs[6:] == [True, False]


async def test_a_board_without_named_inputs_says_how_to_name_one(link: Path) -> None:
    async with SimulatedRelayBoard(link) as board:
        reply = await order(board, do="input", name="fire")
    assert "give --input name=…,terminal=N" in reply["error"]


# --------------------------------------------------------------------------------- command line


def test_an_input_is_read_from_its_option() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    wired = ["--input", "name=fire,terminal=8", "--input", "name=tamper, terminal=7, normal=active"]
    assert parser.parse_args(["--link", "x", *wired]).input == [FIRE, TAMPER]
    assert parser.parse_args(["--link", "x"]).input == []


@pytest.mark.parametrize(
    "text",
    ["fire", "terminal=8", "name=fire", "name=fire,terminal=x", "name=fire,terminal=8,normal=on"],
)
def test_a_wrong_option_shows_a_right_one(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write name=fire,terminal=8"):
        parse_input(text)


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ((NamedInput("fire", 9),), "name=fire,terminal=9: the board has 1 to 8"),
        ((NamedInput("fire", 0),), "the board has 1 to 8"),
        ((NamedInput("fire", 2),), "that terminal is taken"),
        ((FIRE, NamedInput("smoke", 8)), "name=smoke,terminal=8: that terminal is taken"),
        ((FIRE, NamedInput("fire", 7)), "that name is taken"),
    ],
)
def test_an_input_that_cannot_be_is_refused(
    named: tuple[NamedInput, ...], why: str, link: Path
) -> None:
    with pytest.raises(ValueError, match=why):
        SimulatedRelayBoard(link, doors=(NORTH,), named=named)


def test_a_board_that_cannot_be_ends_with_the_option_that_is_wrong(
    link: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["relay-board", "--link", str(link), "--door", "relay=1,contact=8"]
    assert main([*argv, "--input", "name=fire,terminal=8"]) == 2
    assert "--input name=fire,terminal=8: that terminal is taken" in capsys.readouterr().out
