"""The relay board's driver against a board on a pty, its faults, and pymodbus's own server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import entry_points
from typing import Any

import pytest
from pydantic import ValidationError
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.doors import modbus_relay
from drivers.doors.modbus_relay import ModbusRelayBoard, ModbusRelayOptions
from gatewayd.clock import SystemClock
from gatewayd.domain.ports import (
    Clock,
    ControllerEvent,
    DeviceError,
    DriverContext,
    DriverKind,
    InputChanged,
    Malformed,
    Offline,
    Online,
)
from tests.clock import ManualClock
from tests.protocols.transports.boards import Board, crc
from tests.protocols.transports.lines import Ear, PtyDevice, running

ON_1 = bytes.fromhex("01 05 00 00 FF 00 8C 3A")
POLL = bytes.fromhex("01 02 00 00 00 08 79 CC")


@pytest.fixture
async def board(device: PtyDevice) -> AsyncIterator[Board]:
    board = Board(device)
    board.attach()
    yield board
    board.detach()


@asynccontextmanager
async def driving(
    port: str, clock: Clock | None = None, **options: Any
) -> AsyncIterator[tuple[ModbusRelayBoard, Ear[ControllerEvent]]]:
    """The driver at work at 115200 baud, polling every 20 ms.

    Patient, so that a busy machine spoils no test; tests of silence say how long it lasts.
    """
    quick: dict[str, Any] = {"baud_rate": 115_200, "poll_ms": 20, "timeout_ms": 2_000, **options}
    driver = modbus_relay.DRIVER.build(
        ModbusRelayOptions(port=port, **quick), DriverContext("gate", clock or SystemClock())
    )
    assert isinstance(driver, ModbusRelayBoard)
    ear: Ear[ControllerEvent] = Ear()
    async with running(driver.run(ear.emit)):
        yield driver, ear


async def online(ear: Ear[ControllerEvent], inputs: int = 8) -> list[bool]:
    """Past Online and the first state of each input, which are returned."""
    assert isinstance(await ear.next(), Online)
    states = [await ear.next() for _ in range(inputs)]
    assert [state.input for state in states if isinstance(state, InputChanged)] == [
        *range(1, inputs + 1)
    ]
    return [state.active for state in states if isinstance(state, InputChanged)]


# ---------------------------------------------------------------------------- the good case


async def test_a_relay_is_switched_with_the_documented_frame_and_read_back(board: Board) -> None:
    async with driving(board.device.path) as (driver, ear):
        await online(ear)
        await driver.set_relay(1, energised=True)
        assert board.relays == [True, *[False] * 7]
        assert board.written() == [ON_1]
        after = board.asked[board.asked.index(ON_1) + 1]
        assert after[:6] == bytes.fromhex("01 01 00 00 00 01")
        await driver.set_relay(8, energised=True)
        await driver.set_relay(1, energised=False)
        assert board.relays == [*[False] * 7, True]


async def test_inputs_are_told_once_at_first_and_then_on_change(board: Board) -> None:
    board.inputs[2] = True
    async with driving(board.device.path) as (_, ear):
        assert await online(ear) == [False, False, True, *[False] * 5]
        board.inputs[0] = True
        changed = await ear.next()
        assert isinstance(changed, InputChanged)
        assert (changed.input, changed.active) == (1, True)
        board.inputs[0], board.inputs[2] = False, False
        both = [await ear.next(), await ear.next()]
        assert [(e.input, e.active) for e in both if isinstance(e, InputChanged)] == [
            (1, False),
            (3, False),
        ]
        assert ear.waiting == 0
        assert POLL in board.asked


async def test_each_poll_of_the_default_100_ms_sees_the_inputs(
    board: Board, clock: ManualClock
) -> None:
    poll_ms = ModbusRelayOptions(port=board.device.path).poll_ms
    assert poll_ms == 100
    async with driving(board.device.path, clock, poll_ms=poll_ms) as (_, ear):
        await online(ear)
        for turn in range(40):
            board.inputs[0] = turn % 2 == 0
            await clock.advance(0.1)
            assert await ear.next() == InputChanged(1, turn % 2 == 0, clock.now())


@pytest.mark.parametrize("baud_rate", [9600, 115_200])
def test_an_input_active_for_400_ms_is_seen_at_the_slowest_poll_though_one_answer_is_lost(
    baud_rate: int,
) -> None:
    options = ModbusRelayOptions(port="/dev/x", baud_rate=baud_rate, poll_ms=150)
    question_and_answer_ms = (8 + 6) * 10 / baud_rate * 1000
    silence_ms = max(3.5 * 11 / baud_rate * 1000, 1.75)
    lost_ms = question_and_answer_ms + options.timeout_ms + silence_ms
    with pytest.raises(ValidationError, match="poll_ms"):
        ModbusRelayOptions(port="/dev/x", poll_ms=151)
    assert options.poll_ms + lost_ms + question_and_answer_ms < 400


async def test_a_board_without_inputs_is_asked_for_a_relay_to_know_it_is_there(
    board: Board,
) -> None:
    async with driving(board.device.path, inputs=0) as (_, ear):
        await online(ear, inputs=0)
        assert board.asked[0][:6] == bytes.fromhex("01 01 00 00 00 01")


async def test_relays_switched_at_once_take_turns(board: Board) -> None:
    async with driving(board.device.path) as (driver, ear):
        await online(ear)
        async with asyncio.TaskGroup() as tg:
            for relay in range(1, 9):
                tg.create_task(driver.set_relay(relay, energised=True), name=f"relay {relay}")
        assert board.relays == [True] * 8
        assert len(board.written()) == 8


# ------------------------------------------------------------------------------- its faults


async def test_a_silent_board_is_offline_once_and_online_again_when_it_answers(
    board: Board,
) -> None:
    board.spoil = lambda _question, _answer: b""
    async with driving(board.device.path, timeout_ms=40) as (driver, ear):
        gone = await ear.next()
        assert isinstance(gone, Offline)
        assert "did not answer within 40 ms (nothing came)" in gone.reason
        assert "gate at " in gone.reason
        with pytest.raises(DeviceError, match="did not answer"):
            await driver.set_relay(1, energised=True)
        assert ear.waiting == 0
        board.spoil = lambda _question, answer: answer
        await online(ear)


class EagerClock(ManualClock):
    """Time jumps to whatever moment is waited for; the waits are kept, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    async def sleep_until(self, monotonic_ns: int) -> None:
        wait_s = (monotonic_ns - self.monotonic_ns()) / 1e9
        if wait_s > 0.1:
            self.waits.append(wait_s)
        self._move_to(max(monotonic_ns, self.monotonic_ns()))
        await asyncio.sleep(0)


