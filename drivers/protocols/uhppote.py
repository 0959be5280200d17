"""UHPPOTE UT0311-L0x boards over UDP: 64 bytes a packet. No I/O, no clock.

`17`, function, 0 0, the board's serial number (little endian) at 4, then what the function carries;
dates and times are BCD and local to the board. Firmware 6.62 begins what it sends unasked with
`19`. Nothing is authenticated: whoever can send from the board's address is the board.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import IntEnum

from gatewayd.domain.ports import Malformed

SIZE = 64
SOM, SOM_6_62 = 0x17, 0x19
SURE = bytes.fromhex("55AAAA55")  # in what must not be set by an accident of bytes
DOORS = 4
NO_CARDS = frozenset({0, 0xFFFFFFFF})  # no record there; one that was deleted
OVERWRITTEN = 0xFF  # the type of an event that is not kept any more


class Function(IntEnum):
    """What a packet is about; an answer has the number of its question."""

    STATUS = 0x20  # also what a board sends by itself, with each event
    SET_TIME = 0x30
    OPEN = 0x40
    PUT_CARD = 0x50
    DELETE_CARD = 0x52
    COUNT_CARDS = 0x58
    GET_CARD = 0x5A
    GET_CARD_AT = 0x5C
    SET_DOOR = 0x80
    RECORD_ALL = 0x8E
    SET_LISTENER = 0x90
    PC_CONTROL = 0xA0
    GET_EVENT = 0xB0
    SET_EVENT_INDEX = 0xB2
    GET_EVENT_INDEX = 0xB4


class Control(IntEnum):
    """Who moves a door's lock."""

    NORMALLY_OPEN = 1
    NORMALLY_CLOSED = 2  # nobody: no card, no button, no order to open
    CONTROLLED = 3


class EventType(IntEnum):
    NONE = 0
    CARD = 1
    DOOR = 2
    ALARM = 3


REASON_PC_CONTROL = 5  # a card that the board left to us


@dataclass(frozen=True, slots=True)
class Question:
    """A packet to send, and how the packet that answers it goes on from byte 8."""

    packet: bytes = field(repr=False)
    echo: bytes = field(default=b"", repr=False)

    @property
    def function(self) -> int:
        return self.packet[1]


@dataclass(frozen=True, slots=True)
class Packet:
    """One that came, with a form that is right; what it says is read with the functions below."""

    function: int
    serial: int
    data: bytes = field(repr=False)

    @property
    def done(self) -> bool:
        """Of an answer that says yes or no."""
        return self.data[8] == 1


@dataclass(frozen=True, slots=True)
class BoardEvent:
    """One of the board's own events. `at` is the board's local time, None where it is no time.

    `card` is the number as the board makes it; `direction` 1 in, 2 out; `door` from 1.
    """

    index: int
    type: int
    granted: bool
    door: int
    direction: int
    card: int = field(repr=False)
    at: datetime | None
    reason: int


@dataclass(frozen=True, slots=True)
class Status:
    """How the board stands. Doors and relays are in the order of the doors, from door 1."""

    event: BoardEvent | None  # the newest
    open: tuple[bool, ...]
    buttons: tuple[bool, ...]
    unlocked: tuple[bool, ...]
    now: datetime | None


@dataclass(frozen=True, slots=True)
class Card:
    """A card as the board knows it: from and to are days, both inclusive; doors from door 1."""

    number: int = field(repr=False)
    begins: date
    ends: date
    doors: tuple[bool, ...]


# --------------------------------------------------------------------------------- questions


def status(serial: int) -> Question:
    return _ask(Function.STATUS, serial)


def set_time(serial: int, now: datetime) -> Question:
    """The board's clock, in its local time."""
    moment = bytes.fromhex(f"{now:%Y%m%d%H%M%S}")
    return _ask(Function.SET_TIME, serial, moment)


def open_door(serial: int, door: int) -> Question:
    """Unlock for as long as `set_door` said."""
    return _ask(Function.OPEN, serial, _door(door))


def set_door(serial: int, door: int, control: Control, open_s: int) -> Question:
    """Who moves the lock, and for how many seconds (1 to 255) it is unlocked each time."""
    if not 1 <= open_s <= 255:
        raise ValueError(f"a board unlocks for 1 to 255 s, not {open_s}")
    said = _door(door) + bytes([control, open_s])
    return _ask(Function.SET_DOOR, serial, said, echo=said)


def set_listener(serial: int, address: str, port: int) -> Question:
    """Where the board sends its events."""
    said = ipaddress.IPv4Address(address).packed + port.to_bytes(2, "little")
    return _ask(Function.SET_LISTENER, serial, said + bytes(1))


