"""OSDP frames on a line: bytes out of frames, frames out of bytes. Must not know what they mean.

`[FF] 53 | address | length u16le | control | [security block] | code | data | [MAC 4] | check`.
The length runs from 53 to the check. The check is a CRC or a checksum, as the control byte says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from drivers.protocols.osdp.crc import checksum, crc16
from gatewayd.domain.ports import Malformed

SOM = 0x53
MARK = 0xFF  # may stand before a frame, to settle the line
BROADCAST = 0x7F
MAX_FRAME = 1440  # OSDP 2.2 §5.7: the largest any device may send; a longer length is noise
MAC_LENGTH = 4
REPLY_DELAY_S = 0.2  # OSDP 2.2: a device begins its answer within 200 ms
USUAL_REPLY = 64  # bytes; a card of 128 bits takes 47 in a secure channel
SCS_11, SCS_12, SCS_13, SCS_14 = 0x11, 0x12, 0x13, 0x14  # the handshake, step by step
SCS_15, SCS_16 = 0x15, 0x16  # a command, a reply with a MAC
SCS_17, SCS_18 = 0x17, 0x18  # the same with what follows the code encrypted
_WITH_MAC = range(SCS_15, SCS_18 + 1)
_REPLY = 0x80  # in the address byte
_SEQUENCE, _CRC, _BLOCK = 0x03, 0x04, 0x08  # in the control byte
_HEADER = 5
_NOISE = Malformed("bytes outside a frame")
_CUT_SHORT = Malformed("frame cut short by silence")


@dataclass(frozen=True, slots=True)
class SecurityBlock:
    """How a frame is protected: SCS_11 to SCS_18, and a byte of data in the handshake."""

    type: int
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame whose check was right. Its data may be a card, a PIN or a key: not in the repr."""

    address: int
    is_reply: bool
    sequence: int
    has_crc: bool
    code: int
    data: bytes = field(repr=False)
    block: SecurityBlock | None
    mac: bytes = field(repr=False)  # 4 bytes under SCS_15 to SCS_18, else none
    raw: bytes = field(repr=False)  # from SOM to the check

    @property
    def covered(self) -> bytes:
        """What the MAC is computed over: from SOM to the last byte before the MAC."""
        return self.raw[: -len(self.mac) - _check_length(self.has_crc)]


def encode_frame(
    address: int,
    code: int,
    data: bytes = b"",
    *,
    sequence: int,
    use_crc: bool = True,
    is_reply: bool = False,
    block: SecurityBlock | None = None,
    sign: Callable[[bytes], bytes] | None = None,
) -> bytes:
    """The frame's bytes, without a mark. ValueError for what no frame can hold.

    `sign` gets the bytes to cover, with their final length, and gives the MAC; SCS_15 to SCS_18
    need it. It is called last: after a ValueError no MAC chain has moved.
    """
    signed = block is not None and block.type in _WITH_MAC
    if not 0 <= address <= BROADCAST or not 0 <= sequence <= 3 or not 0 <= code <= 0xFF:
        raise ValueError("an OSDP frame has an address to 127, a sequence to 3, a code to 255")
    if signed != (sign is not None):
        raise ValueError("SCS_15 to SCS_18 carry a MAC, no other frame does")
    body = _pack(block) + bytes([code]) + data
    length = _HEADER + len(body) + signed * MAC_LENGTH + _check_length(use_crc)
    if length > MAX_FRAME:
        raise ValueError(f"an OSDP frame has at most {MAX_FRAME} bytes, not {length}")
    control = sequence | use_crc * _CRC | (block is not None) * _BLOCK
    head = bytes([SOM, address | is_reply * _REPLY]) + length.to_bytes(2, "little")
    frame = head + bytes([control]) + body
    frame += sign(frame) if sign is not None else b""
    return frame + _check(frame, use_crc)


