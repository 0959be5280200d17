"""Modbus RTU as a master needs it for relay boards: frames out, answers in. No I/O, no waiting.

Function codes 01 (read coils), 02 (read discrete inputs) and 05 (write one coil) of the Modbus
Application Protocol V1.1b3. A request knows the exact shape of its answer, so an answer is looked
for at every offset of what came in: noise before it, the echo of an RS-485 adapter, and answers to
other questions are passed over. Addresses are the wire's, from 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

READ_COILS = 0x01
READ_INPUTS = 0x02
WRITE_COIL = 0x05
FLASH_ON, FLASH_OFF = 0x0200, 0x0400  # added to a relay's address: a pulse that the board times
MAX_FLASH = 0x7FFF  # tenths of a second
ERROR_FLAG = 0x80  # added to the function code of a request that the board refuses
MAX_READ_BITS = 2000  # V1.1b3 §6.1
MAX_HELD = 256  # the longest frame of a serial line (Modbus over Serial Line V1.02 §2.3)
_REFUSED_LENGTH = 5
_ON, _OFF = b"\xff\x00", b"\x00\x00"

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge, still working",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target failed to respond",
}


@dataclass(frozen=True, slots=True)
class Request:
    """One question: the frame to send, and how its answer must begin and how long it is."""

    frame: bytes
    answer_begins: bytes
    answer_length: int
    bit_count: int = 0  # of a read


@dataclass(frozen=True, slots=True)
class Bits:
    """The states that were read, from the first address asked for."""

    states: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """The board echoed the write."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The board understood and will not (an exception response)."""

    code: int

    @property
    def reason(self) -> str:
        return f"exception {self.code}, {EXCEPTIONS.get(self.code, 'unknown')}"


Answer = Bits | Written | Refused


def crc(data: bytes) -> bytes:
    """CRC-16/MODBUS, low byte first, as it stands at the end of a frame."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value.to_bytes(2, "little")


def read_coils(device_id: int, address: int, count: int) -> Request:
    """Ask for `count` relay states. Raises ValueError for numbers that have no frame."""
    return _read(device_id, READ_COILS, address, count)


def read_inputs(device_id: int, address: int, count: int) -> Request:
    """Ask for `count` input states. Raises ValueError for numbers that have no frame."""
    return _read(device_id, READ_INPUTS, address, count)


def write_coil(device_id: int, address: int, on: bool) -> Request:
    """Switch one relay. Only FF00 and 0000: vendors' toggle values are not idempotent."""
    _check(device_id, address, 1)
    body = bytes([device_id, WRITE_COIL]) + address.to_bytes(2, "big") + (_ON if on else _OFF)
    return Request(body + crc(body), body, len(body) + 2)


def flash_coil(device_id: int, address: int, on: bool, tenths: int) -> Request:
    """Switch one relay, and back by the board itself after so many tenths of a second.

    A vendor's way ("flash on", "flash off"), and no part of the standard: function 05 with the
    relay's address plus 0x0200 or 0x0400, and the time in the place of the state.
    """
    _check(device_id, address, 1)
    if not 0 <= address < 0x100 or not 1 <= tenths <= MAX_FLASH:
        raise ValueError(f"Modbus can't time relay {address} for {tenths} tenths of a second")
    place = (FLASH_ON if on else FLASH_OFF) + address
    body = bytes([device_id, WRITE_COIL]) + place.to_bytes(2, "big") + tenths.to_bytes(2, "big")
    return Request(body + crc(body), body, len(body) + 2)


class AnswerDecoder:
    """Looks for one request's answer; never holds more than MAX_HELD bytes, never raises."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._held = bytearray()
        # Where an answer may begin, overlapping ones too: a line full of noise costs no more.
        begins = b"|".join(map(re.escape, (request.answer_begins, _refusal(request))))
        self._begins = re.compile(b"(?=%b)" % begins, re.DOTALL)

    @property
    def unanswering(self) -> int:
        """How many bytes came that are no answer, as far as they are held."""
        return len(self._held)

    def feed(self, data: bytes) -> Answer | None:
        """The answer, once it is whole; what follows it in `data` is dropped."""
        self._held += data
        for begin in self._begins.finditer(bytes(self._held)):
            start = begin.start()
            answer = _answer_at(self._request, bytes(self._held[start : start + MAX_HELD]))
            if answer is not None:
                self._held.clear()
                return answer
        del self._held[:-MAX_HELD]
        return None


def _read(device_id: int, function: int, address: int, count: int) -> Request:
    _check(device_id, address, count)
    body = bytes([device_id, function]) + address.to_bytes(2, "big") + count.to_bytes(2, "big")
    size = (count + 7) // 8
    return Request(body + crc(body), bytes([device_id, function, size]), size + 5, count)


def _check(device_id: int, address: int, count: int) -> None:
    if not 1 <= device_id <= 247:
        raise ValueError(f"a Modbus device id is 1 to 247, not {device_id}")
    if not 1 <= count <= MAX_READ_BITS or address < 0 or address + count > 0x10000:
        raise ValueError(f"Modbus can't address {count} bits from {address}")


def _answer_at(request: Request, held: bytes) -> Answer | None:
    """The answer that begins these bytes, or None."""
    if held.startswith(_refusal(request)) and _is_whole(held[:_REFUSED_LENGTH], _REFUSED_LENGTH):
        return Refused(held[2])
    if not held.startswith(request.answer_begins):
        return None
    if not _is_whole(held[: request.answer_length], request.answer_length):
        return None
    if not request.bit_count:
        return Written()
    packed = int.from_bytes(held[3 : request.answer_length - 2], "little")
    return Bits(tuple(bool(packed >> index & 1) for index in range(request.bit_count)))


def _refusal(request: Request) -> bytes:
    """How a refused request's answer begins."""
    return bytes([request.frame[0], request.frame[1] | ERROR_FLAG])


def _is_whole(frame: bytes, length: int) -> bool:
    return len(frame) == length and crc(frame[:-2]) == frame[-2:]
