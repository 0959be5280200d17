"""A relay that no door has: on for a while, and off in the end whatever happens."""

from __future__ import annotations

import asyncio
from unittest.mock import patch

import pytest

from gatewayd import outputs
from gatewayd.domain.ports import DeviceError
from gatewayd.outputs import Output
from tests.clock import ManualClock
from tests.fakes import FakeBoard, running


class Siren:
    def __init__(self) -> None:
        self.clock, self.board = ManualClock(), FakeBoard()
        self.output = Output(self.board, 4, self.clock)

    def on(self) -> bool:
        return self.board.relays.get(4, False)


async def test_it_is_off_from_the_start_on_for_its_time_and_off_again() -> None:
    siren = Siren()
    async with running(siren.output.run()):
        await siren.board.until(4, False)
        await siren.output.switch(5)
        assert siren.on()
        await siren.clock.advance(4.9)
        assert siren.on()
        await siren.clock.advance(0.1)
        assert not siren.on()
        await siren.output.switch(2)
        await siren.clock.advance(2)
        assert siren.board.orders == [(4, False), (4, True), (4, False), (4, True), (4, False)]


async def test_once_more_while_it_is_on_makes_it_longer_and_never_shorter() -> None:
    siren = Siren()
    async with running(siren.output.run()):
        await siren.output.switch(10)
        await siren.clock.advance(5)
        await siren.output.switch(10)
        await siren.output.switch(1)
        await siren.clock.advance(9.9)
        assert siren.on()
        await siren.clock.advance(0.1)
        assert not siren.on()


async def test_a_board_that_does_not_confirm_is_told_off_until_it_does() -> None:
    siren = Siren()
    siren.board.broken = "board-1: no reply"
    async with running(siren.output.run()):
        with pytest.raises(DeviceError, match="no reply"):
            await siren.output.switch(3)
        siren.board.relays[4] = True  # the answer was lost, the relay had moved
        await siren.clock.advance(10)
        assert siren.on()
        siren.board.broken = None
        await siren.clock.advance(1)
        assert not siren.on()


async def test_a_board_that_never_answers_has_failed() -> None:
    siren = Siren()

    async def never(_relay: int, _energised: bool, _for_s: float | None) -> None:
        await asyncio.Event().wait()

    with (
        patch.object(siren.board, "set_relay", never),
        patch.object(outputs, "DRIVE_TIMEOUT_S", 0.01),
        pytest.raises(DeviceError, match="no answer within"),
    ):
        await siren.output.switch(3)


async def test_at_the_end_what_is_on_is_switched_off() -> None:
    siren = Siren()
    async with running(siren.output.run()):
        await siren.board.until(4, False)
        await siren.output.switch(3_600)
    await siren.output.off_before_the_end()
    assert not siren.on()
    orders = len(siren.board.orders)
    await siren.output.off_before_the_end()
    assert len(siren.board.orders) == orders
