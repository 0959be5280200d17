"""The two checks that may end an OSDP frame. Must not know what a frame is."""

from __future__ import annotations

from binascii import crc_hqx

_CRC_START = 0x1D0F  # the polynomial is 0x1021, unreflected: that of crc_hqx


def crc16(data: bytes) -> bytes:
    """The CRC, low byte first, as it stands at the end of a frame."""
    return crc_hqx(data, _CRC_START).to_bytes(2, "little")


def checksum(data: bytes) -> bytes:
    """One byte that makes the sum of all of them nought (two's complement)."""
    return bytes([-sum(data) & 0xFF])
