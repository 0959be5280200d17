"""A UHPPOTE board's packets, as the board reads and writes them. Pure; from the wire's facts.

64 bytes: `17` (unasked from old firmware `19`), function, 0 0, serial u32le at 4. Dates are BCD.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

SIZE = 64
SURE = 0x55AAAA55


@dataclass(frozen=True, slots=True)
class Record:
    """One event as the board stores it."""

    index: int
    type: int
    granted: bool
    door: int
    direction: int
    card: int
    at: datetime
    reason: int


def u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def bcd(moment: datetime) -> bytes:
    """YYYYMMDDHHMMSS in seven bytes."""
    return bytes.fromhex(moment.strftime("%Y%m%d%H%M%S"))


def unbcd(data: bytes) -> datetime:
    """Raises ValueError for what is no time."""
    return datetime.strptime(data.hex(), "%Y%m%d%H%M%S")  # noqa: DTZ007  # a board has no zone


def packet(function: int, serial: int, said: bytes = b"", som: int = 0x17) -> bytes:
    head = bytes([som, function, 0, 0]) + serial.to_bytes(4, "little")
    return (head + said).ljust(SIZE, b"\0")


def record_bytes(record: Record | None) -> bytes:
    """Bytes 8 to 27 of a status or of an answer to B0."""
    if record is None:
        return bytes(20)
    return (
        record.index.to_bytes(4, "little")
        + bytes([record.type, record.granted, record.door, record.direction])
        + record.card.to_bytes(4, "little")
        + bcd(record.at)
        + bytes([record.reason])
    )


def status(
    serial: int,
    record: Record | None,
    opened: list[bool],
    buttons: list[bool],
    relays: list[bool],
    now: datetime,
    som: int = 0x17,
) -> bytes:
    data = bytearray(packet(0x20, serial, record_bytes(record), som))
    data[28:32] = bytes(opened)
    data[32:36] = bytes(buttons)
    data[37:40] = bcd(now)[4:]
    data[49] = sum(on << door for door, on in enumerate(relays))
    data[51:54] = bcd(now)[1:4]
    return bytes(data)
