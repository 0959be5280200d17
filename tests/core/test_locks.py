"""An arm moved by pulses: never both at once, and each pulse ends whatever happens."""

from __future__ import annotations

import asyncio

import pytest

from gatewayd.domain.ports import DeviceError
from gatewayd.locks import HeldRelay, PulsedArm
from tests.clock import ManualClock
from tests.fakes import FakeBoard, running

UP, DOWN, STOP = 1, 2, 3


class Rig:
    def __init__(self, stop: int | None = None) -> None:
        self.clock, self.board = ManualClock(), FakeBoard()
        self.arm = PulsedArm(self.board, UP, DOWN, stop, 0.5, self.clock)

    def on(self) -> set[int]:
        return {relay for relay, energised in self.board.relays.items() if energised}


async def test_a_pulse_lasts_its_time_and_ends() -> None:
    rig = Rig()
    async with running(rig.arm.run()):
        await rig.clock.advance(0)
        await rig.arm.drive(unlocked=True)
        assert rig.on() == {UP}
        await rig.clock.advance(0.5)
        assert rig.on() == set()


async def test_turned_round_the_other_pulse_ends_first_and_stop_goes_before() -> None:
    rig = Rig(STOP)
    async with running(rig.arm.run()):
        await rig.clock.advance(0)
        await rig.arm.drive(unlocked=False)
        rig.board.orders.clear()
        await rig.arm.drive(unlocked=True)
        assert rig.board.orders == [(DOWN, False), (STOP, True), (UP, True)]
        await rig.clock.advance(0.5)
        assert rig.on() == set()
        await rig.arm.drive(unlocked=True)
        assert rig.on() == {UP}  # the same way once more needs no stop


async def test_while_the_other_pulse_cant_be_ended_none_begins() -> None:
    rig = Rig()
    async with running(rig.arm.run()):
        await rig.clock.advance(0)
        await rig.arm.drive(unlocked=False)
        rig.board.broken = "board-1: no reply"
        with pytest.raises(DeviceError, match="no reply"):
            await rig.arm.drive(unlocked=True)
        assert rig.on() == {DOWN}
        rig.board.broken = None
        await rig.clock.advance(2)
        assert rig.on() == set()


async def test_an_order_that_is_cancelled_leaves_no_pulse_on() -> None:
    rig = Rig()
    async with running(rig.arm.run()):
        await rig.clock.advance(0)
        drive = asyncio.ensure_future(rig.arm.drive(unlocked=True))
        await rig.board.until(UP, True)
        drive.cancel()
        await rig.clock.advance(1)
        assert rig.on() == set()


async def test_at_the_end_a_pulse_has_its_time_and_no_more() -> None:
    rig = Rig()
    await rig.arm.drive(unlocked=False)
    end = asyncio.ensure_future(rig.arm.finish())
    await rig.clock.advance(0.4)
    assert rig.on() == {DOWN}
    await rig.clock.advance(0.2)
    await end
    assert rig.on() == set()


async def test_a_held_relay_is_as_it_was_told() -> None:
    board = FakeBoard()
    lock = HeldRelay(board, 1, energised_means_unlocked=False)
    await lock.run()
    await lock.drive(unlocked=True)
    await lock.finish()
    assert board.relays == {1: False}
