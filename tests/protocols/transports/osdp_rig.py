"""The OSDP drivers at work on a simulated line: a bus, its readers and boards, an ear for each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from drivers.buses.osdp import OsdpBus, OsdpBusOptions
from drivers.doors.osdp import OsdpIo, OsdpIoOptions
from drivers.readers.osdp import OsdpReader, OsdpReaderOptions
from gatewayd.clock import SystemClock
from gatewayd.domain import wiegand
from gatewayd.domain.model import NS_PER_S, Stamp
from gatewayd.domain.ports import (
    BusEvent,
    ControllerEvent,
    DriverContext,
    PowerChanged,
    Presented,
    ReaderEvent,
)
from simulators.osdp_device import READER, OsdpModel, SimulatedOsdpDevice
from simulators.osdp_line import SimulatedOsdpLine
from tests.protocols.transports.lines import Ear

KEY = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
OTHER_KEY = bytes.fromhex("FFEEDDCCBBAA99887766554433221100")
LEAP_S = 0.06  # longer waits than this are for nothing but time to go by

Part = TypeVar("Part")
Event = TypeVar("Event")


class LeapingClock(SystemClock):
    """The system's, but whoever would sleep for long wakes at once, so much later.

    `leaps`: how long the sleeps were, in seconds. The bus sleeps long only with nobody online.
    """

    def __init__(self) -> None:
        super().__init__()
        self.leaps: list[float] = []
        self._ahead_ns = 0

    def monotonic_ns(self) -> int:
        return time.monotonic_ns() + self._ahead_ns

    def now(self) -> Stamp:
        return replace(super().now(), monotonic_ns=self.monotonic_ns())

    async def sleep_until(self, monotonic_ns: int) -> None:
        wait_s = (monotonic_ns - self.monotonic_ns()) / NS_PER_S
        if wait_s <= LEAP_S:
            await asyncio.sleep(max(0.0, wait_s))
            return
        self.leaps.append(wait_s)
        self._ahead_ns += round(wait_s * NS_PER_S)
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Watched(Generic[Part, Event]):
    """A driver and what it has told."""

    driver: Part
    ear: Ear[Event]

    async def until(self, kind: type[Event]) -> list[Event]:
        """Everything up to the first event of that kind."""
        return await self.ear.until(lambda event: isinstance(event, kind))


class Panel:
    """The drivers of one bus. Readers and boards are made before `start`."""

    def __init__(self, port: Path, folder: Path, tg: asyncio.TaskGroup, **options: Any) -> None:
        self.clock: SystemClock = options.pop("clock", None) or SystemClock()
        self.bus = OsdpBus(
            OsdpBusOptions(port=str(port), **{"baud_rate": 115_200, **options}),
            DriverContext("bus-1", self.clock),
        )
        self.ear: Ear[BusEvent] = Ear()
        self._folder = folder
        self._tg = tg
        self._tasks: list[asyncio.Task[None]] = []

    def key_file(self, key: bytes) -> Path:
        path = self._folder / f"key-{key.hex()[:8]}"
        path.write_text(key.hex() + "\n", encoding="ascii")
        return path

    def place(self, address: int, key: bytes | None) -> dict[str, Any]:
        how = {"clear_text": True} if key is None else {"key_file": self.key_file(key)}
        return {"bus": "bus-1", "address": address, **how}

    def reader(
        self, address: int = 0, key: bytes | None = KEY, *, runs: bool = True, **options: Any
    ) -> Watched[OsdpReader, ReaderEvent]:
        settings = OsdpReaderOptions(**self.place(address, key), **options)
        reader = OsdpReader(settings, DriverContext(f"reader-{address}", self.clock, self.bus))
        watched: Watched[OsdpReader, ReaderEvent] = Watched(reader, Ear())
        if runs:
            self.run(reader.run(watched.ear.emit))
        return watched

    def board(
        self, address: int = 1, key: bytes | None = KEY, *, runs: bool = True, **options: Any
    ) -> Watched[OsdpIo, ControllerEvent]:
        settings = OsdpIoOptions(**self.place(address, key), **{"relays": 4, **options})
        board = OsdpIo(settings, DriverContext(f"board-{address}", self.clock, self.bus))
        watched: Watched[OsdpIo, ControllerEvent] = Watched(board, Ear())
        if runs:
            self.run(board.run(watched.ear.emit))
        return watched

    def start(self) -> asyncio.Task[None]:
        return self.run(self.bus.run(self.ear.emit))

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._tg.create_task(work, name="a driver under test")
        self._tasks.append(task)
        return task

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()


@asynccontextmanager
async def panel_at(port: Path, **options: Any) -> AsyncIterator[Panel]:
    """Drivers for whatever is at the port."""
    async with asyncio.TaskGroup() as tg:
        panel = Panel(port, port.parent, tg, **options)
        try:
            yield panel
        finally:
            panel.stop()


@asynccontextmanager
async def panel_and_line(
    folder: Path, *devices: SimulatedOsdpDevice, baud: int = 115_200, seed: int = 0, **options: Any
) -> AsyncIterator[tuple[Panel, SimulatedOsdpLine]]:
    """Drivers on a line of simulated devices."""
    port = folder / "ttyOSDP"
    async with (
        SimulatedOsdpLine(port, devices, baud=baud, seed=seed) as line,
        panel_at(port, baud_rate=baud, **options) as panel,
    ):
        yield panel, line


def device(
    address: int = 0, model: OsdpModel = READER, *, key: bytes | None = KEY, **options: Any
) -> SimulatedOsdpDevice:
    return SimulatedOsdpDevice(address, model, key=key, **options)


async def online(watched: Watched[Any, Any]) -> list[Any]:
    """Past Online and what stands of the device's own state; all that was told."""
    return await watched.ear.until(lambda event: isinstance(event, PowerChanged))


def tap(reader: SimulatedOsdpDevice, number: int = 1) -> int:
    """A 26 bit card; its raw bits."""
    bits = wiegand.encode("H10301", 1, number)
    assert reader.present_card(26, bits)
    return bits


async def card(watched: Watched[OsdpReader, ReaderEvent]) -> int:
    """The raw bits of the next event, which is a card."""
    event = await watched.ear.next()
    assert isinstance(event, Presented), event
    return int(event.credential.value, 16)


def of(kind: type[Event], events: list[Any]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


def just_before(panel: Panel, code: int, then: Callable[[], object]) -> None:
    """Once, as the bus sends the first command of that code in a secure channel."""
    write = panel.bus._line.write

    async def watch(frame: bytes) -> None:
        if frame[7] == code:
            panel.bus._line.write = write  # type: ignore[method-assign]  # as it was
            then()
        await write(frame)

    panel.bus._line.write = watch  # type: ignore[method-assign,assignment]  # it only watches
