"""What a simulated OSDP device does on each command. Owns the layout of commands and replies; must
not know sequence numbers, MACs or the line.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Protocol

from simulators.line_faults import LineFaults
from simulators.osdp_face import TICK_UNIT_S, Buzzer, Display, Light, OutputState
from simulators.osdp_faults import OsdpFault
from simulators.osdp_link import Answer, PdLink, RefusedError
from simulators.osdp_secure import KEY_SIZE, NONCE_SIZE, SCBK_D, PdSession, nonce
from simulators.osdp_wire import BROADCAST, MAX_FRAME, Cmd, Frame, Nak, Rep, Scs

BAUDS = (9600, 19200, 38400, 57600, 115200)
VENDOR = b"SIM"
_VERSION = bytes((1, 1))  # model and version
_FIRMWARE = bytes((1, 0, 0))
_IN_CLEAR = (Cmd.ID, Cmd.CAP, Cmd.CHLNG, Cmd.SCRYPT)  # where all else needs a session
_LIGHT_RECORD, _OUTPUT_RECORD = 14, 4


class Hardware(Protocol):
    """What the commands act on."""

    address: int
    baud: int | None
    serial: int
    key: bytes | None
    file_bytes: int
    random: random.Random
    faults: LineFaults
    link: PdLink
    lights: list[Light]
    buzzer: Buzzer
    display: Display
    outputs: list[OutputState]
    inputs: list[bool]
    reader_states: list[int]

    @property
    def readers(self) -> int: ...
    @property
    def secure_only(self) -> bool: ...
    @property
    def output_level(self) -> int: ...
    @property
    def claims_crc(self) -> bool: ...
    @property
    def local_status(self) -> bytes: ...
    @property
    def now_s(self) -> float: ...

    def next_event(self) -> tuple[int, bytes] | None: ...
    def keep_key(self, key: bytes) -> None: ...
    def move_to(self, address: int, baud: int) -> None: ...


def answer(device: Hardware, command: Frame, data: bytes, sealed: bool) -> Answer:
    """Carry out a command; `data` is in clear, `sealed` how it came. Raises RefusedError."""
    if not sealed:
        _check_clear(device, command)
    simple = _SIMPLE.get(command.code)
    if simple is not None:
        return simple(device, data)
    if command.code == Cmd.KEYSET:
        return _keyset(device, data, sealed=sealed)
    if command.code in {Cmd.CHLNG, Cmd.SCRYPT}:
        if sealed:
            raise RefusedError(Nak.SECURITY)
        handshake = _challenge if command.code == Cmd.CHLNG else _scrypt
        return handshake(device, command)
    raise RefusedError(Nak.UNKNOWN)


def _check_clear(device: Hardware, command: Frame) -> None:
    """In clear text: not within a session, and where security is compulsory only the handshake."""
    if device.link.secure and command.code != Cmd.CHLNG:
        raise RefusedError(Nak.SECURITY)
    if device.secure_only and command.code not in _IN_CLEAR:
        raise RefusedError(Nak.SECURITY)
    if command.block and command.code not in {Cmd.CHLNG, Cmd.SCRYPT}:
        raise RefusedError(Nak.BLOCK)


# ------------------------------------------------------------------------------ who and how


def _poll(device: Hardware, data: bytes) -> Answer:
    _has_length(data, 0)
    event = device.next_event()
    return Answer(Rep.ACK) if event is None else Answer(*event)


def _identity(device: Hardware, data: bytes) -> Answer:
    _has_length(data, 1)
    return Answer(Rep.PDID, _pdid(device))


def _pdid(device: Hardware) -> bytes:
    return VENDOR + _VERSION + device.serial.to_bytes(4, "little") + _FIRMWARE


def _capabilities(device: Hardware, data: bytes) -> Answer:
    """Three bytes each: function, compliance, number."""
    _has_length(data, 1)
    secure = device.faults.take(OsdpFault.NO_SECURE_CHANNEL) is None
    lights, rows = len(device.lights), device.display.rows
    entries = [
        (1, 1 if device.inputs else 0, len(device.inputs)),
        (2, device.output_level if device.outputs else 0, len(device.outputs)),
        (3, 1 if device.readers else 0, device.readers),
        (4, 4 if lights else 0, lights),  # timed, with all colours
        (5, 2 if lights else 0, 1 if lights else 0),
        (6, min(rows, 2), 1 if rows else 0),
        (8, int(device.claims_crc), 0),
        (9, int(secure), int(secure and device.key is None)),  # number: the default key is in use
        (10, MAX_FRAME & 0xFF, MAX_FRAME >> 8),
        (13, 0, device.readers),
        (16, 2, 0),  # OSDP 2.2
    ]
    return Answer(Rep.PDCAP, b"".join(bytes(entry) for entry in entries))


def _comset(device: Hardware, data: bytes) -> Answer:
    """It answers at once with what it will be: as ordered, or as before where it can't."""
    _has_length(data, 5)
    address, baud = data[0], int.from_bytes(data[1:], "little")
    if address < BROADCAST and baud in BAUDS:
        device.move_to(address, baud)
    else:
        address, baud = device.address, device.baud or BAUDS[0]
    return Answer(Rep.COM, bytes([address]) + baud.to_bytes(4, "little"))