def answer_within_s(sent_bytes: int, baud_rate: int, reply_bytes: int = USUAL_REPLY) -> float:
    """How long to wait for the whole answer: the device's time, and both frames' on the wire."""
    return REPLY_DELAY_S + (sent_bytes + reply_bytes) * 10 / baud_rate


class FrameDecoder:
    """Finds frames in a stream; holds less than MAX_FRAME bytes between calls, never raises.

    Data may contain 53, so after a frame that is none the search goes on one byte past its start.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._told = False  # one Malformed for a run of bytes that are no frame

    @property
    def pending(self) -> bool:
        """A frame, or what looks like one, has begun and is not whole yet."""
        return bool(self._held)

    @property
    def held(self) -> int:
        """How many of the bytes that were fed last may still begin a frame."""
        return len(self._held)

    def feed(self, data: bytes) -> list[Frame | Malformed]:
        """What the bytes complete, in order. Malformed says why, without a byte of it."""
        self._held += data
        return self._search()

    def quiet(self) -> list[Frame | Malformed]:
        """The answer's time is over: give up what began, and look for frames inside it."""
        found: list[Frame | Malformed] = []
        while self._held:
            self._drop(_CUT_SHORT, found)
            found += self._search()
        self._told = False
        return found

    def clear(self) -> None:
        """Forget what is held, as before a new question on the line."""
        self._held.clear()
        self._told = False

    def _search(self) -> list[Frame | Malformed]:
        found: list[Frame | Malformed] = []
        while self._held:
            length = _length_of(self._held)
            if self._held[0] == MARK:
                del self._held[0]
            elif isinstance(length, Malformed):
                self._drop(length, found)
            elif length is None or len(self._held) < length:
                break
            elif isinstance(taken := _parse(bytes(self._held[:length])), Malformed):
                self._drop(taken, found)
            else:
                del self._held[:length]
                self._told = False
                found.append(taken)
        return found

    def _drop(self, malformed: Malformed, found: list[Frame | Malformed]) -> None:
        del self._held[0]
        if not self._told:
            self._told = True
            found.append(malformed)


def _length_of(held: bytearray) -> int | Malformed | None:
    """The length of the frame that starts the bytes held, why there is none, or None: not yet."""
    if held[0] != SOM:
        return _NOISE
    if len(held) < _HEADER:
        return None
    length = int.from_bytes(held[2:4], "little")
    least = _HEADER + 1 + _check_length(bool(held[4] & _CRC))
    return length if least <= length <= MAX_FRAME else Malformed("length of a frame")


def _parse(raw: bytes) -> Frame | Malformed:
    """The frame that these bytes are, from SOM to the check."""
    has_crc = bool(raw[4] & _CRC)
    end = len(raw) - _check_length(has_crc)
    if _check(raw[:end], has_crc) != raw[end:]:
        return Malformed("CRC" if has_crc else "checksum")
    block, start = None, _HEADER
    if raw[4] & _BLOCK:
        size = raw[_HEADER]
        start += size
        if size < 2 or start >= end:
            return Malformed("length of a security block")
        block = SecurityBlock(raw[_HEADER + 1], raw[_HEADER + 2 : start])
    data_end = end - MAC_LENGTH * (block is not None and block.type in _WITH_MAC)
    if start >= data_end:
        return Malformed("no room for a MAC")
    return Frame(
        address=raw[1] & BROADCAST,
        is_reply=bool(raw[1] & _REPLY),
        sequence=raw[4] & _SEQUENCE,
        has_crc=has_crc,
        code=raw[start],
        data=raw[start + 1 : data_end],
        block=block,
        mac=raw[data_end:end],
        raw=raw,
    )


def _pack(block: SecurityBlock | None) -> bytes:
    return b"" if block is None else bytes([len(block.data) + 2, block.type]) + block.data


def _check_length(use_crc: bool) -> int:
    return 2 if use_crc else 1


def _check(covered: bytes, use_crc: bool) -> bytes:
    return crc16(covered) if use_crc else checksum(covered)
