"""The simulated barrier: its arm, its vehicle, and the hit that it must be able to show."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from simulators.control import obey
from simulators.relay_barrier import BarrierWiring, SimulatedBarrier
from simulators.relay_board import SimulatedRelayBoard, parse_barrier
from simulators.relay_terminals import DoorWiring, NamedInput, RelayTerminals
from tests.simulators.waiting import until

WIRING = BarrierWiring(open=1, close=2, loop=1, presence=2, up=3, down=4, name="north")


class Lane:
    def __init__(self, wiring: BarrierWiring = WIRING) -> None:
        self.terminals = RelayTerminals(8, 8, ())
        self.barrier = SimulatedBarrier(self.terminals, wiring)

    def relay(self, relay: int, on: bool) -> None:
        self.terminals.write_coil(relay - 1, on)

    def pulse(self, relay: int) -> None:
        self.relay(relay, True)
        self.live(0.1)
        self.relay(relay, False)

    def live(self, seconds: float) -> None:
        for _ in range(round(seconds * 50)):
            self.barrier.tick(0.02)

    def inputs(self) -> list[bool]:
        """Loop, presence, up, down."""
        return self.terminals.inputs[:4]


def test_an_arm_takes_its_time_up_and_down() -> None:
    lane = Lane()
    assert lane.inputs() == [False, False, False, True]
    lane.pulse(1)
    assert lane.inputs() == [False, False, False, False]
    lane.live(1.5)
    assert lane.inputs() == [False, False, True, False]
    lane.pulse(2)
    lane.live(1.5)
    assert lane.inputs() == [False, False, False, True]


def test_one_relay_holds_an_arm_up() -> None:
    lane = Lane(BarrierWiring(open=1, loop=1))
    lane.relay(1, True)
    lane.live(2)
    assert lane.barrier.arm == 1.0
    lane.relay(1, False)
    lane.live(2)
    assert lane.barrier.arm == 0.0


def test_a_driver_waits_for_the_arm_and_then_crosses_both_loops() -> None:
    lane = Lane()
    lane.barrier.order("arrive")
    assert lane.inputs()[:2] == [False, True]
    lane.barrier.order("pass")
    lane.live(5)
    assert lane.inputs()[:2] == [False, True]
    lane.pulse(1)
    lane.live(2.5)
    assert lane.inputs()[:2] == [True, False]
    lane.live(3)
    assert (lane.barrier.passed, lane.barrier.hits) == (1, 0)
    assert lane.inputs()[:2] == [False, False]


def test_a_vehicle_that_stops_under_the_arm_is_hit_once_by_an_arm_that_comes_down() -> None:
    lane = Lane()
    lane.barrier.order("arrive")
    lane.barrier.order("stop")
    lane.pulse(1)
    lane.live(4)
    assert lane.barrier.under_arm
    lane.pulse(2)
    lane.live(4)
    assert lane.barrier.hits == 1
    lane.barrier.order("leave")
    lane.live(5)
    assert lane.barrier.front_m is None
    assert lane.barrier.passed == 0


def test_one_vehicle_at_a_time() -> None:
    lane = Lane()
    with pytest.raises(ValueError, match="let one 'arrive' first"):
        lane.barrier.order("pass")
    lane.barrier.order("arrive")
    with pytest.raises(ValueError, match="is there already"):
        lane.barrier.order("arrive")


async def test_the_board_moves_its_barrier_and_takes_its_orders(tmp_path: Path) -> None:
    async def order(**request: Any) -> dict[str, Any]:
        return await obey(board.controls(), json.dumps(request).encode())

    async with SimulatedRelayBoard(tmp_path / "b", barriers=(WIRING,)) as board:
        assert (await order(do="vehicle", action="arrive"))["vehicle"]
        assert "let it 'pass'" in (await order(do="vehicle", action="arrive"))["error"]
        await order(do="vehicle", barrier=1, action="pass")
        board.terminals.write_coil(0, True)
        await until(lambda: board.barriers[0].passed == 1)
        [status] = (await order(do="status"))["barriers"]
        assert (status["barrier"], status["name"], status["hits"]) == (1, "north", 0)
    async with SimulatedRelayBoard(tmp_path / "c") as board:
        assert "--barrier" in (await order(do="vehicle", action="arrive"))["error"]


def test_a_barrier_is_wired_by_one_option() -> None:
    text = "open=1,close=2,loop=1,presence=2,up=3,down=4,name=north"
    assert parse_barrier(text) == WIRING
    for wrong in (
        "open=1",
        "loop=1",
        "open=1,loop=x",
        "open=1,loop=1,wing=2",
        "open=1,loop=1,travel_s=soon",
    ):
        with pytest.raises(argparse.ArgumentTypeError, match="write open=1"):
            parse_barrier(wrong)


@pytest.mark.parametrize(
    "wiring",
    [
        BarrierWiring(9, 5),
        BarrierWiring(1, 5),
        BarrierWiring(3, 9),
        BarrierWiring(3, 1),
        BarrierWiring(3, 6),
    ],
)
def test_a_terminal_that_is_taken_or_not_there_is_refused(
    tmp_path: Path, wiring: BarrierWiring
) -> None:
    doors, named = (DoorWiring(1, 1, 2),), (NamedInput("fire", 6),)
    with pytest.raises(ValueError, match="--barrier"):
        SimulatedRelayBoard(tmp_path / "b", doors=doors, named=named, barriers=(wiring,))
