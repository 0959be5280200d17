"""Several Modbus boards on one line: turns, dead ones, orders first; pulses that boards time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import ValidationError
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.buses import modbus
from drivers.buses.modbus import ModbusBus, ModbusBusOptions, Station
from drivers.doors import modbus_relay
from drivers.doors.modbus_relay import ModbusRelayBoard, ModbusRelayOptions
from gatewayd.clock import SystemClock
from gatewayd.domain.ports import (
    BusEvent,
    Clock,
    ControllerEvent,
    DeviceError,
    DriverContext,
    InputChanged,
    Offline,
    Online,
)
from simulators.modbus_line import SimulatedModbusLine
from tests.clock import ManualClock
from tests.protocols.transports.boards import Board
from tests.protocols.transports.lines import Ear, PtyDevice, running

T = TypeVar("T")


@dataclass
class Part:
    driver: ModbusRelayBoard
    ear: Ear[ControllerEvent]

    async def until(self, kind: type[ControllerEvent]) -> ControllerEvent:
        return (await self.ear.until(lambda event: isinstance(event, kind)))[-1]


async def done(work: Coroutine[Any, Any, T], clock: ManualClock, step_s: float = 0.001) -> T:
    """Its result, with time going on meanwhile."""
    async with asyncio.timeout(10):
        task = asyncio.ensure_future(work)
        while not task.done():
            await clock.advance(step_s)
    return await task


@asynccontextmanager
async def line_of(
    port: str, ids: range, clock: Clock | None = None, *, baud_rate: int = 115_200, **options: Any
) -> AsyncIterator[tuple[Ear[BusEvent], dict[int, Part]]]:
    """A bus and its boards at work."""
    clock = clock or SystemClock()
    bus = modbus.DRIVER.build(
        ModbusBusOptions(port=port, baud_rate=baud_rate), DriverContext("line", clock)
    )
    parts = {}
    quick = {"poll_ms": 20, "timeout_ms": 2_000, **options}
    for device_id in ids:
        driver = modbus_relay.DRIVER.build(
            ModbusRelayOptions(bus="line", device_id=device_id, **quick),
            DriverContext(f"board-{device_id}", clock, bus),
        )
        assert isinstance(driver, ModbusRelayBoard)
        parts[device_id] = Part(driver, Ear())
    ear: Ear[BusEvent] = Ear()
    async with AsyncExitStack() as stack:
        for part in parts.values():
            await stack.enter_async_context(running(part.driver.run(part.ear.emit)))
        await stack.enter_async_context(running(bus.run(ear.emit)))
        yield ear, parts


@pytest.fixture
async def boards(device: PtyDevice) -> AsyncIterator[dict[int, Board]]:
    made = {device_id: Board(device, device_id) for device_id in (1, 2, 3)}
    made[1].others = [made[2], made[3]]
    made[1].attach()
    yield made
    made[1].detach()


async def test_boards_of_one_line_are_each_read_and_switched(boards: dict[int, Board]) -> None:
    boards[2].inputs[4] = True
    async with line_of(boards[1].device.path, range(1, 4)) as (ear, parts):
        assert isinstance(await ear.next(), Online)
        for number, part in parts.items():
            assert isinstance(await part.ear.next(), Online)
            inputs = [await part.ear.next() for _ in range(8)]
            active = [e.input for e in inputs if isinstance(e, InputChanged) and e.active]
            assert active == ([5] if number == 2 else [])
        await asyncio.gather(
            *(part.driver.set_relay(number, energised=True) for number, part in parts.items())
        )
        assert [boards[n].relays.index(True) for n in (1, 2, 3)] == [0, 1, 2]


async def test_the_line_and_all_its_boards_go_and_come_together(
    boards: dict[int, Board], clock: ManualClock
) -> None:
    async with line_of(boards[1].device.path, range(1, 4), clock) as (ear, parts):
        assert isinstance(await ear.next(), Online)
        for part in parts.values():
            await done(part.until(Online), clock)
        boards[1].unplug()
        gone = (await ear.until(lambda event: isinstance(event, Offline)))[-1]
        for part in parts.values():
            assert await part.until(Offline) == gone  # with the line's reason
        boards[1].plug_in()
        for part in parts.values():
            await done(part.until(Online), clock, 0.1)


async def test_an_order_goes_before_every_poll_that_waits(
    boards: dict[int, Board], clock: ManualClock
) -> None:
    async with line_of(boards[1].device.path, range(1, 4), clock, poll_ms=100) as (_, parts):
        for part in parts.values():
            await done(part.until(Online), clock)
        held = asyncio.Event()
        bus = parts[1].driver._bus

        async def hold() -> None:
            async with bus.turn(order=False):
                await held.wait()

        async with running(hold()):
            await clock.advance(0.3)  # every board's poll is due, and waits for the line
            del boards[1].asked[:]
            order = asyncio.ensure_future(parts[3].driver.set_relay(1, energised=True))
            await asyncio.sleep(0)
            held.set()
            async with asyncio.timeout(5):
                while not order.done():
                    await clock.advance(0.002)
        assert [frame[:2].hex() for frame in boards[1].asked[:2]] == ["0305", "0301"]


async def test_two_boards_can_not_have_one_address() -> None:
    bus = ModbusBus(ModbusBusOptions(port="/dev/x"), DriverContext("line", SystemClock()))
    options = ModbusRelayOptions(bus="line", device_id=7)
    ModbusRelayBoard(options, DriverContext("north", SystemClock(), bus))
    with pytest.raises(ValueError, match=r"south at /dev/x, .*: Modbus device 7 is north"):
        ModbusRelayBoard(options, DriverContext("south", SystemClock(), bus))


# ---------------------------------------------------------------------------- a dead board


def test_who_is_away_is_waited_for_shortly_and_now_and_then_for_long() -> None:
    station = Station("north", timeout_ms=200)
    waits = []
    for _ in range(12):
        waits.append(station.patience_s(shared=True))
        station.misses += 1
    assert waits == [0.2] * 3 + [0.03] * 3 + [0.2] + [0.03] * 3 + [0.2] + [0.03]
    station.slowest_s = 0.05
    assert station.patience_s(shared=True) == pytest.approx(0.1)
    assert station.patience_s(shared=False) == 0.2  # alone, it delays nobody
    assert Station("quick", timeout_ms=20, misses=4).patience_s(shared=True) == 0.02


async def test_one_dead_board_slows_no_other_s_orders(
    boards: dict[int, Board], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen relays of two boards are locked while the third is dead, and wanted just as much:
    what the line waits for it in all is no second, however busy this machine is."""
    monkeypatch.setattr(modbus_relay, "SWITCH_DEADLINE_S", 60.0)
    boards[3].spoil = lambda _question, _answer: b""
    path = boards[1].device.path
    async with line_of(path, range(1, 4), timeout_ms=300, poll_ms=100) as (_, parts):
        for number, part in parts.items():
            await part.until(Offline if number == 3 else Online)
        dead = parts[3].driver._station
        while not dead.away:
            await asyncio.sleep(0)
        waited: list[float] = []
        patience_s = Station.patience_s

        def noted(station: Station, *, shared: bool) -> float:
            found = patience_s(station, shared=shared)
            if station is dead:
                waited.append(found)
            return found

        monkeypatch.setattr(Station, "patience_s", noted)

        async def lock(number: int, relay: int) -> None:
            try:
                await parts[number].driver.set_relay(relay, energised=True)
            except DeviceError:
                assert number == 3

        async with asyncio.TaskGroup() as tg:
            for number in (3, 1, 2):
                for relay in range(1, 9):
                    tg.create_task(lock(number, relay), name=f"lock {number}.{relay}")
        assert boards[1].relays == boards[2].relays == [True] * 8
        assert 8 <= len(waited) <= 10  # one try for each relay; a probe or two may come between
        assert sum(waited) < 1.3


