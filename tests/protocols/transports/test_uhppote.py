"""The UHPPOTE drivers on loopback UDP against the simulated board: doors, cards, outages."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from uhppoted.uhppote_async import UhppoteAsync

from drivers.buses import uhppote, uhppote_events
from drivers.buses.uhppote import UhppoteBoard, UhppoteOptions
from drivers.doors import uhppote as uhppote_doors
from drivers.doors.uhppote import UhppoteDoors, UhppoteDoorsOptions
from drivers.protocols.uhppote_cards import credential_of, number_of
from drivers.readers import uhppote as uhppote_reader
from drivers.readers.uhppote import UhppoteReader, UhppoteReaderOptions
from gatewayd.clock import SystemClock
from gatewayd.domain.events import Acted
from gatewayd.domain.model import Credential, CredentialKind, card
from gatewayd.domain.ports import (
    BoardActed,
    BusEvent,
    ClockDrifted,
    ControllerEvent,
    DeviceError,
    DriverContext,
    InputChanged,
    Malformed,
    Offline,
    Online,
    Presented,
    ReaderEvent,
)
from simulators.uhppote_board import SimulatedUhppoteBoard
from simulators.uhppote_state import CONTROLLED, NORMALLY_CLOSED, NORMALLY_OPEN, SimulatedCard
from tests.protocols.transports.lines import WAIT_S, Ear, running

CARD = 10_058_399  # facility 100, number 58399
OTHER = 12_300_001


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def until(condition: Callable[[], object]) -> None:
    """What a board is by now; it offers no event for it."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.001)


@dataclass
class Rig:
    """The drivers at work. What the board did by itself is kept at once, unless `keeps` is off."""

    board: UhppoteBoard
    doors: UhppoteDoors
    reader: UhppoteReader
    bus: Ear[BusEvent] = field(default_factory=Ear)
    told: Ear[ControllerEvent] = field(default_factory=Ear)
    seen: Ear[ReaderEvent] = field(default_factory=Ear)
    acted: Ear[BoardActed] = field(default_factory=Ear)
    keeps: bool = True

    def emit(self, event: ControllerEvent) -> None:
        if isinstance(event, BoardActed):
            self.acted.emit(event)
            if self.keeps:
                event.kept()
        else:
            self.told.emit(event)

    async def online(self) -> list[bool]:
        """Past Online and the first state of each input, which are returned."""
        await self.told.until(lambda event: isinstance(event, Online))
        states = [await self.told.next() for _ in range(8)]
        return [state.active for state in states if isinstance(state, InputChanged)]

    async def card(self) -> Credential:
        events = await self.seen.until(lambda event: isinstance(event, Presented))
        assert isinstance(events[-1], Presented)
        return events[-1].credential


@asynccontextmanager
async def driving(simulated: SimulatedUhppoteBoard, **options: Any) -> AsyncIterator[Rig]:
    host, port = simulated.address
    quick: dict[str, Any] = {"poll_ms": 20, "timeout_ms": 1_000, **options}
    address = f"{host}:{port}"
    listen = quick.pop("listen", f"127.0.0.1:{free_port()}")
    context = DriverContext("board", SystemClock())
    board = uhppote.DRIVER.build(
        UhppoteOptions(address=address, serial=simulated.serial, listen=listen, **quick), context
    )
    doors = uhppote_doors.DRIVER.build(
        UhppoteDoorsOptions(bus="board"), DriverContext("doors", context.clock, board)
    )
    reader = uhppote_reader.DRIVER.build(
        UhppoteReaderOptions(bus="board", board_door=1), DriverContext("in", context.clock, board)
    )
    rig = Rig(board, doors, reader)
    async with (
        running(doors.run(rig.emit)),
        running(reader.run(rig.seen.emit)),
        running(board.run(rig.bus.emit)),
    ):
        yield rig


@pytest.fixture
async def simulated() -> AsyncIterator[SimulatedUhppoteBoard]:
    async with SimulatedUhppoteBoard() as board:
        yield board


