"""Modbus RTU as a relay board speaks it: CRC, requests, replies, exceptions. Pure; written from the
wire's rules, not from a codec.
"""

from __future__ import annotations

import struct
from typing import Protocol

READ_COILS, READ_INPUTS, WRITE_COIL, WRITE_COILS = 0x01, 0x02, 0x05, 0x0F
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE = 1, 2, 3, 4
MAX_FRAME = 256  # address, 253 bytes of PDU, CRC
_MAX_READ, _MAX_WRITE = 2000, 1968  # quantities that the specification allows
_ON, _OFF = 0xFF00, 0x0000


class ModbusError(Exception):
    """The board answers with this exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


class Terminals(Protocol):
    """What the requests read and write; addresses from 0, already checked."""

    @property
    def coils(self) -> list[bool]: ...

    @property
    def inputs(self) -> list[bool]: ...

    def write_coil(self, address: int, energised: bool) -> None: ...


def crc16(data: bytes) -> int:
    """CRC-16 of Modbus: polynomial 0xA001 (reflected), initial value 0xFFFF."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def seal(body: bytes) -> bytes:
    """Address and PDU with their CRC, low byte first."""
    return body + crc16(body).to_bytes(2, "little")


def unseal(frame: bytes) -> bytes | None:
    """Address and PDU, or None where length or CRC say that this is no frame."""
    if not 4 <= len(frame) <= MAX_FRAME or seal(frame[:-2]) != frame:
        return None
    return frame[:-2]


def answer(pdu: bytes, terminals: Terminals) -> bytes:
    """Carry out a request; the reply's PDU. Raises ModbusError."""
    match pdu[0]:
        case 0x01:
            return _read(pdu, terminals.coils)
        case 0x02:
            return _read(pdu, terminals.inputs)
        case 0x05:
            return _write_one(pdu, terminals)
        case 0x0F:
            return _write_many(pdu, terminals)
    raise ModbusError(ILLEGAL_FUNCTION)


def exception_reply(function: int, code: int) -> bytes:
    """The PDU that refuses a request."""
    return bytes((function | 0x80, code))


def _read(pdu: bytes, states: list[bool]) -> bytes:
    if len(pdu) != 5:
        raise ModbusError(ILLEGAL_VALUE)
    address, count = struct.unpack("!HH", pdu[1:])
    if not 1 <= count <= _MAX_READ:
        raise ModbusError(ILLEGAL_VALUE)
    if address + count > len(states):
        raise ModbusError(ILLEGAL_ADDRESS)
    packed = sum(state << i for i, state in enumerate(states[address : address + count]))
    size = -(-count // 8)
    return bytes((pdu[0], size)) + packed.to_bytes(size, "little")


def _write_one(pdu: bytes, terminals: Terminals) -> bytes:
    if len(pdu) != 5:
        raise ModbusError(ILLEGAL_VALUE)
    address, value = struct.unpack("!HH", pdu[1:])
    if value not in {_ON, _OFF}:
        raise ModbusError(ILLEGAL_VALUE)
    if address >= len(terminals.coils):
        raise ModbusError(ILLEGAL_ADDRESS)
    terminals.write_coil(address, value == _ON)
    return pdu


def _write_many(pdu: bytes, terminals: Terminals) -> bytes:
    if len(pdu) < 7:
        raise ModbusError(ILLEGAL_VALUE)
    address, count, size = struct.unpack("!HHB", pdu[1:6])
    if not 1 <= count <= _MAX_WRITE or size != -(-count // 8) or len(pdu) != 6 + size:
        raise ModbusError(ILLEGAL_VALUE)
    if address + count > len(terminals.coils):
        raise ModbusError(ILLEGAL_ADDRESS)
    packed = int.from_bytes(pdu[6:], "little")
    for i in range(count):
        terminals.write_coil(address + i, bool(packed >> i & 1))
    return pdu[:5]
