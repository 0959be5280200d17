"""The commands of OSDP 2.2 as a panel builds them: code and data. Must not frame or secure them.

Every builder raises ValueError for what has no place in its command. Times are in the units of
the wire, as the names say. Data may be a key: it is in no `repr`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

KEYSET_CODE = 0x75
CHLNG_CODE = 0x76
SCRYPT_CODE = 0x77
KEY_LENGTH = 16
_BYTE = 1


class Color(IntEnum):
    """The colours of a LED."""

    BLACK = 0
    RED = 1
    GREEN = 2
    AMBER = 3
    BLUE = 4
    MAGENTA = 5
    CYAN = 6
    WHITE = 7


class Output(IntEnum):
    """What an output shall do; timed ones go back by themselves."""

    NO_CHANGE = 0
    OFF = 1
    ON = 2
    OFF_AFTER_TIMED = 3
    ON_AFTER_TIMED = 4
    TIMED_ON = 5
    TIMED_OFF = 6


class Tone(IntEnum):
    """What a buzzer shall do."""

    NONE = 0
    OFF = 1
    DEFAULT = 2


@dataclass(frozen=True, slots=True)
class Command:
    """One command, ready to be framed."""

    code: int
    data: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Blink:
    """How a LED shines: `on_color` for `on_100ms`, then `off_color` for `off_100ms`, and again."""

    on_color: Color
    off_color: Color = Color.BLACK
    on_100ms: int = 1
    off_100ms: int = 0


@dataclass(frozen=True, slots=True)
class Led:
    """One record for a LED. Of `temporary` and `permanent`, None leaves that one as it is."""

    reader: int = 0
    led: int = 0
    temporary: Blink | None = None
    temporary_100ms: int = 0  # then the permanent state shows again
    cancel_temporary: bool = False
    permanent: Blink | None = None


@dataclass(frozen=True, slots=True)
class OutputControl:
    """One record for an output."""

    output: int
    action: Output
    timer_100ms: int = 0


POLL = Command(0x60)
LOCAL_STATUS = Command(0x64)
INPUT_STATUS = Command(0x65)
OUTPUT_STATUS = Command(0x66)
READER_STATUS = Command(0x67)
ABORT = Command(0xA2)
IDENTIFY = Command(0x61, b"\x00")
CAPABILITIES = Command(0x62, b"\x00")


def control_outputs(*records: OutputControl) -> Command:
    """OUT: switch one output or several."""
    _some(records)
    return Command(0x68, b"".join(map(_output, records)))


def set_leds(*records: Led) -> Command:
    """LED: temporary and permanent states, of one LED or several."""
    _some(records)
    return Command(0x69, b"".join(map(_led, records)))


def sound_buzzer(
    reader: int, tone: Tone, on_100ms: int = 0, off_100ms: int = 0, count: int = 1
) -> Command:
    """BUZ: `count` times on and off; 0 times is until the next BUZ."""
    return Command(0x6A, b"".join(map(_u8, (reader, tone, on_100ms, off_100ms, count))))


def show_text(
    text: str,
    *,
    reader: int = 0,
    row: int = 1,
    column: int = 1,
    temporary_s: int = 0,
    wrap: bool = False,
) -> Command:
    """TEXT: printable ASCII at a row and a column from 1; for `temporary_s`, or to stay with 0."""
    if not text.isascii() or not text.isprintable():
        raise ValueError("an OSDP display shows printable ASCII")
    kind = 1 + wrap + 2 * bool(temporary_s)
    head = (reader, kind, temporary_s, row, column, len(text))
    return Command(0x6B, b"".join(map(_u8, head)) + text.encode("ascii"))


def set_communication(address: int, baud_rate: int) -> Command:
    """COMSET: the address and the speed the device shall have from its answer on."""
    if not 0 <= address < 0x7F:
        raise ValueError(f"an OSDP address is 0 to 126, not {address}")
    return Command(0x6E, _u8(address) + _number(baud_rate, 4))


def read_biometric(reader: int, kind: int, template_format: int, quality: int) -> Command:
    """BIOREAD: scan, and send the template."""
    return Command(0x73, b"".join(map(_u8, (reader, kind, template_format, quality))))


def match_biometric(
    reader: int, kind: int, template_format: int, quality: int, template: bytes
) -> Command:
    """BIOMATCH: scan, and compare with the template."""
    head = b"".join(map(_u8, (reader, kind, template_format, quality)))
    return Command(0x74, head + _number(len(template), 2) + template)


def set_key(key: bytes) -> Command:
    """KEYSET: the device's base key. Only a session in its install window sends this."""
    if len(key) != KEY_LENGTH:
        raise ValueError(f"an OSDP key has {KEY_LENGTH} bytes")
    return Command(KEYSET_CODE, bytes([1, KEY_LENGTH]) + key)