async def test_a_silent_board_is_probed_with_a_back_off_of_at_most_five_seconds(
    board: Board,
) -> None:
    board.spoil = lambda _question, _answer: b""
    clock = EagerClock()
    async with driving(board.device.path, clock, timeout_ms=20) as (_, ear):
        assert isinstance(await ear.next(), Offline)
        for _ in range(8):
            board.polled.clear()
            async with asyncio.timeout(5):
                await board.polled.wait()
        assert clock.waits[:7] == pytest.approx([0.25, 0.5, 1, 2, 4, 5, 5])
        assert ear.waiting == 0


async def test_one_lost_answer_is_asked_for_again_and_nobody_hears_of_it(board: Board) -> None:
    async with driving(board.device.path, timeout_ms=150) as (driver, ear):
        await online(ear)
        lose = [b""]
        board.spoil = lambda _question, answer: lose.pop() if lose else answer
        await driver.set_relay(3, energised=True)
        assert not lose
        lose.append(b"")
        board.inputs[0] = True
        assert isinstance(await ear.next(), InputChanged)
        assert not lose


async def test_a_refused_write_says_which_exception_and_is_not_repeated(board: Board) -> None:
    async with driving(board.device.path, relays=16) as (driver, ear):
        await online(ear)
        with pytest.raises(DeviceError, match="function 05: exception 2, illegal data address"):
            await driver.set_relay(9, energised=True)
        assert len(board.written()) == 1