# ----------------------------------------------------------------------------------- states


def _local_status(device: Hardware, data: bytes) -> Answer:
    _has_length(data, 0)
    return Answer(Rep.LSTATR, device.local_status)


def _input_status(device: Hardware, data: bytes) -> Answer:
    _has_length(data, 0)
    _needs(device.inputs)
    return Answer(Rep.ISTATR, bytes(device.inputs))


def _output_status(device: Hardware, data: bytes) -> Answer:
    _has_length(data, 0)
    _needs(device.outputs)
    return Answer(Rep.OSTATR, bytes(output.energised for output in device.outputs))


def _reader_status(device: Hardware, data: bytes) -> Answer:
    _has_length(data, 0)
    _needs(device.readers)
    return Answer(Rep.RSTATR, bytes(device.reader_states))


# ----------------------------------------------------------------------------------- orders


def _out(device: Hardware, data: bytes) -> Answer:
    """Each record is output, code, time in tenths of a second; a wrong one moves nothing."""
    _needs(device.outputs)
    records = _records(data, _OUTPUT_RECORD)
    most = 6 if device.output_level >= 3 else 2  # only some end a state by themselves
    if any(record[0] >= len(device.outputs) or record[1] > most for record in records):
        raise RefusedError(Nak.RECORD)
    for record in records:
        timer_s = int.from_bytes(record[2:4], "little") * TICK_UNIT_S
        device.outputs[record[0]].order(record[1], timer_s, device.now_s)
    return Answer(Rep.ACK)


def _led(device: Hardware, data: bytes) -> Answer:
    _needs(device.lights)
    for record in _records(data, _LIGHT_RECORD):
        if record[0] >= device.readers or record[1] >= len(device.lights):
            raise RefusedError(Nak.RECORD)
        light = device.lights[record[1]]
        _orderly(functools.partial(light.order, record[2:], device.now_s))
    return Answer(Rep.ACK)


def _buzz(device: Hardware, data: bytes) -> Answer:
    _needs(device.readers)
    _has_length(data, 5)
    _orderly(lambda: device.buzzer.order(data[1:], device.now_s))
    return Answer(Rep.ACK)


def _text(device: Hardware, data: bytes) -> Answer:
    _needs(device.display.rows)
    if len(data) < 6:
        raise RefusedError(Nak.LENGTH)
    _orderly(lambda: device.display.order(data[1:], device.now_s))
    return Answer(Rep.ACK)


def _manufacturer(device: Hardware, data: bytes) -> Answer:
    """It knows nothing of its own: the vendor's code comes back."""
    if len(data) < 3:
        raise RefusedError(Nak.LENGTH)
    return Answer(Rep.MFGREP, data[:3])


def _file(device: Hardware, data: bytes) -> Answer:
    """It takes any file and keeps none of it."""
    if len(data) < 11 or len(data) - 11 != int.from_bytes(data[9:11], "little"):
        raise RefusedError(Nak.LENGTH)
    total, offset = int.from_bytes(data[1:5], "little"), int.from_bytes(data[5:9], "little")
    device.file_bytes = offset + len(data) - 11
    status = 1 if device.file_bytes >= total else 0  # 1: the file is complete
    return Answer(Rep.FTSTAT, bytes((1, 0, 0, status, 0)) + MAX_FRAME.to_bytes(2, "little"))