@pytest.fixture
async def rig(simulated: SimulatedUhppoteBoard) -> AsyncIterator[Rig]:
    async with driving(simulated) as rig:
        assert await rig.online() == [True] * 4 + [False] * 4
        yield rig


# ----------------------------------------------------------------------------------- doors


async def test_an_unlocking_for_a_time_is_the_boards_own_and_ends_without_us(
    simulated: SimulatedUhppoteBoard, rig: Rig
) -> None:
    await rig.doors.set_relay(2, True, 3.2)
    door = simulated.state.doors[1]
    assert (door.control, door.open_s) == (CONTROLLED, 5)  # rounded up, and a second more
    assert simulated.state.relays() == [False, True, False, False]


async def test_a_relock_ends_what_the_board_still_times(
    simulated: SimulatedUhppoteBoard, rig: Rig
) -> None:
    await rig.doors.set_relay(1, True, 30.0)
    assert simulated.state.relays()[0]
    await rig.doors.set_relay(1, False)
    assert not simulated.state.relays()[0]
    assert simulated.state.doors[0].control == CONTROLLED


async def test_an_unlocking_without_an_end_is_normally_open_and_ends_when_told(
    simulated: SimulatedUhppoteBoard, rig: Rig
) -> None:
    await rig.doors.set_relay(4, True)
    assert simulated.state.doors[3].control == NORMALLY_OPEN
    await rig.doors.set_relay(4, False)
    assert (simulated.state.doors[3].control, simulated.state.relays()[3]) == (CONTROLLED, False)
    await rig.doors.set_relay(4, True, 3_600.0)  # longer than a board can time
    assert simulated.state.doors[3].control == NORMALLY_OPEN


async def test_in_a_lockdown_not_even_the_boards_own_list_opens(
    simulated: SimulatedUhppoteBoard, rig: Rig
) -> None:
    await rig.doors.set_relay(1, False, shut=True)
    assert simulated.state.doors[0].control == NORMALLY_CLOSED
    await rig.doors.set_relay(1, True, 5.0, shut=True)  # somebody leaves by the exit button
    assert simulated.state.relays()[0]
    await rig.doors.set_relay(1, False, shut=True)
    assert simulated.state.doors[0].control == NORMALLY_CLOSED
    await rig.doors.set_relay(1, False)
    assert simulated.state.doors[0].control == CONTROLLED


async def test_a_lock_that_does_not_move_is_no_success(
    simulated: SimulatedUhppoteBoard, rig: Rig
) -> None:
    simulated.faults.put("stuck")
    with pytest.raises(DeviceError, match="door 1 was told to be unlocked, and its relay is not"):
        await rig.doors.set_relay(1, True, 5.0)
    simulated.faults.clear()
    await rig.doors.set_relay(1, True, 5.0)


async def test_the_board_is_told_only_what_it_does_not_know(
    simulated: SimulatedUhppoteBoard, rig: Rig
) -> None:
    await rig.doors.set_relay(1, True, 5.0)
    await rig.doors.set_relay(1, True, 4.6)
    assert simulated.questions.count(0x80) == 1
    assert simulated.questions.count(0x40) == 2


async def test_a_door_that_the_board_lacks_is_refused() -> None:
    async with (
        SimulatedUhppoteBoard(doors=2) as simulated,
        driving(simulated, timeout_ms=60) as rig,
    ):
        await rig.online()
        with pytest.raises(DeviceError, match="did not answer"):
            await rig.doors.set_relay(3, True, 5.0)
        with pytest.raises(DeviceError, match="the settings say 1 to 4"):
            await rig.doors.set_relay(5, True)