async def test_a_refused_poll_takes_the_board_offline_with_the_reason(board: Board) -> None:
    async with driving(board.device.path, inputs=16) as (_, ear):
        gone = await ear.next()
        assert isinstance(gone, Offline)
        assert "exception 2, illegal data address" in gone.reason
        assert "`relays` and `inputs`" in gone.reason


async def test_a_busy_board_is_asked_again(board: Board) -> None:
    busy = bytes.fromhex("01 85 06")
    busy += crc(busy)
    async with driving(board.device.path) as (driver, ear):
        await online(ear)
        answers = [busy, busy]
        board.spoil = lambda question, answer: (
            answers.pop() if answers and question[1] == 5 else answer
        )
        await driver.set_relay(1, energised=True)
        assert board.written() == [ON_1] * 3


async def test_a_stuck_relay_is_found_by_reading_back(board: Board) -> None:
    board.stuck = True
    async with driving(board.device.path) as (driver, ear):
        await online(ear)
        with pytest.raises(DeviceError, match="told to be energised and reads back otherwise"):
            await driver.set_relay(2, energised=True)
        await driver.set_relay(2, energised=False)


async def test_noise_before_an_answer_costs_nothing(board: Board) -> None:
    board.spoil = lambda _question, answer: b"\x00\x13\x05\x01\x01\x02" + answer
    board.inputs[4] = True
    async with driving(board.device.path) as (driver, ear):
        assert (await online(ear))[4]
        await driver.set_relay(1, energised=True)
        assert board.written() == [ON_1]
        assert ear.waiting == 0


async def test_garbage_instead_of_answers_is_malformed_and_then_offline(board: Board) -> None:
    async with driving(board.device.path, timeout_ms=100) as (driver, ear):
        await online(ear)
        board.spoil = lambda _question, answer: answer[:-1] + b"\x55"
        noise = [await ear.next() for _ in range(3)]
        assert noise == [Malformed("bytes that are no answer of the board")] * 3
        gone = await ear.next()
        assert isinstance(gone, Offline)
        assert "bytes that are no answer came" in gone.reason
        with pytest.raises(DeviceError, match="8 bytes that are no answer came"):
            await driver.set_relay(1, energised=True)


async def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_question(
    board: Board,
) -> None:
    held_back: list[bytes] = []

    def late(question: bytes, answer: bytes) -> bytes:
        """Each answer is sent one question late."""
        held_back.append(answer)
        return held_back[-2] if len(held_back) > 1 else b""

    board.stuck = True
    async with driving(board.device.path, timeout_ms=100) as (driver, ear):
        await online(ear)
        board.spoil = late
        with pytest.raises(DeviceError):
            await driver.set_relay(1, energised=True)


async def test_unplugging_fails_the_relay_at_once_and_plugging_in_heals(
    board: Board, clock: ManualClock
) -> None:
    async with driving(board.device.path, clock) as (driver, ear):
        await online(ear)
        await clock.advance(10)
        board.spoil = lambda question, answer: b"" if question[1] == 5 else answer

        async def switch() -> None:
            with pytest.raises(DeviceError, match=board.device.path):
                await driver.set_relay(1, energised=True)

        async with asyncio.timeout(1), asyncio.TaskGroup() as tg:
            tg.create_task(switch(), name="a relay told to switch")
            while not board.written():
                await clock.advance(0.01)
            board.unplug()
        gone = await ear.next()
        assert isinstance(gone, Offline)
        assert board.device.path in gone.reason
        await clock.advance(0.01)  # the silence between frames
        with pytest.raises(DeviceError, match="not connected"):
            await driver.set_relay(1, energised=True)
        board.spoil = lambda _question, answer: answer
        board.plug_in()
        await clock.advance(5)
        await online(ear)