def challenge(random_a: bytes) -> Command:
    """CHLNG: begin a secure channel. Only a session sends this."""
    if len(random_a) != 8:
        raise ValueError("an OSDP challenge has 8 bytes")
    return Command(CHLNG_CODE, random_a)


def answer_challenge(panel_cryptogram: bytes) -> Command:
    """SCRYPT: the panel's proof. Only a session sends this."""
    if len(panel_cryptogram) != 16:
        raise ValueError("an OSDP cryptogram has 16 bytes")
    return Command(SCRYPT_CODE, panel_cryptogram)


def announce_receive_size(byte_count: int) -> Command:
    """ACURXSIZE: the longest reply that the panel takes."""
    return Command(0x7B, _number(byte_count, 2))


def transfer_file(kind: int, total: int, offset: int, fragment: bytes) -> Command:
    """FILETRANSFER: one fragment of a file of `total` bytes; an empty one asks if it is idle."""
    _within(total, offset, fragment)
    head = _u8(kind) + _number(total, 4) + _number(offset, 4) + _number(len(fragment), 2)
    return Command(0x7C, head + fragment)


def manufacturer(vendor: bytes, data: bytes) -> Command:
    """MFG: whatever the vendor of those three bytes defines."""
    if len(vendor) != 3:
        raise ValueError("an OSDP vendor code has 3 bytes")
    return Command(0x80, vendor + data)


def extended_write(mode: int, command: int, data: bytes = b"") -> Command:
    """XWR: to a smart card, through the reader."""
    return Command(0xA1, _u8(mode) + _u8(command) + data)


def get_piv_data(object_id: bytes, element: int, offset: int = 0) -> Command:
    """PIVDATA: an object of a PIV card."""
    if len(object_id) != 3:
        raise ValueError("a PIV object id has 3 bytes")
    return Command(0xA3, object_id + _u8(element) + _number(offset, 2))


def authenticate_general(total: int, offset: int, fragment: bytes) -> Command:
    """GENAUTH: a fragment of algorithm, key reference and dynamic authentication template."""
    return Command(0xA4, _multipart(total, offset, fragment))


def authenticate_challenge(total: int, offset: int, fragment: bytes) -> Command:
    """CRAUTH: a fragment of algorithm, key reference and challenge."""
    return Command(0xA5, _multipart(total, offset, fragment))


def keep_active(duration_ms: int) -> Command:
    """KEEPACTIVE: keep the card that is in the field powered."""
    return Command(0xA7, _number(duration_ms, 2))


def _output(record: OutputControl) -> bytes:
    return _u8(record.output) + _u8(record.action) + _number(record.timer_100ms, 2)


def _led(record: Led) -> bytes:
    if record.cancel_temporary and record.temporary is not None:
        raise ValueError("a temporary state is either set or cancelled")
    if record.cancel_temporary:
        temporary = b"\x01" + bytes(6)
    elif record.temporary is None:
        temporary = bytes(7)
    else:
        shine = _blink(record.temporary)
        temporary = b"\x02" + shine + _number(record.temporary_100ms, 2)
    permanent = bytes(5) if record.permanent is None else b"\x01" + _blink(record.permanent)
    return _u8(record.reader) + _u8(record.led) + temporary + permanent


def _blink(blink: Blink) -> bytes:
    times = _u8(blink.on_100ms) + _u8(blink.off_100ms)
    return times + _u8(blink.on_color) + _u8(blink.off_color)


def _multipart(total: int, offset: int, fragment: bytes) -> bytes:
    _within(total, offset, fragment)
    return _number(total, 2) + _number(offset, 2) + _number(len(fragment), 2) + fragment


def _within(total: int, offset: int, fragment: bytes) -> None:
    if offset + len(fragment) > total:
        raise ValueError(f"a fragment ends past the {total} bytes of the whole")


def _some(records: Sequence[object]) -> None:
    if not records:
        raise ValueError("an OSDP command of records has one at least")


def _u8(value: int) -> bytes:
    return _number(value, _BYTE)


def _number(value: int, size: int) -> bytes:
    if not 0 <= value < 1 << 8 * size:
        raise ValueError(f"{value} does not fit {size} byte(s) of an OSDP command")
    return value.to_bytes(size, "little")