async def test_contacts_and_buttons_are_inputs(simulated: SimulatedUhppoteBoard, rig: Rig) -> None:
    simulated.move_leaf(3, opens=True)
    changed = await rig.told.next()
    assert isinstance(changed, InputChanged)
    assert (changed.input, changed.active) == (3, False)
    simulated.press(1)
    pressed = await rig.told.next()
    assert isinstance(pressed, InputChanged)
    assert (pressed.input, pressed.active) == (5, True)
    simulated.state.doors[0].button = False
    released = await rig.told.next()
    assert isinstance(released, InputChanged)
    assert (released.input, released.active) == (5, False)
    assert rig.acted.waiting == 0


# ----------------------------------------------------------------------------------- cards


async def test_a_card_at_the_boards_reader_is_ours_to_judge(
    simulated: SimulatedUhppoteBoard, rig: Rig
) -> None:
    simulated.state.put(
        SimulatedCard(
            CARD,
            simulated.state.now.date(),
            simulated.state.now.date(),
            [True] * 4,
        )
    )
    simulated.swipe(1, CARD)
    assert await rig.card() == credential_of(CARD)
    assert not simulated.state.relays()[0]  # though the board knows the card
    assert simulated.state.host_decides
    assert rig.acted.waiting == 0


@pytest.mark.parametrize("fault", ["lost_events", "duplicate", "firmware_6_62", "loss"])
async def test_each_card_is_told_once_and_in_order_whatever_happens_on_the_way(
    simulated: SimulatedUhppoteBoard, rig: Rig, fault: str
) -> None:
    numbers = [10_000_001 + n for n in range(12)]
    for number in numbers:
        if fault != "loss":
            simulated.faults.put(fault)
        else:
            simulated.faults.put(fault, times=1)
        simulated.swipe(1, number)
        await asyncio.sleep(0.002)
    cards = [await rig.card() for _ in numbers]
    assert cards == [credential_of(number) for number in numbers]
    await until(lambda: simulated.state.user_index == simulated.state.newest)
    assert (rig.seen.waiting, rig.acted.waiting) == (0, 0)


async def test_a_card_of_another_reader_or_none_at_all_is_not_ours(
    simulated: SimulatedUhppoteBoard, rig: Rig
) -> None:
    simulated.swipe(1, CARD, direction=2)
    acted = await rig.acted.next()
    assert (acted.what, acted.door, acted.reason) == (Acted.UNSEEN, 1, "left to the box")
    simulated.swipe(1, 99_999_999)
    told = await rig.seen.until(lambda event: isinstance(event, Malformed))
    assert "Wiegand 26" in str(told[-1])
    assert "99999999" not in str(told[-1])


@pytest.mark.parametrize(
    ("number", "facility", "of_card"), [(CARD, 100, 58_399), (1, 0, 1), (25_565_535, 255, 65_535)]
)
def test_a_number_of_the_board_is_the_card_that_others_read(
    number: int, facility: int, of_card: int
) -> None:
    found = credential_of(number)
    assert isinstance(found, Credential)
    bits = int(found.value, 16)
    assert (bits >> 17 & 0xFF, bits >> 1 & 0xFFFF, found.bit_count) == (facility, of_card, 26)
    assert number_of(found) == number


def test_what_the_board_can_not_read_has_no_number_there() -> None:
    assert number_of(card(5, 34)) is None
    assert number_of(card(0b10_0000_0001, 26)) is None  # its parity is wrong
    assert number_of(Credential(CredentialKind.PIN, "1234")) is None
    assert isinstance(credential_of(25_600_000), Malformed)
    assert isinstance(credential_of(10_065_536), Malformed)


# ---------------------------------------------------------------------------------- outages