def _nothing(device: Hardware, data: bytes) -> Answer:
    return Answer(Rep.ACK)


_SIMPLE: dict[int, Callable[[Hardware, bytes], Answer]] = {
    Cmd.POLL: _poll,
    Cmd.ID: _identity,
    Cmd.CAP: _capabilities,
    Cmd.LSTAT: _local_status,
    Cmd.ISTAT: _input_status,
    Cmd.OSTAT: _output_status,
    Cmd.RSTAT: _reader_status,
    Cmd.OUT: _out,
    Cmd.LED: _led,
    Cmd.BUZ: _buzz,
    Cmd.TEXT: _text,
    Cmd.COMSET: _comset,
    Cmd.MFG: _manufacturer,
    Cmd.FILETRANSFER: _file,
    Cmd.ACURXSIZE: _nothing,
    Cmd.KEEPACTIVE: _nothing,
    Cmd.ABORT: _nothing,
}


# ------------------------------------------------------------------------------------- keys


def _challenge(device: Hardware, command: Frame) -> Answer:
    """The device shows its key first."""
    if command.scs != Scs.CHALLENGE or len(command.block) != 3:
        raise RefusedError(Nak.BLOCK)
    _has_length(command.data, NONCE_SIZE)
    for kind in (OsdpFault.NO_SECURE_CHANNEL, OsdpFault.NAK_CHALLENGE):
        if device.faults.take(kind) is not None:
            raise RefusedError(Nak.BLOCK)
    key, number = _key_for(device, command.block[2])
    own = nonce(device.random)
    device.link.session = session = PdSession(key, number, command.data, own)
    block = bytes((3, Scs.CCRYPT, number))
    return Answer(Rep.CCRYPT, _pdid(device)[:8] + own + session.own_cryptogram, block)


def _key_for(device: Hardware, number: int) -> tuple[bytes, int]:
    """A device with a key of its own has left the default one behind."""
    if number == 1 and device.faults.take(OsdpFault.SCBK_D_ANSWER) is not None:
        return SCBK_D, 0
    if number == 1 and device.key is not None:
        return device.key, 1
    if number == 0 and device.key is None:
        return SCBK_D, 0
    raise RefusedError(Nak.SECURITY)


def _scrypt(device: Hardware, command: Frame) -> Answer:
    """Now the panel has shown its key too, or there is no session."""
    session = device.link.session
    if command.scs != Scs.SCRYPT or session is None or session.established:
        raise RefusedError(Nak.BLOCK)
    reply_mac = session.confirm(command.data)
    if reply_mac is None:
        device.link.session = None
        raise RefusedError(Nak.SECURITY)
    status = device.faults.take(OsdpFault.BAD_RMAC_STATUS)
    block = bytes((3, Scs.RMAC_I, 1 if status is None else int(status)))
    return Answer(Rep.RMAC_I, reply_mac, block)


def _keyset(device: Hardware, data: bytes, *, sealed: bool) -> Answer:
    """The new key counts from the next challenge on."""
    if not sealed:
        raise RefusedError(Nak.SECURITY)
    _has_length(data, 2 + KEY_SIZE)
    if data[:2] != bytes((1, KEY_SIZE)):
        raise RefusedError(Nak.RECORD)
    device.keep_key(data[2:])
    return Answer(Rep.ACK)


# ---------------------------------------------------------------------------------- checks


def _has_length(data: bytes, size: int) -> None:
    if len(data) != size:
        raise RefusedError(Nak.LENGTH)


def _needs(part: object) -> None:
    """A device without such a part does not know the command."""
    if not part:
        raise RefusedError(Nak.UNKNOWN)


def _records(data: bytes, size: int) -> list[bytes]:
    if not data or len(data) % size:
        raise RefusedError(Nak.LENGTH)
    return [data[at : at + size] for at in range(0, len(data), size)]


def _orderly(order: Callable[[], object]) -> None:
    try:
        order()
    except ValueError as error:
        raise RefusedError(Nak.RECORD) from error