async def test_a_board_that_answers_the_poll_only_fails_a_relay_within_its_deadline(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modbus_relay, "SWITCH_DEADLINE_S", 0.1)
    board.spoil = lambda question, answer: b"" if question[1] == 5 else answer
    async with driving(board.device.path) as (driver, ear):
        await online(ear)
        with pytest.raises(DeviceError, match=r"relay 1 was not confirmed within 0\.1 s"):
            await driver.set_relay(1, energised=True)
        board.inputs[7] = True  # the line is free again for the poll
        assert isinstance(await ear.next(), InputChanged)


@pytest.mark.parametrize("relay", [0, 9, -1])
async def test_a_relay_that_the_settings_do_not_have_is_not_written(
    board: Board, relay: int
) -> None:
    async with driving(board.device.path) as (driver, ear):
        await online(ear)
        with pytest.raises(DeviceError, match="the settings say 1 to 8"):
            await driver.set_relay(relay, energised=True)
        assert board.written() == []


async def test_before_it_runs_a_relay_is_an_error_not_a_wait(board: Board) -> None:
    options = ModbusRelayOptions(port=board.device.path)
    driver = ModbusRelayBoard(options, DriverContext("gate", SystemClock()))
    with pytest.raises(DeviceError, match="not connected"):
        await driver.set_relay(1, energised=True)


async def test_bytes_that_nobody_asked_for_are_passed_over(
    board: Board, clock: ManualClock
) -> None:
    async with driving(board.device.path, clock) as (_, ear):
        await online(ear)
        board.device.send(bytes.fromhex("01 02 01 FF E1 C8") * 10)
        board.inputs[0] = True
        await clock.advance(1)
        changed = await ear.next()
        assert isinstance(changed, InputChanged)
        assert changed.input == 1


async def test_a_relay_waits_out_the_silence_after_the_frame_before(
    board: Board, clock: ManualClock
) -> None:
    async with driving(board.device.path, clock, baud_rate=9600) as (driver, ear):
        await online(ear)
        async with asyncio.timeout(5), running(driver.set_relay(1, energised=True)) as switching:
            await clock.advance(0.004)
            assert clock.sleepers == 2  # the next poll, and the relay
            assert board.written() == []
            while not switching.done():
                await clock.advance(0.001)
        assert board.written() == [ON_1]


# --------------------------------------------------------------------- making way for an order


@asynccontextmanager
async def polling(
    board: Board, clock: ManualClock, **options: Any
) -> AsyncIterator[ModbusRelayBoard]:
    """Online, the first poll answered; the next is due in 100 ms."""
    async with driving(board.device.path, clock, **{"poll_ms": 100, **options}) as (driver, ear):
        await online(ear)
        await clock.advance(0)
        board.polled.clear()
        yield driver


async def polled(board: Board) -> None:
    async with asyncio.timeout(5):
        await board.polled.wait()


async def test_a_poll_that_is_due_lets_an_expected_order_go_first(
    board: Board, clock: ManualClock
) -> None:
    async with polling(board, clock) as driver:
        asked = len(board.asked)
        await clock.advance(0.095)
        driver.expect_order()
        await clock.advance(0.02)
        assert clock.sleepers == 1  # the poll, which is late and waits
        async with asyncio.timeout(5), running(driver.set_relay(1, energised=True)) as switching:
            while not board.written():
                await asyncio.sleep(0)
            assert clock.sleepers == 0  # the order came: nothing waits for a moment any more
            while not switching.done():
                await clock.advance(0.001)
        while not board.polled.is_set():
            await clock.advance(0.001)
        assert [frame[1] for frame in board.asked[asked:]] == [5, 1, 2]