async def test_a_board_that_comes_back_slower_than_before_is_found(
    boards: dict[int, Board], clock: ManualClock
) -> None:
    async with line_of(boards[1].device.path, range(1, 3), clock, timeout_ms=400, inputs=0) as (
        _,
        parts,
    ):
        await done(parts[2].until(Online), clock)
        boards[2].spoil = lambda _question, _answer: b""
        await done(parts[2].until(Offline), clock, 0.02)

        def late(_question: bytes, answer: bytes) -> bytes:
            asyncio.get_running_loop().call_later(0.1, boards[1].device.send, answer)
            return b""

        boards[2].spoil = late
        await done(parts[2].until(Online), clock, 0.1)
        boards[2].spoil = lambda _question, answer: answer


# ------------------------------------------------------------------------------ the pulses


@asynccontextmanager
async def timed(board: Board, clock: ManualClock) -> AsyncIterator[ModbusRelayBoard]:
    board.times = True
    options = ModbusRelayOptions(
        port=board.device.path, baud_rate=115_200, timeout_ms=2_000, pulse="flash-0200"
    )
    driver = ModbusRelayBoard(options, DriverContext("gate", clock))
    ear: Ear[ControllerEvent] = Ear()
    async with running(driver.run(ear.emit)):
        await ear.until(lambda event: isinstance(event, Online))
        yield driver


@pytest.fixture
async def board(device: PtyDevice) -> AsyncIterator[Board]:
    board = Board(device)
    board.attach()
    yield board
    board.detach()


