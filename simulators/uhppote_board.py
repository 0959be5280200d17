"""A simulated UHPPOTE UT0311-L0x board on UDP, with faults: doors, readers, buttons, cards, events.

Owns the socket, the answers and the orders of people; what the board knows is uhppote_state.py's.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from simulators.control import ControlError, ControlTable, Reply, Request, Verb
from simulators.device import Device, run_device
from simulators.line_faults import MAX_TIMES, LineFaults
from simulators.uhppote_state import DELETED, BoardState, SimulatedCard, SimulatedDoor
from simulators.uhppote_wire import (
    SIZE,
    SURE,
    Record,
    bcd,
    packet,
    record_bytes,
    status,
    u32,
    unbcd,
)

NAME = "uhppote"
HELP = "a UHPPOTE UT0311-L0x access board, on UDP"

FAULTS = ("loss", "duplicate", "wrong_serial", "lost_events", "firmware_6_62", "stuck")
OTHERS = ("unplug", "replug", "reboot", "clock", "index", "forget_events")
MAX_HOLD_S = 25.0
Address = tuple[str, int]


class SimulatedUhppoteBoard(Device):
    """`async with SimulatedUhppoteBoard() as board:`; it is at `board.address`."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        serial: int = 405_419_896,
        doors: int = 4,
        utc_offset_min: int = 480,
        control: Path | None = None,
    ) -> None:
        super().__init__(control)
        if doors not in {1, 2, 4}:
            raise ValueError(f"--doors {doors}: such boards have 1, 2 or 4")
        if not 1 <= serial < DELETED:
            raise ValueError(f"--serial {serial}: write a number from 1 to {DELETED - 1}")
        self.serial = serial
        self.faults = LineFaults(FAULTS)
        self.plugged = True
        self.questions: list[int] = []  # the functions that were asked for, in order
        self._host, self._port = host, port
        self._listener: Address | None = None
        self._transport: asyncio.DatagramTransport | None = None
        now = datetime.now(UTC).replace(tzinfo=None) + timedelta(minutes=utc_offset_min)
        now_s = time.monotonic()
        self._state = BoardState(now_s, [SimulatedDoor() for _ in range(doors)], now, now_s)

    @property
    def state(self) -> BoardState:
        """The board, as it is now."""
        self._state.now_s = time.monotonic()
        return self._state

    @property
    def address(self) -> Address:
        assert self._transport is not None  # noqa: S101  # asked for while it is open
        host, port = self._transport.get_extra_info("sockname")[:2]
        return host, port

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Socket(self._received), local_addr=(self._host, self._port)
        )

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def ready(self) -> Mapping[str, Any]:
        return {"address": "{}:{}".format(*self.address), "serial": self.serial}

    # ----------------------------------------------------------------------------- packets

    def _received(self, data: bytes, sender: Address) -> None:
        if not self.plugged or len(data) != SIZE or data[0] != 0x17:
            return
        if u32(data, 4) != self.serial or self.faults.take("loss") is not None:
            return
        self.questions.append(data[1])
        self._state.heard_s = time.monotonic()
        said = self._answer(data)
        if said is None:
            return
        answer = said if data[1] == 0x20 else packet(data[1], self.serial, said)
        if self.faults.take("wrong_serial") is not None:
            answer = answer[:4] + (self.serial ^ 0xFF).to_bytes(4, "little") + answer[8:]
        times = 1 if self.faults.take("duplicate") is None else 2
        for _ in range(times):
            self._send(answer, sender)

    def _send(self, data: bytes, to: Address) -> None:
        if self._transport is not None:
            self._transport.sendto(data, to)

    def _answer(self, data: bytes) -> bytes | None:
        """What follows the serial number; the whole packet for a status; None: no answer."""
        state = self.state
        match data[1]:
            case 0x20:
                return self._status(state.events.get(state.newest))
            case 0x30:
                return self._set_time(data)
            case 0x40:
                return self._open(data[8])
            case 0x50 | 0x52 | 0x58 | 0x5A | 0x5C:
                return self._cards(data)
            case 0x80:
                return self._set_door(data)
            case 0x8E:
                state.record_all = data[8] == 1
                return b"\1"
            case 0x90:
                host = ".".join(str(byte) for byte in data[8:12])
                self._listener = host, int.from_bytes(data[12:14], "little")
                return b"\1"
            case 0xA0:
                state.pc_control = data[12] == 1 and u32(data, 8) == SURE
                return b"\1"
            case 0xB0 | 0xB2 | 0xB4:
                return self._events(data)
        return None

    def _status(self, record: Record | None, som: int = 0x17) -> bytes:
        state = self.state
        rest = [False] * (4 - len(state.doors))
        opened = [door.open for door in state.doors] + rest
        buttons = [door.button for door in state.doors] + rest
        relays = state.relays() + rest
        return status(self.serial, record, opened, buttons, relays, state.now, som)

    def _set_time(self, data: bytes) -> bytes | None:
        try:
            self._state.clock = unbcd(data[8:15])
        except ValueError:
            return None
        self._state.clock_set_s = time.monotonic()
        return bcd(self._state.clock)

    def _open(self, door: int) -> bytes:
        if not 1 <= door <= len(self._state.doors):
            return b"\0"
        if self.faults.take("stuck") is None:
            self._tell(self.state.open_by_host(door))
        return b"\1"

    def _set_door(self, data: bytes) -> bytes:
        door, control, open_s = data[8:11]
        if not 1 <= door <= len(self._state.doors) or control not in {1, 2, 3}:
            return bytes(3)
        place = self._state.doors[door - 1]
        if control != place.control:
            place.unlocked_until_s = 0.0
        place.control, place.open_s = control, open_s
        return bytes([door, control, open_s])

    def _cards(self, data: bytes) -> bytes:
        state, number = self._state, u32(data, 8)
        match data[1]:
            case 0x50:
                begins, ends = unbcd(data[12:16] + bytes(3)), unbcd(data[16:20] + bytes(3))
                doors = [byte == 1 for byte in data[20:24]]
                state.put(SimulatedCard(number, begins.date(), ends.date(), doors))
                return b"\1"
            case 0x52:
                return bytes([state.delete(number)])
            case 0x58:
                return len(state.cards).to_bytes(4, "little")
            case 0x5A:
                return _card_bytes(state.find(number))
        if not 1 <= number <= len(state.cards):
            return _card_bytes(None)
        found = state.cards[number - 1]
        return DELETED.to_bytes(4, "little") if found is None else _card_bytes(found)

    def _events(self, data: bytes) -> bytes:
        state, index = self._state, u32(data, 8)
        if data[1] == 0xB4:
            return state.user_index.to_bytes(4, "little")
        if data[1] == 0xB2:
            if u32(data, 12) != SURE:
                return b"\0"
            state.user_index = index
            return b"\1"
        if index == 0 and state.events:
            return record_bytes(next(iter(state.events.values())))
        found = state.events.get(index)
        if found is None:
            missing = 0xFF if state.events and index < next(iter(state.events)) else 0
            return index.to_bytes(4, "little") + bytes([missing])
        return record_bytes(found)

    def _tell(self, record: Record | None) -> None:
        """By itself, to whoever was set to listen."""
        if record is None or self._listener is None or not self.plugged:
            return
        if self.faults.take("lost_events") is not None:
            return
        som = 0x17 if self.faults.take("firmware_6_62") is None else 0x19
        times = 1 if self.faults.take("duplicate") is None else 2
        for _ in range(times):
            self._send(self._status(record, som), self._listener)

    # ------------------------------------------------------------------------------ orders

    def controls(self) -> ControlTable:
        return {
            "card": Verb(self._card, ("door", "card", "direction")),
            "door": Verb(self._door, ("door", "action")),
            "press_exit": Verb(self._press_exit, ("door", "hold_s")),
            "wait_relay": Verb(self._wait_relay, ("relay", "energised", "timeout_s")),
            "fault": Verb(self._fault, ("kind", "times", "seconds", "index")),
            "clear": Verb(self._clear),
            "status": Verb(self._tell_status),
        }

    def swipe(self, door: int, card: int, direction: int = 1) -> None:
        """Somebody holds a card to a reader of the board."""
        self._tell(self.state.swipe(door, card, direction))

    def move_leaf(self, door: int, *, opens: bool) -> None:
        self._tell(self.state.move_leaf(door, opens=opens))

    def press(self, door: int) -> None:
        self._tell(self.state.press(door))

    def reboot(self) -> None:
        self._tell(self.state.reboot())

    async def _card(self, request: Request) -> Reply:
        door = self._number_of_door(request)
        direction = request.integer("direction", 1, least=1, most=2)
        self.swipe(door, request.integer("card", least=1, most=DELETED - 1), direction)
        return {"unlocked": self.state.relays()[door - 1]}

    async def _door(self, request: Request) -> Reply:
        door = self._number_of_door(request)
        opens = request.choice("action", ("open", "close")) == "open"
        locked = not self.state.relays()[door - 1]
        self.move_leaf(door, opens=opens)
        return {"open": opens, "locked": locked}

    async def _press_exit(self, request: Request) -> Reply:
        """Press and release; the reply comes after the release."""
        door = self._number_of_door(request)
        hold_s = request.number("hold_s", 0.5, least=0.01, most=MAX_HOLD_S)
        self.press(door)
        try:
            await asyncio.sleep(hold_s)
        finally:
            self.state.doors[door - 1].button = False
        return {"unlocked": self.state.relays()[door - 1]}

    async def _wait_relay(self, request: Request) -> Reply:
        """Reply when the lock is so, or with `reached` false after the time."""
        relay = request.integer("relay", least=1, most=len(self._state.doors))
        wanted = request.flag("energised", default=True)
        until_s = time.monotonic() + request.number("timeout_s", 5.0, most=MAX_HOLD_S)
        while self.state.relays()[relay - 1] != wanted:
            if time.monotonic() >= until_s:
                return {"reached": False}
            await asyncio.sleep(0.01)
        return {"reached": True, "at_ns": time.monotonic_ns()}

    async def _fault(self, request: Request) -> Reply:
        kind = request.choice("kind", FAULTS + OTHERS)
        match kind:
            case "unplug" | "replug":
                self.plugged = kind == "replug"
            case "reboot":
                self.reboot()
            case "clock":
                drift_s = request.number("seconds", least=-86_400, most=86_400)
                self._state.clock += timedelta(seconds=drift_s)
            case "index":
                self._state.newest = request.integer("index", least=0, most=DELETED)
            case "forget_events":
                self._state.events.clear()
                self._state.newest = 0
            case _:
                self.faults.put(kind, request.integer("times", 0, most=MAX_TIMES))
        return {"faults": self.faults.status(), "plugged": self.plugged}

    async def _clear(self, _request: Request) -> Reply:
        self.faults.clear()
        self.plugged = True
        return {"plugged": True}

    async def _tell_status(self, _request: Request) -> Reply:
        state = self.state
        relays = state.relays()
        return {
            "serial": self.serial,
            "plugged": self.plugged,
            "clock": state.now.isoformat(),
            "host_decides": state.host_decides,
            "listener": None if self._listener is None else "{}:{}".format(*self._listener),
            "newest_event": state.newest,
            "event_index": state.user_index,
            "cards": sum(card is not None for card in state.cards),
            "doors": [
                {"door": number, "unlocked": relays[number - 1], **asdict(door)}
                for number, door in enumerate(state.doors, 1)
            ],
            "faults": self.faults.status(),
        }

    def _number_of_door(self, request: Request) -> int:
        door = request.integer("door", least=1, most=4)
        if door > len(self._state.doors):
            raise ControlError(f"no door {door}: the board has 1 to {len(self._state.doors)}")
        return door


def _card_bytes(card: SimulatedCard | None) -> bytes:
    if card is None:
        return bytes(16)
    days = bytes.fromhex(f"{card.begins:%Y%m%d}{card.ends:%Y%m%d}")
    return card.number.to_bytes(4, "little") + days + bytes(card.doors)


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, Address], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401  # asyncio's own
        self._received(data, addr)


# ------------------------------------------------------------------------------ command line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=60_000, help="0 takes a free one")
    parser.add_argument("--serial", type=int, default=405_419_896)
    parser.add_argument("--doors", type=int, choices=(1, 2, 4), default=4)
    parser.add_argument("--utc-offset-min", type=int, default=480, help="of the board's clock")
    parser.add_argument("--control", type=Path, help="Unix socket for orders (JSON Lines)")


async def run(args: argparse.Namespace) -> int:
    try:
        board = SimulatedUhppoteBoard(
            host=args.host,
            port=args.port,
            serial=args.serial,
            doors=args.doors,
            utc_offset_min=args.utc_offset_min,
            control=args.control,
        )
    except ValueError as error:
        print(error, flush=True)
        return 2
    return await run_device(board)
