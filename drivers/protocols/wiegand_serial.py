"""Wiegand cards and keys on a serial line: two dialects of converters. Must not do I/O or wait.

`hex-line`: `<bit count>,<value in hex>` ended by CR and/or LF; the value is right-aligned in
exactly ceil(bits/4) digits: `26,2012345`.
`binary`: `02 | bit count | value, ceil(bits/8) bytes, big-endian, right-aligned | XOR of the bit
count and the value's bytes | 03`. Bit counts are 1 to 128 in both; 4 and 8 are a keypad's keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import reduce
from operator import xor

from drivers.protocols import bit_order
from drivers.protocols.bit_order import Order
from drivers.protocols.keypad import BURSTS, Key, identify_key
from drivers.protocols.lines import Lines
from gatewayd.domain.model import Credential
from gatewayd.domain.ports import Malformed
from gatewayd.domain.wiegand import MAX_BITS

STX = 0x02
ETX = 0x03
MAX_LINE = 36  # "128," and 32 digits; a longer line is no message and is not kept
_FRAME_OVERHEAD = 4  # start, bit count, check, end
_LINE = re.compile(rb"([1-9][0-9]{0,2}),([0-9A-Fa-f]{1,32})")
_CUT_SHORT = Malformed("message cut short by silence")

Message = Credential | Key | Malformed


def encode_hex_line(bits: int, bit_count: int) -> bytes:
    """A card or a key as a `hex-line` message. Raises ValueError where the value does not fit."""
    _check(bits, bit_count)
    return f"{bit_count},{bits:0{(bit_count + 3) // 4}X}\r\n".encode("ascii")


def encode_binary(bits: int, bit_count: int) -> bytes:
    """A card or a key as a `binary` message. Raises ValueError where the value does not fit."""
    _check(bits, bit_count)
    checked = bytes([bit_count]) + bits.to_bytes((bit_count + 7) // 8, "big")
    return bytes([STX]) + checked + bytes([reduce(xor, checked), ETX])


class HexLineDecoder:
    """Collects one line at a time; never holds more than MAX_LINE bytes, never raises.

    A converter's `prefix` and `suffix` must stand around the message where they are set.
    """

    def __init__(
        self,
        accept_unknown_lengths: bool = False,
        reverse: Order = "none",
        prefix: bytes = b"",
        suffix: bytes = b"",
    ) -> None:
        self._meaning = _Meaning(accept_unknown_lengths, reverse)
        self._prefix, self._suffix = prefix, suffix
        longest = MAX_LINE + len(prefix) + len(suffix)
        self._lines = Lines(longest, "line longer than a card's")

    def feed(self, data: bytes) -> list[Message]:
        """What the bytes complete, in order. Malformed says why, without a digit of it."""
        found = (self._take(byte) for byte in data)
        return [message for message in found if message is not None]

    def quiet(self) -> list[Message]:
        """The line was silent for longer than a message has gaps: what is unfinished is over."""
        cut = self._lines.quiet()
        return [] if cut is None else [cut]

    def _take(self, byte: int) -> Message | None:
        line = self._lines.take(byte)
        return self._decode(line) if isinstance(line, bytes) else line

    def _decode(self, line: bytes) -> Message:
        if not line.startswith(self._prefix):
            return Malformed("line without its prefix: see prefix")
        line = line[len(self._prefix) :]
        if not line.endswith(self._suffix):
            return Malformed("line without its suffix: see suffix")
        parts = _LINE.fullmatch(line[: len(line) - len(self._suffix)])
        if parts is None:
            return Malformed("line is not '<bit count>,<hex digits>'")
        bit_count, digits = int(parts[1]), parts[2]
        if bit_count > MAX_BITS:
            return Malformed(f"bit count above {MAX_BITS}")
        if len(digits) != (bit_count + 3) // 4:
            return Malformed("number of digits does not match the bit count")
        bits = int(digits, 16)
        if bits >> bit_count:
            return Malformed("value does not fit the bit count")
        return self._meaning.of(bits, bit_count)


class BinaryDecoder:
    """Finds frames in the bytes; never holds more than the longest frame, never raises.

    A value may contain the frame marks, so after a frame that is none the search goes on one byte
    past its start mark, not past its end.
    """

    def __init__(self, accept_unknown_lengths: bool = False, reverse: Order = "none") -> None:
        self._meaning = _Meaning(accept_unknown_lengths, reverse)
        self._held = bytearray()
        self._stray_told = False  # one Malformed for a run of bytes that are no message

    def feed(self, data: bytes) -> list[Message]:
        """What the bytes complete, in order. Malformed says why, without a byte of it."""
        found: list[Message] = []
        for byte in data:
            self._held.append(byte)
            self._search(found)
        return found

    def quiet(self) -> list[Message]:
        """The line was silent for longer than a message has gaps: what is unfinished is over."""
        unfinished = bool(self._held)
        self._held.clear()
        self._stray_told = False
        return [_CUT_SHORT] if unfinished else []

    def _search(self, found: list[Message]) -> None:
        while self._held:
            reason = _fault(self._held)
            if reason is not None:
                del self._held[0]
                self._tell(Malformed(reason), found)
            elif (length := _whole_length(self._held)) is None:
                return
            else:
                bit_count, bits = self._held[1], int.from_bytes(self._held[2 : length - 2], "big")
                del self._held[:length]
                self._stray_told = False
                found.append(self._meaning.of(bits, bit_count))

    def _tell(self, malformed: Malformed, found: list[Message]) -> None:
        if not self._stray_told:
            self._stray_told = True
            found.append(malformed)


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What bits are. No card is as short as a key, whatever lengths are accepted: a PIN is never
    taken for one. Keys come as they are, whatever the reader turns round in cards."""

    accept_unknown_lengths: bool
    reverse: Order

    def of(self, bits: int, bit_count: int) -> Message:
        if bit_count in BURSTS:
            return identify_key(bits, bit_count)
        return bit_order.identify(bits, bit_count, self.accept_unknown_lengths, self.reverse)


def _whole_length(held: bytearray) -> int | None:
    """The length of the frame that starts the bytes held, once they hold all of it."""
    if len(held) < 2:
        return None
    length = _FRAME_OVERHEAD + (held[1] + 7) // 8
    return length if len(held) >= length else None


def _fault(held: bytearray) -> str | None:
    """Why the bytes held can't be the beginning of a frame; None while they can, or hold one."""
    if held[0] != STX:
        return "bytes outside a message"
    if len(held) > 1 and not 1 <= held[1] <= MAX_BITS:
        return f"bit count outside 1 to {MAX_BITS}"
    length = _whole_length(held)
    if length is None:
        return None
    if held[length - 1] != ETX:
        return "end mark is missing"
    if reduce(xor, held[1 : length - 1]):  # the check byte makes it nought
        return "checksum"
    if int.from_bytes(held[2 : length - 2], "big") >> held[1]:
        return "value does not fit the bit count"
    return None


def _check(bits: int, bit_count: int) -> None:
    if not 1 <= bit_count <= MAX_BITS or bits < 0 or bits >> bit_count:
        raise ValueError(f"a card has 1 to {MAX_BITS} bits and a value that fits in them")