async def test_an_unlocking_is_timed_by_the_board_and_a_second_longer(
    board: Board, clock: ManualClock
) -> None:
    async with timed(board, clock) as driver:
        await done(driver.set_relay(1, True, 5.0), clock)
        await done(driver.set_relay(8, False, 0.42), clock)
        assert [frame.hex(" ") for frame in board.written()] == [
            "01 05 02 00 00 3c " + board.written()[0][6:].hex(" "),
            "01 05 04 07 00 0f " + board.written()[1][6:].hex(" "),
        ]
        assert board.relays == [True, *[False] * 7]
        await done(driver.set_relay(1, False), clock)
        assert board.written()[-1][:6] == bytes.fromhex("01 05 00 00 00 00")
        await clock.advance(10)
        assert len(board.written()) == 3  # locked is what the board comes to by itself


async def test_who_wants_it_open_for_longer_says_so_again_after_the_boards_time(
    board: Board, clock: ManualClock
) -> None:
    async with timed(board, clock) as driver:
        await done(driver.set_relay(1, True, 2.0), clock)
        await done(driver.set_relay(1, True), clock)
        assert len(board.written()) == 2
        board.relays[0] = False  # a board that forgot nothing of its pulse
        async with asyncio.timeout(5):
            while not board.relays[0]:
                await clock.advance(0.01)
        assert board.written()[-1] == bytes.fromhex("01 05 00 00 FF 00 8C 3A")


async def test_what_lasts_too_long_for_the_board_is_an_order_like_any(
    board: Board, clock: ManualClock
) -> None:
    async with timed(board, clock) as driver:
        await done(driver.set_relay(1, True, 3_300.0), clock)
        assert board.written() == [bytes.fromhex("01 05 00 00 FF 00 8C 3A")]


async def test_a_board_that_knows_no_such_pulse_says_so(board: Board, clock: ManualClock) -> None:
    async with timed(board, clock) as driver:
        board.times = False
        with pytest.raises(DeviceError, match=r"exception 2, illegal .*`pulse`"):
            await done(driver.set_relay(1, True, 5.0), clock)


# --------------------------------------------------------------------- foreign and simulated


async def test_pymodbus_plays_two_boards_of_a_line() -> None:
    def bits(*values: bool) -> list[SimData]:
        return [SimData(0, values=list(values), datatype=DataType.BITS)]

    registers = [SimData(0, values=0, datatype=DataType.REGISTERS)]
    devices = [
        SimDevice(n, simdata=(bits(*[False] * 8), bits(*[n == 5] * 8), registers, registers))
        for n in (4, 5)
    ]
    server = ModbusTcpServer(devices, framer=FramerType.RTU, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    assert isinstance(server.transport, asyncio.Server)
    port = server.transport.sockets[0].getsockname()[1]
    try:
        async with line_of(f"socket://127.0.0.1:{port}", range(4, 6)) as (_, parts):
            for number, part in parts.items():
                assert isinstance(await part.ear.next(), Online)
                first = await part.ear.next()
                assert isinstance(first, InputChanged)
                assert first.active is (number == 5)
                await part.driver.set_relay(number, energised=True)
            assert (await server.async_getValues(4, 1, 0, 8)).index(True) == 3
            assert (await server.async_getValues(5, 1, 0, 8)).index(True) == 4
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus has no types here


async def test_the_simulated_line_with_a_board_that_falls_silent(tmp_path: Path) -> None:
    async with (
        SimulatedModbusLine(tmp_path / "tty", (1, 2, 3), baud=115_200) as line,
        line_of(str(tmp_path / "tty"), range(1, 4), timeout_ms=150) as (_, parts),
    ):
        for part in parts.values():
            await part.until(Online)
        line.boards[2].faults.put("silence")
        await parts[2].until(Offline)
        line.boards[3].terminals.set_input(8, active=True)
        seen = await parts[3].ear.until(
            lambda event: isinstance(event, InputChanged) and event.active
        )
        assert len(seen) == 9  # eight at first, and then this one
        await parts[1].driver.set_relay(1, energised=True)
        assert line.boards[1].terminals.coils[0]


@pytest.mark.parametrize(
    ("options", "about"),
    [
        ({}, "needs a port, or the bus"),
        ({"port": "/dev/x", "bus": "line"}, "one of the two"),
        ({"bus": "line", "baud_rate": 9600}, "set in the .*bus"),
        ({"bus": "line", "pulse": "toggle"}, "flash-0200"),
    ],
)
def test_wrong_settings_are_refused_by_name(options: dict[str, Any], about: str) -> None:
    with pytest.raises(ValidationError, match=about):
        ModbusRelayOptions(**options)


def test_a_place_on_a_bus_is_claimed_once() -> None:
    port_of = modbus_relay.DRIVER.port_of
    assert port_of(ModbusRelayOptions(bus="line", device_id=7)) == "line, Modbus device 7"
    assert modbus.DRIVER.port_of(ModbusBusOptions(port="/dev/x")) == "/dev/x"