async def test_a_poll_goes_on_where_no_order_follows(board: Board, clock: ManualClock) -> None:
    async with polling(board, clock) as driver:
        await clock.advance(0.06)
        driver.expect_order()
        await clock.advance(0.0499)
        assert clock.sleepers == 1
        assert not board.polled.is_set()
        await clock.advance(0.0001)
        await polled(board)


async def test_bytes_that_never_end_put_a_poll_off_to_150_ms_after_the_one_before(
    board: Board, clock: ManualClock
) -> None:
    async with polling(board, clock) as driver:
        for _ in range(10):
            for _ in range(149):
                driver.expect_order()
                await clock.advance(0.001)
            assert clock.sleepers == 1
            assert not board.polled.is_set()
            await clock.advance(0.001)
            await polled(board)
            while not clock.sleepers:
                await clock.advance(0)
            board.polled.clear()


async def test_the_slowest_poll_waits_for_nobody(board: Board, clock: ManualClock) -> None:
    async with polling(board, clock, poll_ms=150) as driver:
        await clock.advance(0.149)
        driver.expect_order()
        await clock.advance(0.001)
        await polled(board)


# ------------------------------------------------------------------------- pymodbus's server


async def test_pymodbus_and_the_driver_understand_each_other() -> None:
    def bits(*values: bool) -> list[SimData]:
        return [SimData(0, values=list(values), datatype=DataType.BITS)]

    registers = [SimData(0, values=0, datatype=DataType.REGISTERS)]
    simulated = SimDevice(
        5, simdata=(bits(*[False] * 8), bits(*[False, True] * 4), registers, registers)
    )
    server = ModbusTcpServer(simulated, framer=FramerType.RTU, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    assert isinstance(server.transport, asyncio.Server)
    port = server.transport.sockets[0].getsockname()[1]
    try:
        url = f"socket://127.0.0.1:{port}"
        async with driving(url, device_id=5) as (driver, ear):
            assert await online(ear) == [False, True] * 4
            await driver.set_relay(3, energised=True)
            coils = await server.async_getValues(5, 1, 0, 8)
            assert coils == [False, False, True, *[False] * 5]
            await driver.set_relay(3, energised=False)
            assert await server.async_getValues(5, 1, 0, 8) == [False] * 8
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus has no types here


# ------------------------------------------------------------------------------ the settings


def test_the_driver_is_found_by_name_and_claims_its_port() -> None:
    (entry,) = entry_points(group="gatewayd.drivers", name="modbus-relay")
    assert entry.load() is modbus_relay.DRIVER
    assert modbus_relay.DRIVER.kind is DriverKind.CONTROLLER
    options = ModbusRelayOptions(port="/dev/serial/by-id/usb-2")
    assert modbus_relay.DRIVER.port_of(options) == "/dev/serial/by-id/usb-2"
    assert all(field.description for field in ModbusRelayOptions.model_fields.values())


@pytest.mark.parametrize(
    ("options", "about"),
    [
        ({}, "port"),
        ({"port": "COM3"}, "write a path such as"),
        ({"port": "/dev/x", "device_id": 0}, "device_id"),
        ({"port": "/dev/x", "poll_ms": 1_000}, "poll_ms"),
        ({"port": "/dev/x", "relay": 4}, "relay"),
    ],
)
def test_wrong_settings_are_refused_by_name(options: dict[str, Any], about: str) -> None:
    with pytest.raises(ValidationError, match=about):
        ModbusRelayOptions(**options)


@pytest.mark.parametrize(
    ("baud_rate", "silence_ms"), [(9600, 4.01), (19_200, 2.005), (38_400, 1.75)]
)
def test_frames_are_parted_by_the_silence_of_the_standard(
    baud_rate: int, silence_ms: float
) -> None:
    options = ModbusRelayOptions(port="/dev/x", baud_rate=baud_rate)
    driver = ModbusRelayBoard(options, DriverContext("gate", SystemClock()))
    assert driver._bus.silence_ns / 1e6 == pytest.approx(silence_ms, abs=0.01)
