"""The driver of LCUS boards on a pty, byte for byte, and against the simulated board."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.doors import lcus_relay
from drivers.doors.lcus_relay import LcusRelayBoard, LcusRelayOptions
from gatewayd.clock import SystemClock
from gatewayd.domain.ports import (
    Clock,
    ControllerEvent,
    DeviceError,
    DriverContext,
    DriverKind,
    Malformed,
    Offline,
    Online,
)
from simulators.lcus_board import SimulatedLcusBoard
from tests.clock import ManualClock
from tests.protocols.transports.lines import Ear, PtyDevice, running

ON_1 = bytes.fromhex("A0 01 01 A2")
OFF_1 = bytes.fromhex("A0 01 00 A1")
ON_2 = bytes.fromhex("A0 02 01 A3")


@asynccontextmanager
async def driving(
    port: str, clock: Clock | None = None, **options: Any
) -> AsyncIterator[tuple[LcusRelayBoard, Ear[ControllerEvent]]]:
    """The driver at work, past Online."""
    driver = lcus_relay.DRIVER.build(
        LcusRelayOptions(port=port, relays=2, **options),
        DriverContext("strike", clock or SystemClock()),
    )
    assert isinstance(driver, LcusRelayBoard)
    ear: Ear[ControllerEvent] = Ear()
    async with running(driver.run(ear.emit)):
        assert await ear.next() == Online(f"strike at {port}, whose relays can't be read back")
        yield driver, ear


async def test_a_relay_is_switched_with_the_documented_frames(device: PtyDevice) -> None:
    async with driving(device.path) as (driver, _):
        await driver.set_relay(1, energised=True)
        await driver.set_relay(1, energised=False)
        await driver.set_relay(2, energised=True)
        assert await device.receive(12) == ON_1 + OFF_1 + ON_2


async def test_each_relay_is_told_its_last_state_again_and_again(
    device: PtyDevice, clock: ManualClock
) -> None:
    async with driving(device.path, clock) as (driver, _):
        await driver.set_relay(1, energised=True)
        async with running(driver.set_relay(1, energised=False)):
            await clock.advance(0.1)
        assert await device.receive(8) == ON_1 + OFF_1
        await clock.advance(0.95)
        assert await device.receive(4) == OFF_1
        async with running(driver.set_relay(2, energised=True)):
            await clock.advance(0.1)
        assert await device.receive(4) == ON_2
        await clock.advance(1.05)
        assert await device.receive(8) == OFF_1 + ON_2


async def test_two_frames_are_a_frame_s_time_apart(device: PtyDevice, clock: ManualClock) -> None:
    async with driving(device.path, clock) as (driver, _):
        await driver.set_relay(1, energised=True)
        async with running(driver.set_relay(2, energised=True)) as second:
            await clock.advance(0.008)
            assert not second.done()
            await clock.advance(0.001)  # 8 bytes of 10 bits at 9600 baud are 8.3 ms
            assert second.done()


async def test_what_was_said_before_an_outage_is_not_said_after_it(
    device: PtyDevice, clock: ManualClock
) -> None:
    async with driving(device.path, clock) as (driver, ear):
        await driver.set_relay(1, energised=True)
        device.unplug()
        gone = await ear.next()
        assert isinstance(gone, Offline)
        assert device.path in gone.reason
        await clock.advance(0.02)
        with pytest.raises(DeviceError, match="not connected"):
            await driver.set_relay(2, energised=True)
        device.plug_in()
        await clock.advance(5)
        assert isinstance(await ear.next(), Online)
        await driver.set_relay(1, energised=False)
        await clock.advance(0.95)  # in which one refresh is due
        assert await device.receive(8) == OFF_1 + OFF_1
        assert device.master is not None
        with pytest.raises(BlockingIOError):
            os.read(device.master, 1)


async def test_a_device_that_speaks_is_malformed(device: PtyDevice) -> None:
    async with driving(device.path) as (_, ear):
        device.send(b"CH1: ON\r\n")
        said = await ear.next()
        assert isinstance(said, Malformed)
        assert "is it the right port?" in said.reason


@pytest.mark.parametrize("relay", [0, 3, -1])
async def test_a_relay_that_the_settings_do_not_have_is_not_told(
    device: PtyDevice, relay: int
) -> None:
    async with driving(device.path) as (driver, _):
        with pytest.raises(DeviceError, match="the settings say 1 to 2"):
            await driver.set_relay(relay, energised=True)
        await driver.set_relay(1, energised=True)
        assert await device.receive(4) == ON_1


async def test_a_line_that_takes_nothing_fails_within_the_deadline(
    device: PtyDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with driving(device.path) as (driver, _):

        async def never(_data: bytes) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(lcus_relay, "SWITCH_DEADLINE_S", 0.05)
        monkeypatch.setattr(driver._line, "write", never)
        with pytest.raises(DeviceError, match=r"relay 1 was not told within 0\.05 s"):
            await driver.set_relay(1, energised=True)


async def test_before_it_runs_a_relay_is_an_error_not_a_wait(device: PtyDevice) -> None:
    driver = LcusRelayBoard(
        LcusRelayOptions(port=device.path), DriverContext("strike", SystemClock())
    )
    driver.expect_order()
    with pytest.raises(DeviceError, match="not connected"):
        await driver.set_relay(1, energised=True)


@pytest.mark.parametrize(
    "wrong",
    [{"relays": 0}, {"relays": 33}, {"refresh_ms": 99}, {"port": "COM3"}, {"inputs": 2}],
)
def test_settings_that_can_not_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LcusRelayOptions(**{"port": "/dev/x", **wrong})


def test_the_driver_says_what_it_is() -> None:
    assert lcus_relay.DRIVER.kind is DriverKind.CONTROLLER
    assert lcus_relay.DRIVER.port_of(LcusRelayOptions(port="/dev/x")) == "/dev/x"


# ----------------------------------------------------------------------- the simulated board


async def test_a_lost_frame_and_a_board_without_supply_are_put_right(tmp_path: Path) -> None:
    async with (
        SimulatedLcusBoard(tmp_path / "tty", relays=2, baud=115_200) as board,
        driving(str(tmp_path / "tty"), refresh_ms=100) as (driver, _),
    ):
        board.faults.put("lose", times=1)
        await driver.set_relay(1, energised=True)
        async with asyncio.timeout(5):
            await board.terminals.wait_for_relay(1, energised=True)
        board.terminals.write_coil(0, energised=False)
        async with asyncio.timeout(5):
            await board.terminals.wait_for_relay(1, energised=True)
        assert (board.dropped, board.terminals.coils) == (0, [True, False])
