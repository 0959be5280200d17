"""ID-12 and RDM6300 tag readers: bytes to credentials. Owns the frame; must not do I/O or wait.

Frame: `02`, 10 hex digits (the 40 bits of an EM4100 tag), 2 hex digits (exclusive-or of those five
bytes), `0D 0A` on an ID-12 and nothing on an RDM6300, `03`. All printable but the frame marks, so
a start byte always starts a message: that is how the decoder finds its feet again.
"""

from __future__ import annotations

from functools import reduce
from operator import xor

from drivers.protocols.bit_order import Order, reordered
from gatewayd.domain.model import Credential, card
from gatewayd.domain.ports import Malformed

STX = 0x02
ETX = 0x03
TAG_BITS = 40
MAX_BODY = 14  # 10 digits, 2 of checksum, CR LF; a longer body is no message and is not kept
_HEX = frozenset(b"0123456789ABCDEFabcdef")
_LINE_END = b"\r\n"


def checksum(tag: bytes) -> int:
    """The exclusive-or of the tag's five bytes."""
    return reduce(xor, tag, 0)


def encode(bits: int, line_end: bool = True) -> bytes:
    """The frame of a tag, with ID-12's CR LF or without. Raises OverflowError past 40 bits."""
    tag = bits.to_bytes(TAG_BITS // 8, "big")
    body = f"{tag.hex()}{checksum(tag):02x}".upper().encode("ascii")
    return bytes([STX]) + body + (_LINE_END if line_end else b"") + bytes([ETX])


class AsciiTagDecoder:
    """Collects one frame at a time; never holds more than MAX_BODY bytes, never raises."""

    def __init__(self, reverse: Order = "none") -> None:
        """`reverse` is what the reader turned round in the tag; the checksum is of what it sent."""
        self._reverse = reverse
        self._body: bytearray | None = None  # None: between messages
        self._stray_told = False  # one Malformed for a run of stray bytes, however long

    def feed(self, data: bytes) -> list[Credential | Malformed]:
        """What the bytes complete, in order. A Malformed says why, without digits of a card."""
        found = (self._take(byte) for byte in data)
        return [message for message in found if message is not None]

    def quiet(self) -> list[Credential | Malformed]:
        """The line was silent for longer than a message has gaps: what is unfinished is over."""
        if self._body is None:
            return []
        self._body = None
        return [Malformed("message cut short by silence")]

    def _take(self, byte: int) -> Credential | Malformed | None:
        if byte == STX:
            return self._start()
        if self._body is None:
            return self._stray(byte)
        if byte == ETX:
            body, self._body = bytes(self._body), None
            return _decode_body(body, self._reverse)
        if len(self._body) == MAX_BODY:
            self._body = None
            self._stray_told = True
            return Malformed("message longer than a tag's")
        self._body.append(byte)
        return None

    def _start(self) -> Malformed | None:
        cut = self._body is not None
        self._body = bytearray()
        self._stray_told = False
        return Malformed("message cut short by the next one") if cut else None

    def _stray(self, byte: int) -> Malformed | None:
        if self._stray_told or byte in _LINE_END:
            return None
        self._stray_told = True
        return Malformed("bytes outside a message")


def _decode_body(body: bytes, reverse: Order) -> Credential | Malformed:
    """What stands between the frame marks, as a card of 40 bits."""
    digits = body.removesuffix(_LINE_END)
    if len(digits) != TAG_BITS // 4 + 2:
        return Malformed("message of a wrong length")
    if not _HEX.issuperset(digits):
        return Malformed("message with other than hex digits")
    *tag, check = bytes.fromhex(digits.decode("ascii"))
    if checksum(bytes(tag)) != check:
        return Malformed("checksum")
    bits = reordered(int.from_bytes(bytes(tag), "big"), TAG_BITS, reverse)
    return card(bits, TAG_BITS, "em4100")
