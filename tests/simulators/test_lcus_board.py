"""The simulated LCUS board against raw frames and its orders."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from simulators import lcus_board
from simulators.control import obey
from simulators.lcus_board import SimulatedLcusBoard
from tests.simulators.waiting import Tty, is_there, until


async def order(board: SimulatedLcusBoard, **request: Any) -> dict[str, Any]:
    return await obey(board.controls(), json.dumps(request).encode())


async def test_it_obeys_frames_and_nothing_else(tmp_path: Path) -> None:
    async with SimulatedLcusBoard(tmp_path / "tty", relays=2) as board:
        wire = Tty(tmp_path / "tty")
        wire.write(bytes.fromhex("A00101A2"))
        assert (await order(board, do="wait_relay", relay=1))["reached"]
        wire.write(bytes.fromhex("A0 02 01 A2  A0 03 01 A4  A0 01 02 A3  A0 A0 02 01 A3"))
        assert (await order(board, do="wait_relay", relay=2))["reached"]
        wire.write(bytes.fromhex("A00100A1"))
        assert (await order(board, do="wait_relay", relay=1, energised=False))["reached"]
        status = await order(board, do="status")
        wire.close()
    assert (status["frames"], status["dropped"]) == (3, 13)
    assert [relay["times_on"] for relay in status["relays"]] == [1, 1]


async def test_its_faults(tmp_path: Path) -> None:
    async with SimulatedLcusBoard(tmp_path / "tty", relays=2) as board:
        wire = Tty(tmp_path / "tty")
        await order(board, do="fault", kind="lose", times=1)
        wire.write(bytes.fromhex("A00101A2"))
        await until(lambda: board.frames == 1)
        assert board.terminals.coils == [False, False]
        wire.write(bytes.fromhex("A00101A2"))
        await until(lambda: board.terminals.coils == [True, False])
        await order(board, do="fault", kind="power_cycle")
        assert board.terminals.coils == [False, False]
        await order(board, do="fault", kind="stuck", relay=2, state="on")
        assert board.terminals.coils == [False, True]
        await order(board, do="fault", kind="unplug")
        assert not is_there(tmp_path / "tty")
        assert (await order(board, do="wait_relay", relay=1, timeout_s=0))["reached"] is False
        assert (await order(board, do="fault", kind="replug"))["plugged"]
        await order(board, do="fault", kind="unplug")
        assert (await order(board, do="clear"))["plugged"]
        assert board.terminals.coils == [False, False]
        await order(board, do="fault", kind="unplug")
        (tmp_path / "tty").mkdir()
        assert "can't plug in again" in (await order(board, do="clear"))["error"]
        wire.close()


@pytest.mark.parametrize(
    ("request_fields", "words"),
    [
        ({"do": "wait_relay", "relay": 3}, "from 1 to 2"),
        ({"do": "fault", "kind": "noise"}, "lose, power_cycle"),
        ({"do": "fault", "kind": "stuck", "relay": 1}, "on, off, free"),
    ],
)
async def test_a_wrong_order_says_what_there_is(
    request_fields: dict[str, Any], words: str, tmp_path: Path
) -> None:
    async with SimulatedLcusBoard(tmp_path / "tty", relays=2) as board:
        assert words in (await order(board, **request_fields))["error"]


async def test_a_board_that_is_not_made_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    lcus_board.add_arguments(parser)
    args = parser.parse_args(["--link", str(tmp_path / "tty"), "--relays", "33"])
    assert await lcus_board.run(args) == 2
    assert "1 to 32" in capsys.readouterr().out
