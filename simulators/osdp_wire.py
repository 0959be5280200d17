"""OSDP 2.2 frames as a reader or a board on the line sees them: marks, length, control, security
block, check. Pure; written from the wire's rules, not from a codec; must not know keys or states.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

SOM = 0x53
MARK = 0xFF
REPLY = 0x80  # set in the address of whoever answers
BROADCAST = 0x7F
MAX_FRAME = 1440  # OSDP 2.2 §5.7; a length beyond it is no frame: look for the next SOM
GAP_S = 0.1  # a frame that stops for so long is over: less than the 200 ms to the retry
MAC_SIZE = 4
_CRC_BIT, _BLOCK_BIT = 0x04, 0x08
_HEAD = 5  # SOM, address, two of length, control


class Cmd(IntEnum):
    """What a panel asks (OSDP 2.2, annex A)."""

    POLL, ID, CAP = 0x60, 0x61, 0x62
    LSTAT, ISTAT, OSTAT, RSTAT = 0x64, 0x65, 0x66, 0x67
    OUT, LED, BUZ, TEXT = 0x68, 0x69, 0x6A, 0x6B
    COMSET, KEYSET, CHLNG, SCRYPT = 0x6E, 0x75, 0x76, 0x77
    ACURXSIZE, FILETRANSFER, MFG = 0x7B, 0x7C, 0x80
    ABORT, KEEPACTIVE = 0xA2, 0xA7


class Rep(IntEnum):
    """What a device answers (OSDP 2.2, annex B)."""

    ACK, NAK, PDID, PDCAP = 0x40, 0x41, 0x45, 0x46
    LSTATR, ISTATR, OSTATR, RSTATR = 0x48, 0x49, 0x4A, 0x4B
    RAW, KEYPAD, COM = 0x50, 0x53, 0x54
    CCRYPT, RMAC_I, BUSY, FTSTAT, MFGREP = 0x76, 0x78, 0x79, 0x7A, 0x90


class Nak(IntEnum):
    """Why a command is refused."""

    CHECK = 1
    LENGTH = 2
    UNKNOWN = 3
    SEQUENCE = 4
    BLOCK = 5
    SECURITY = 6
    RECORD = 9


class Scs(IntEnum):
    """Types of the security block: 11 to 14 open a session, 15 to 18 travel in it."""

    CHALLENGE, CCRYPT, SCRYPT, RMAC_I = 0x11, 0x12, 0x13, 0x14
    COMMAND_MAC, REPLY_MAC, COMMAND_DATA, REPLY_DATA = 0x15, 0x16, 0x17, 0x18


class FrameError(Exception):
    """A frame that can't be read; `nak` is what a device answers to it."""

    def __init__(self, nak: Nak) -> None:
        super().__init__(f"no frame: {nak.name.lower()}")
        self.nak = nak


@dataclass(frozen=True, slots=True)
class Frame:
    """One message. `block` is the whole security block, its own length first; empty for none."""

    address: int
    sequence: int
    code: int
    data: bytes = field(default=b"", repr=False)  # cards, PINs, keys
    block: bytes = b""
    mac: bytes = field(default=b"", repr=False)
    crc: bool = True

    @property
    def scs(self) -> int | None:
        return self.block[1] if len(self.block) > 1 else None

    @property
    def sealed(self) -> bool:
        """Whether it travels in a secure session."""
        return self.scs is not None and self.scs >= Scs.COMMAND_MAC


def crc16(data: bytes) -> int:
    """CRC-16 of OSDP: polynomial 0x1021, initial value 0x1D0F, unreflected."""
    crc = 0x1D0F
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def checksum(data: bytes) -> int:
    """Two's complement of the sum of the bytes."""
    return -sum(data) & 0xFF


def with_check(body: bytes, *, crc: bool) -> bytes:
    """The frame's body and the check that belongs to it."""
    return body + (crc16(body).to_bytes(2, "little") if crc else bytes([checksum(body)]))


def check_size(raw: bytes | bytearray) -> int:
    """Bytes of the check at a frame's end."""
    return 2 if raw[4] & _CRC_BIT else 1


def encode(frame: Frame, mac: Callable[[bytes], bytes] | None = None) -> bytes:
    """The bytes from the SOM on. `mac` gets all before the MAC, `len` already complete."""
    content = frame.block + bytes([frame.code]) + frame.data
    size = _HEAD + len(content) + (MAC_SIZE if mac else 0) + (2 if frame.crc else 1)
    control = frame.sequence | _CRC_BIT * frame.crc | _BLOCK_BIT * bool(frame.block)
    body = bytes([SOM, frame.address]) + size.to_bytes(2, "little") + bytes([control]) + content
    if mac is not None:
        body += mac(body)[:MAC_SIZE]
    return with_check(body, crc=frame.crc)


def decode(raw: bytes) -> Frame:
    """The message in a frame that the scanner found. Raises FrameError."""
    crc, has_block = bool(raw[4] & _CRC_BIT), bool(raw[4] & _BLOCK_BIT)
    body = raw[: -check_size(raw)]
    if with_check(body, crc=crc) != raw:
        raise FrameError(Nak.CHECK)
    block = b""
    if has_block:
        block = body[_HEAD : _HEAD + (body[_HEAD] if len(body) > _HEAD else 0)]
        if len(block) < 2:
            raise FrameError(Nak.LENGTH)
    start = _HEAD + len(block)
    end = len(body) - (MAC_SIZE if has_block and block[1] >= Scs.COMMAND_MAC else 0)
    if end <= start:
        raise FrameError(Nak.LENGTH)
    sequence = raw[4] & 3
    return Frame(raw[1], sequence, body[start], body[start + 1 : end], block, body[end:], crc)


class FrameScanner:
    """Finds frames in what comes over the line, in pieces of any size.

    It holds less than MAX_FRAME bytes: no frame is longer, and what is none goes at once.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._last_s = 0.0
        self.skipped = 0  # bytes that belonged to no frame; marks are none of them

    def clear(self) -> None:
        self._buffer.clear()

    def feed(self, data: bytes, now_s: float) -> list[bytes]:
        """Complete frames, from their SOM to their check; whether it is right is not looked at."""
        if now_s - self._last_s > GAP_S:
            self._skip(len(self._buffer))
        self._last_s = now_s
        self._buffer += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> bytes | None:
        while True:
            at = self._buffer.find(SOM)
            self._skip(len(self._buffer) if at < 0 else at)
            if len(self._buffer) < _HEAD:
                return None
            size = int.from_bytes(self._buffer[2:4], "little")
            least = _HEAD + 1 + check_size(self._buffer)
            if least <= size <= MAX_FRAME:
                break
            self._skip(1)  # not a SOM, or its length is spoilt
        if len(self._buffer) < size:
            return None
        frame = bytes(self._buffer[:size])
        del self._buffer[:size]
        return frame

    def _skip(self, count: int) -> None:
        self.skipped += count - self._buffer[:count].count(MARK)
        del self._buffer[:count]