async def test_what_the_board_did_in_an_outage_is_told_once_in_order_and_as_its_own(
    simulated: SimulatedUhppoteBoard, rig: Rig
) -> None:
    simulated.swipe(1, OTHER)
    await rig.card()
    await until(lambda: simulated.state.user_index == simulated.state.newest)
    simulated.plugged = False
    async with asyncio.timeout(30):
        await rig.told.until(lambda event: isinstance(event, Offline))
    state = simulated.state
    today = state.now.date()
    state.put(SimulatedCard(CARD, today, today, [True, False, False, False]))
    state.clock -= timedelta(seconds=60)  # it all happened a minute ago
    simulated.swipe(1, OTHER)  # still left to us, in vain
    state.pc_control = False  # as it is 30 s after our last word
    simulated.swipe(1, CARD)
    simulated.swipe(2, CARD)
    simulated.press(1)
    state.clock += timedelta(seconds=60)
    simulated.plugged = True
    acted = [await rig.acted.next() for _ in range(4)]
    assert [(one.what, one.door, one.reason) for one in acted] == [
        (Acted.UNSEEN, 1, "left to the box"),
        (Acted.GRANTED, 1, "card"),
        (Acted.DENIED, 2, "no privilege"),
        (Acted.OTHER, 1, "exit button"),
    ]
    assert [one.index for one in acted] == list(range(acted[0].index, acted[0].index + 4))
    assert acted[1].credential == credential_of(CARD)
    now_ms = SystemClock().now().wall_ms
    assert all(one.at_ms and 55_000 < now_ms - one.at_ms < 90_000 for one in acted)
    await rig.told.until(lambda event: isinstance(event, Online))
    simulated.swipe(1, CARD)
    assert await rig.card() == credential_of(CARD)  # ours again
    assert rig.acted.waiting == 0


async def test_the_next_is_told_only_when_the_one_before_is_on_disk(
    simulated: SimulatedUhppoteBoard, rig: Rig
) -> None:
    rig.keeps = False
    before = simulated.state.user_index
    simulated.swipe(3, CARD)
    simulated.swipe(4, CARD)
    first = await rig.acted.next()
    await rig.doors.set_relay(1, True, 5.0)  # time enough to tell the second
    await rig.doors.set_relay(1, False)
    assert (first.door, rig.acted.waiting, simulated.state.user_index) == (3, 0, before)
    first.kept()
    second = await rig.acted.next()
    assert second.door == 4
    second.kept()
    await until(lambda: simulated.state.user_index == simulated.state.newest)


async def test_a_box_that_begins_again_goes_on_where_it_stopped(
    simulated: SimulatedUhppoteBoard,
) -> None:
    simulated.swipe(3, CARD)  # before the board was ever ours
    async with driving(simulated) as rig:
        await rig.online()
        simulated.swipe(3, CARD)
        assert (await rig.acted.next()).index == 2
        await until(lambda: simulated.state.user_index == 2)
    simulated.swipe(3, CARD)
    async with driving(simulated) as rig:
        assert (await rig.acted.next()).index == 3
        await until(lambda: simulated.state.user_index == 3)


async def test_the_count_of_events_wraps_and_a_cleared_memory_begins_anew(
    simulated: SimulatedUhppoteBoard,
) -> None:
    simulated.state.newest = simulated.state.user_index = 0xFFFFFFFE
    async with driving(simulated) as rig:
        await rig.online()
        for _ in range(3):
            simulated.swipe(3, CARD)
        assert [(await rig.acted.next()).index for _ in range(3)] == [0xFFFFFFFF, 1, 2]
        await until(lambda: simulated.state.user_index == 2)
        simulated.state.events.clear()
        simulated.state.newest = 0
        await until(lambda: simulated.state.user_index == 0)
        simulated.swipe(3, CARD)
        assert (await rig.acted.next()).index == 1


async def test_events_that_were_overwritten_are_said_to_be_lost(
    simulated: SimulatedUhppoteBoard,
) -> None:
    simulated.state.user_index = 1
    for _ in range(10):
        simulated.swipe(3, CARD)
    for index in range(1, 8):
        del simulated.state.events[index]
    async with driving(simulated) as rig:
        acted = [await rig.acted.next() for _ in range(4)]
        assert [(one.index, one.reason) for one in acted] == [
            (2, "its events 2 to 7 are overwritten"),
            *((index, "no privilege") for index in (8, 9, 10)),
        ]


