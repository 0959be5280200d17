"""The GPIO driver at its seam: `gpiod.request_lines` is played, everything on this side of it is
real. This machine has no GPIO chip."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import gpiod
import pytest
from gpiod.line import Bias, Direction, Edge, Value
from pydantic import ValidationError

from drivers.doors import gpio
from drivers.doors.gpio import GpioBoard, GpioOptions
from gatewayd.clock import SystemClock
from gatewayd.domain.ports import (
    Clock,
    ControllerEvent,
    DeviceError,
    DriverContext,
    InputChanged,
    Offline,
    Online,
)
from tests.clock import ManualClock
from tests.protocols.transports.lines import Ear, running

CHIP = "/dev/gpiochip9"


class PlayedLines:
    """Stands for a `gpiod.LineRequest`: values by line, and a descriptor that edges wake."""

    def __init__(self, config: dict[int, gpiod.LineSettings]) -> None:
        self.config = config
        self.values = dict.fromkeys(config, Value.INACTIVE)
        self.follows = True
        self.gone = False
        self.released = False
        self.fd, self._other = os.pipe()
        os.set_blocking(self.fd, False)

    def change(self, line: int, active: bool, *, edge: bool = True) -> None:
        self.values[line] = Value(int(active))
        if edge:
            os.write(self._other, b"e")

    def get_value(self, line: int) -> Value:
        self._check()
        return self.values[line]

    def get_values(self, lines: Iterable[int]) -> list[Value]:
        return [self.get_value(line) for line in lines]

    def set_value(self, line: int, value: Value) -> None:
        self._check()
        if self.follows:
            self.values[line] = value

    def read_edge_events(self, most: int) -> list[object]:
        return list(os.read(self.fd, most))

    def release(self) -> None:
        self.released = True
        os.close(self.fd)
        os.close(self._other)

    def _check(self) -> None:
        if self.gone:
            raise OSError(errno.ENODEV, "No such device")


class Chip:
    """What is behind `gpiod.request_lines`."""

    def __init__(self) -> None:
        self.requests: list[PlayedLines] = []
        self.refuses: OSError | None = None

    @property
    def lines(self) -> PlayedLines:
        return self.requests[-1]

    def request(self, path: str, config: Any, consumer: str) -> PlayedLines:
        assert (path, consumer) == (CHIP, "gatewayd")
        if self.refuses is not None:
            raise self.refuses
        self.requests.append(PlayedLines(config))
        return self.lines


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chip]:
    chip = Chip()
    monkeypatch.setattr(gpiod, "request_lines", chip.request)
    yield chip
    assert all(lines.released for lines in chip.requests)


@asynccontextmanager
async def driving(
    clock: Clock | None = None, **options: Any
) -> AsyncIterator[tuple[GpioBoard, Ear[ControllerEvent]]]:
    settings = {"chip": CHIP, "relay_lines": [17, 27], "input_lines": [5, 6], **options}
    driver = gpio.DRIVER.build(
        GpioOptions(**settings), DriverContext("gate", clock or SystemClock())
    )
    assert isinstance(driver, GpioBoard)
    ear: Ear[ControllerEvent] = Ear()
    async with running(driver.run(ear.emit)):
        yield driver, ear


async def online(ear: Ear[ControllerEvent], inputs: int = 2) -> list[bool]:
    assert isinstance(await ear.next(), Online)
    states = [await ear.next() for _ in range(inputs)]
    return [state.active for state in states if isinstance(state, InputChanged)]


async def test_the_lines_are_asked_for_as_the_settings_say_and_relays_begin_released(
    chip: Chip,
) -> None:
    async with driving(relays_active_low=True, debounce_ms=30) as (_, ear):
        assert await online(ear) == [False, False]
        relay, entry = chip.lines.config[27], chip.lines.config[5]
        assert (relay.direction, relay.active_low) == (Direction.OUTPUT, True)
        assert relay.output_value is Value.INACTIVE
        assert (entry.direction, entry.edge_detection) == (Direction.INPUT, Edge.BOTH)
        assert (entry.bias, entry.active_low) == (Bias.PULL_UP, True)
        assert entry.debounce_period == timedelta(milliseconds=30)


async def test_a_relay_is_written_and_read_back(chip: Chip) -> None:
    async with driving() as (driver, ear):
        await online(ear)
        driver.expect_order()
        await driver.set_relay(2, True, 5.0)
        assert chip.lines.values == {
            17: Value.INACTIVE, 27: Value.ACTIVE, 5: Value.INACTIVE, 6: Value.INACTIVE,
        }  # fmt: skip
        chip.lines.follows = False
        with pytest.raises(DeviceError, match="line 27 does not follow"):
            await driver.set_relay(2, False)
        with pytest.raises(DeviceError, match="there is no relay 3; the settings name 2"):
            await driver.set_relay(3, True)


async def test_an_edge_tells_an_input_at_once(chip: Chip, clock: ManualClock) -> None:
    async with driving(clock) as (_, ear):
        await online(ear)
        chip.lines.change(6, active=True)
        changed = await ear.next()  # though the clock stands still
        assert isinstance(changed, InputChanged)
        assert (changed.input, changed.active) == (2, True)


async def test_an_edge_that_the_kernel_dropped_is_seen_all_the_same(
    chip: Chip, clock: ManualClock
) -> None:
    async with driving(clock) as (_, ear):
        await online(ear)
        chip.lines.change(5, active=True, edge=False)
        await clock.advance(0.15)
        changed = await ear.next()
        assert isinstance(changed, InputChanged)
        assert (changed.input, changed.active) == (1, True)


async def test_a_chip_that_goes_is_told_once_and_opened_again(
    chip: Chip, clock: ManualClock
) -> None:
    async with driving(clock) as (driver, ear):
        await online(ear)
        chip.lines.gone = True
        with pytest.raises(DeviceError, match="No such device"):
            await driver.set_relay(1, True)
        chip.refuses = FileNotFoundError(errno.ENOENT, "No such file or directory")
        await clock.advance(0.2)
        gone = await ear.next()
        assert isinstance(gone, Offline)
        assert f"gate at {CHIP}" in gone.reason
        with pytest.raises(DeviceError, match="is not open"):
            await driver.set_relay(1, True)
        await clock.advance(20)
        assert ear.waiting == 0
        chip.refuses = None
        await clock.advance(5)
        assert await online(ear) == [False, False]


async def test_without_inputs_the_relays_are_looked_at_to_know_that_the_chip_is_there(
    chip: Chip, clock: ManualClock
) -> None:
    async with driving(clock, input_lines=[]) as (_, ear):
        await online(ear, inputs=0)
        chip.lines.gone = True
        await clock.advance(0.2)
        assert isinstance(await ear.next(), Offline)


async def test_a_chip_that_is_not_there_is_the_librarys_own_word() -> None:
    async with driving() as (_, ear):
        gone = await ear.next()
        assert isinstance(gone, Offline)
        assert "No such file" in gone.reason


async def test_without_the_library_that_is_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    options = GpioOptions(chip=CHIP, relay_lines=(1,))
    assert gpio.DRIVER.faults_of(options) == []
    monkeypatch.setattr(gpio, "find_spec", lambda _name: None)
    [(key, why)] = gpio.DRIVER.faults_of(options)
    assert key == "driver"
    assert "gatewayd[gpio]" in why
    async with driving() as (_, ear):
        gone = await ear.next()
        assert isinstance(gone, Offline)
        assert why in gone.reason


@pytest.mark.parametrize(
    ("wrong", "about"),
    [
        ({"chip": "gpiochip0"}, "write a path such as"),
        ({"relay_lines": []}, "relay_lines"),
        ({"relay_lines": [5], "input_lines": [5]}, "line 5 is named twice"),
        ({"relay_lines": [-1]}, "relay_lines"),
        ({"pull": "sideways"}, "pull"),
    ],
)
def test_wrong_settings_are_refused_by_name(wrong: dict[str, Any], about: str) -> None:
    good: dict[str, Any] = {"chip": CHIP, "relay_lines": [1, 2], "input_lines": [3]}
    made = GpioOptions(**good)
    assert (made.relays, made.inputs, gpio.port_of(made)) == (2, 1, CHIP)
    with pytest.raises(ValidationError, match=about):
        GpioOptions(**{**good, **wrong})