def record_all(serial: int, on: bool) -> Question:
    """Whether doors and buttons make events as well as cards do."""
    return _ask(Function.RECORD_ALL, serial, bytes([on]))


def pc_control(serial: int, on: bool) -> Question:
    """Whether we decide. The board decides again by itself after 30 s without a word from us."""
    return _ask(Function.PC_CONTROL, serial, SURE + bytes([on]))


def get_event(serial: int, index: int) -> Question:
    """The event of that index; index 0 the oldest that is kept."""
    said = index.to_bytes(4, "little")
    return _ask(Function.GET_EVENT, serial, said, echo=said if index else b"")


def get_event_index(serial: int) -> Question:
    """The index that was last set: the last event that we have."""
    return _ask(Function.GET_EVENT_INDEX, serial)


def set_event_index(serial: int, index: int) -> Question:
    return _ask(Function.SET_EVENT_INDEX, serial, index.to_bytes(4, "little") + SURE)


def count_cards(serial: int) -> Question:
    return _ask(Function.COUNT_CARDS, serial)


def get_card(serial: int, number: int) -> Question:
    return _ask(Function.GET_CARD, serial, number.to_bytes(4, "little"))


def get_card_at(serial: int, index: int) -> Question:
    """The card of that place in the board's list, from 1; places of deleted ones stay."""
    return _ask(Function.GET_CARD_AT, serial, index.to_bytes(4, "little"))


def put_card(serial: int, card: Card) -> Question:
    days = bytes.fromhex(f"{card.begins:%Y%m%d}{card.ends:%Y%m%d}")
    said = card.number.to_bytes(4, "little") + days + bytes(card.doors)
    return _ask(Function.PUT_CARD, serial, said)


def delete_card(serial: int, number: int) -> Question:
    return _ask(Function.DELETE_CARD, serial, number.to_bytes(4, "little"))


def _ask(function: Function, serial: int, said: bytes = b"", *, echo: bytes = b"") -> Question:
    head = bytes([SOM, function, 0, 0]) + serial.to_bytes(4, "little")
    return Question((head + said).ljust(SIZE, b"\0"), echo)


def _door(door: int) -> bytes:
    if not 1 <= door <= DOORS:
        raise ValueError(f"a board has doors 1 to {DOORS}, not {door}")
    return bytes([door])


# ----------------------------------------------------------------------------------- answers


def read(data: bytes) -> Packet | Malformed:
    """What came, if it has the form of a packet."""
    if len(data) != SIZE:
        return Malformed(f"{len(data)} bytes instead of {SIZE}")
    unasked = data[0] == SOM_6_62 and data[1] == Function.STATUS
    if data[0] != SOM and not unasked:
        return Malformed(f"begins with {data[0]:02x}")
    return Packet(data[1], int.from_bytes(data[4:8], "little"), data)


def answers(packet: Packet, question: Question) -> bool:
    """Whether the packet is the answer, as far as can be told: nothing numbers them."""
    same = packet.function == question.function and packet.data[4:8] == question.packet[4:8]
    return same and packet.data[8:].startswith(question.echo)


def read_status(packet: Packet) -> Status:
    data = packet.data
    event = read_event(packet)
    day, moment = data[51:54].hex(), data[37:40].hex()
    return Status(
        event if event.index else None,
        tuple(byte != 0 for byte in data[28:32]),
        tuple(byte != 0 for byte in data[32:36]),
        tuple(bool(data[49] >> bit & 1) for bit in range(DOORS)),
        _moment(f"20{day}{moment}"),
    )


def read_event(packet: Packet) -> BoardEvent:
    """Also of the answer to `get_event`: the type is NONE where there is none."""
    data = packet.data
    return BoardEvent(
        index=number(packet),
        type=data[12],
        granted=data[13] == 1,
        door=data[14],
        direction=data[15],
        card=int.from_bytes(data[16:20], "little"),
        at=_moment(data[20:27].hex()),
        reason=data[27],
    )


def read_card(packet: Packet) -> Card | None:
    """None: there is no such card, it was deleted, or its days are none."""
    data, found = packet.data, number(packet)
    begins, ends = _moment(f"{data[12:16].hex()}000000"), _moment(f"{data[16:20].hex()}000000")
    if found in NO_CARDS or begins is None or ends is None:
        return None
    return Card(found, begins.date(), ends.date(), tuple(byte != 0 for byte in data[20:24]))


def read_time(packet: Packet) -> datetime | None:
    """What the board's clock was set to."""
    return _moment(packet.data[8:15].hex())


def number(packet: Packet) -> int:
    """Of an answer that is a number: an index, a count, a card."""
    return int.from_bytes(packet.data[8:12], "little")


def _moment(digits: str) -> datetime | None:
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S")  # noqa: DTZ007  # the board has no zone
    except ValueError:
        return None