async def test_a_board_that_began_anew_is_told_again_that_we_decide(
    simulated: SimulatedUhppoteBoard, rig: Rig
) -> None:
    simulated.reboot()
    await until(lambda: simulated.state.host_decides)
    simulated.swipe(1, CARD)
    assert await rig.card() == credential_of(CARD)


async def test_at_our_end_the_board_decides_by_itself_at_once(
    simulated: SimulatedUhppoteBoard,
) -> None:
    async with driving(simulated) as rig:
        await rig.online()
        await until(lambda: simulated.state.host_decides)
    await until(lambda: not simulated.state.host_decides)


async def test_a_board_that_is_away_is_told_once_and_comes_back(
    simulated: SimulatedUhppoteBoard,
) -> None:
    simulated.plugged = False
    async with driving(simulated, timeout_ms=30) as rig:
        gone = await rig.told.next()
        assert isinstance(gone, Offline)
        assert "did not answer within 30 ms" in gone.reason
        assert await rig.bus.next() == gone
        assert await rig.seen.next() == gone
        with pytest.raises(DeviceError, match="did not answer"):
            await rig.doors.set_relay(1, True, 5.0)
        simulated.plugged = True
        assert isinstance(await rig.bus.next(), Online)
        assert isinstance(await rig.seen.next(), Online)


async def test_a_port_that_another_program_has_is_told_and_tried_again(
    simulated: SimulatedUhppoteBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uhppote, "MAX_RETRY_S", 0.02)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        async with driving(simulated, listen=listen) as rig:
            gone = await rig.told.next()
            assert isinstance(gone, Offline)
            assert listen in gone.reason
            with pytest.raises(DeviceError, match="is not open"):
                await rig.doors.set_relay(1, True)
            taken.close()
            await rig.online()


# --------------------------------------------------------------------------- strangers, clock


async def test_packets_of_others_are_malformed_and_move_nothing(
    simulated: SimulatedUhppoteBoard,
) -> None:
    listen = f"127.0.0.1:{free_port()}"
    async with driving(simulated, listen=listen) as rig:
        await rig.online()
        await rig.bus.next()
        to = ("127.0.0.1", int(listen.partition(":")[2]))
        event = bytearray(simulated._status(simulated.state.swipe(1, CARD, 1)))
        simulated.state.newest = 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.2", 0))
            stranger.sendto(event, to)
            told = await rig.bus.next()
            assert told == Malformed("a packet of 127.0.0.2, which is not the board")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as neighbour:
            neighbour.bind(("127.0.0.1", 0))
            neighbour.sendto(event[:4] + b"\1\0\0\0" + event[8:], to)
            assert await rig.bus.next() == Malformed("a packet of the board 1")
            neighbour.sendto(event[:-1], to)
            assert await rig.bus.next() == Malformed("63 bytes instead of 64")
        assert rig.seen.waiting == 1  # Online


async def test_an_answer_with_another_boards_serial_is_no_answer(
    simulated: SimulatedUhppoteBoard, rig: Rig
) -> None:
    rig.board._options = rig.board._options.model_copy(update={"timeout_ms": 50})
    simulated.faults.put("wrong_serial")
    with pytest.raises(DeviceError, match="did not answer"):
        await rig.doors.set_relay(1, True, 5.0)


async def test_a_clock_that_is_off_is_set_and_told_where_it_is_far_off(
    simulated: SimulatedUhppoteBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uhppote, "LOOK_EVERY_S", 0.1)
    async with driving(simulated) as rig:
        await rig.online()
        right = simulated.state.now
        simulated.state.clock += timedelta(seconds=300)
        drifted = await rig.told.next()
        assert isinstance(drifted, ClockDrifted)
        assert drifted.beyond
        assert 297 <= drifted.by_s <= 303
        mended = await rig.told.next()
        assert isinstance(mended, ClockDrifted)
        assert not mended.beyond
        assert abs((simulated.state.now - right).total_seconds()) < 10
        simulated.state.clock -= timedelta(seconds=4)  # set, without a word
        asked = simulated.questions.count(0x30)
        await until(lambda: simulated.questions.count(0x30) > asked)
        assert rig.told.waiting == 0


async def test_a_board_that_loses_three_packets_in_a_row_is_still_there(
    simulated: SimulatedUhppoteBoard,
) -> None:
    async with driving(simulated, timeout_ms=60) as rig:
        await rig.online()
        simulated.faults.put("loss", times=2)
        await rig.doors.set_relay(1, True, 5.0)
        assert rig.told.waiting == 0


# ---------------------------------------------------------------------------- a foreign panel


async def test_the_simulated_board_answers_the_library_too(
    simulated: SimulatedUhppoteBoard,
) -> None:
    panel = UhppoteAsync(bind="127.0.0.1")
    host, port = simulated.address
    at = (simulated.serial, f"{host}:{port}")
    today = simulated.state.now.date()
    assert (await panel.put_card(at, CARD, today, today, 1, 0, 1, 0, 0)).stored
    found = await panel.get_card(at, CARD)
    assert (found.card_number, found.door_1, found.door_2) == (CARD, 1, 0)
    assert (await panel.get_cards(at)).cards == 1
    simulated.swipe(1, CARD)
    status = await panel.get_status(at)
    assert (status.event_card, status.event_access_granted, status.relays) == (CARD, True, 1)
    assert (await panel.get_event(at, 1)).timestamp == status.event_timestamp
    assert (await panel.set_door_control(at, 2, 1, 7)).delay == 7
    assert (await panel.get_status(at)).relays == 3
    assert (await panel.delete_card(at, CARD)).deleted
    assert (await panel.get_card_by_index(at, 1)).card_number == 0xFFFFFFFF


# --------------------------------------------------------------------------------- settings


GOOD: dict[str, Any] = {"address": "192.0.2.5", "serial": 405_419_896, "listen": "192.0.2.1:60001"}


@pytest.mark.parametrize(
    ("wrong", "about"),
    [
        ({"address": "board.example"}, "is no address of one machine"),
        ({"address": "192.0.2.5:0"}, "is no address of one machine"),
        ({"listen": "0.0.0.0:60001"}, "write it as '192.168.1.100:60000'"),
        ({"serial": 0}, "serial"),
        ({"time_zone": "Asia/Peking"}, "unknown time zone 'Asia/Peking'"),
        ({"poll_ms": 500}, "poll_ms"),
        ({"password": "x"}, "password"),
    ],
)
def test_wrong_settings_are_refused_by_name(wrong: dict[str, Any], about: str) -> None:
    assert UhppoteOptions(**GOOD).address == "192.0.2.5:60000"
    with pytest.raises(ValidationError, match=about):
        UhppoteOptions(**{**GOOD, **wrong})


def test_a_board_has_its_doors_once_and_each_reader_once() -> None:
    board = UhppoteBoard(UhppoteOptions(**GOOD), DriverContext("board", SystemClock()))
    context = DriverContext("one", SystemClock(), board)
    UhppoteDoors(UhppoteDoorsOptions(bus="board"), context)
    with pytest.raises(ValueError, match=r"the doors of board at .* are taken"):
        UhppoteDoors(UhppoteDoorsOptions(bus="board"), context)
    options = UhppoteReaderOptions(bus="board", board_door=2, board_side="out")
    UhppoteReader(options, context)
    with pytest.raises(ValueError, match="board, door 2, reader out is taken"):
        UhppoteReader(options, context)
    assert uhppote_doors.port_of(UhppoteDoorsOptions(bus="board")) == "board, its doors"
    assert uhppote.port_of(UhppoteOptions(**GOOD)) == "UHPPOTE board 405419896"
    assert uhppote_events.FRESH.total_seconds() == 3
