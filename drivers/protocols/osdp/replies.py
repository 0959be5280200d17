"""The replies of OSDP 2.2: what a device's code and data mean. Must not know frames or sessions.

A code that is not known here is an UnknownReply, not an error. Card numbers, keys and anything a
cryptogram is made of are in no `repr` and in no reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from drivers.protocols.keypad import Key
from gatewayd.domain.ports import Malformed

ACK_CODE = 0x40
NAK_CODE = 0x41
CCRYPT_CODE = 0x76
RMAC_I_CODE = 0x78
BUSY_CODE = 0x79
_KEYS = {**{ord(digit): digit for digit in "0123456789"}, 0x7F: "*", 0x0D: "#"}
# Function codes of PDCAP (OSDP 2.2 annex B).
OUTPUTS, LIGHTS, BUZZER, DISPLAY, _SECURITY = 2, 4, 5, 6, 9
TIMED_OUTPUTS = 3  # the level of OUTPUTS from which the device ends a state by itself


class NakCode(IntEnum):
    """Why a device refuses."""

    NOT_SAID = 0  # some readers send no code at all
    CRC = 1
    LENGTH = 2
    UNKNOWN_COMMAND = 3
    SEQUENCE = 4
    SECURITY_BLOCK_UNSUPPORTED = 5
    SECURITY_NOT_MET = 6
    BIOMETRIC_TYPE = 7
    BIOMETRIC_FORMAT = 8
    CANNOT_PROCESS = 9


@dataclass(frozen=True, slots=True)
class Ack:
    """Taken, or nothing to tell."""


@dataclass(frozen=True, slots=True)
class Nak:
    """Refused. `code` is a NakCode or a number that the standard does not have."""

    code: int

    @property
    def reason(self) -> str:
        known = self.code in NakCode.__members__.values()
        name = NakCode(self.code).name if known else "unknown"
        return f"NAK {self.code}, {name.lower().replace('_', ' ')}"


@dataclass(frozen=True, slots=True)
class DeviceId:
    """PDID: who made the device."""

    vendor: bytes
    model: int
    version: int
    serial: int
    firmware: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Capability:
    """One entry of PDCAP: the function, how far it is met, and of how many."""

    function: int
    compliance: int
    count: int


@dataclass(frozen=True, slots=True)
class Capabilities:
    """PDCAP. What comes before a secure channel is open is a claim, no more."""

    entries: tuple[Capability, ...] = ()

    def level(self, function: int) -> int | None:
        """How far the device meets a function: 0 not at all, None: it does not say."""
        return next((e.compliance for e in self.entries if e.function == function), None)

    @property
    def denies_secure_channel(self) -> bool:
        """The device says that it has no AES-128. One that says nothing is simply tried."""
        return any(
            entry.function == _SECURITY and not entry.compliance & 1 for entry in self.entries
        )


@dataclass(frozen=True, slots=True)
class LocalStatus:
    """LSTATR: the device's own tamper switch and power."""

    tamper: bool
    power_failed: bool


@dataclass(frozen=True, slots=True)
class InputStatus:
    """ISTATR: one for each input, in order."""

    active: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """OSTATR: one for each output, in order."""

    on: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class ReaderStatus:
    """RSTATR: one for each attached reader; 0 is normal, 1 not connected, 2 tampered with."""

    states: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RawCard:
    """RAW: a card as its bits; bit 0 of the card is the highest of `bit_count`."""

    reader: int
    format: int  # 0 unspecified, 1 P/data/P
    bit_count: int
    bits: int = field(repr=False)


@dataclass(frozen=True, slots=True)
class FormattedCard:
    """FMT: a card as characters."""

    reader: int
    backwards: bool
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeypadKeys:
    """KEYPAD: keys in the order they were pressed."""

    reader: int
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Communication:
    """COM: the address and the speed that hold after this reply."""

    address: int
    baud_rate: int


@dataclass(frozen=True, slots=True)
class ClientCryptogram:
    """CCRYPT: the device's random number and proof."""

    device_uid: bytes
    random_b: bytes = field(repr=False)
    cryptogram: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class InitialMac:
    """RMAC_I: the value the MACs of both sides begin with."""

    mac: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeviceBusy:
    """BUSY: the command was not taken, repeat it."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """MFGREP: whatever the vendor of those three bytes defines."""

    vendor: bytes
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FileStatus:
    """FTSTAT: how the transfer stands; a negative `status` ends it."""

    action: int
    delay_ms: int
    status: int
    largest_fragment: int  # 0: as before


@dataclass(frozen=True, slots=True)
class Fragment:
    """PIVDATAR, GENAUTHR or CRAUTHR: a part of `total` bytes that begins at `offset`."""

    code: int
    total: int
    offset: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ExtendedRead:
    """XRD: from a smart card, through the reader."""

    mode: int
    reply: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Carried:
    """BIOREADR, BIOMATCHR, MFGSTATR, MFGERRR: known, and handed on as they came."""

    code: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class UnknownReply:
    """A code that OSDP 2.2 does not have, or not for a panel."""

    code: int
    data: bytes = field(repr=False)


Reply = (
    Ack
    | Nak
    | DeviceId
    | Capabilities
    | LocalStatus
    | InputStatus
    | OutputStatus
    | ReaderStatus
    | RawCard
    | FormattedCard
    | KeypadKeys
    | Communication
    | ClientCryptogram
    | InitialMac
    | DeviceBusy
    | Vendor
    | FileStatus
    | Fragment
    | ExtendedRead
    | Carried
    | UnknownReply
)


def decode_reply(code: int, data: bytes) -> Reply | Malformed:
    """What a device says. `data` is what follows the code, decrypted."""
    known = _KNOWN.get(code)
    if known is None:
        return UnknownReply(code, data)
    name, least, most, decode = known
    if len(data) < least or (most is not None and len(data) > most):
        return Malformed(f"length of a {name}")
    return decode(code, data)


def _ack(_code: int, _data: bytes) -> Reply:
    return Ack()


def _nak(_code: int, data: bytes) -> Reply:
    return Nak(data[0] if data else NakCode.NOT_SAID)


def _device_id(_code: int, data: bytes) -> Reply:
    serial = int.from_bytes(data[5:9], "little")
    return DeviceId(data[:3], data[3], data[4], serial, (data[9], data[10], data[11]))


def _capabilities(_code: int, data: bytes) -> Reply | Malformed:
    if len(data) % 3:
        return Malformed("length of a PDCAP")
    return Capabilities(
        tuple(Capability(*data[start : start + 3]) for start in range(0, len(data), 3))
    )


def _local_status(_code: int, data: bytes) -> Reply:
    return LocalStatus(bool(data[0]), bool(data[1]))


def _input_status(_code: int, data: bytes) -> Reply:
    return InputStatus(tuple(map(bool, data)))


def _output_status(_code: int, data: bytes) -> Reply:
    return OutputStatus(tuple(map(bool, data)))


def _reader_status(_code: int, data: bytes) -> Reply:
    return ReaderStatus(tuple(data))


def _raw_card(_code: int, data: bytes) -> Reply | Malformed:
    bit_count = int.from_bytes(data[2:4], "little")
    packed = data[4:]
    if not bit_count or len(packed) != (bit_count + 7) // 8:
        return Malformed("bit count of a RAW does not match its length")
    bits = int.from_bytes(packed, "big") >> -bit_count % 8  # left-aligned in its bytes
    return RawCard(data[0], data[1], bit_count, bits)


def _formatted_card(_code: int, data: bytes) -> Reply | Malformed:
    text = data[3:]
    if len(text) != data[2] or not text.isascii():
        return Malformed("characters of a FMT")
    return FormattedCard(data[0], bool(data[1]), text.decode("ascii"))


def _keypad(_code: int, data: bytes) -> Reply | Malformed:
    if len(data) - 2 != data[1]:
        return Malformed("number of digits of a KEYPAD does not match its length")
    if any(byte not in _KEYS for byte in data[2:]):
        return Malformed("KEYPAD digit that no keypad has")
    return KeypadKeys(data[0], tuple(Key(_KEYS[byte]) for byte in data[2:]))


def _communication(_code: int, data: bytes) -> Reply:
    return Communication(data[0], int.from_bytes(data[1:5], "little"))


def _client_cryptogram(_code: int, data: bytes) -> Reply:
    return ClientCryptogram(data[:8], data[8:16], data[16:])


def _initial_mac(_code: int, data: bytes) -> Reply:
    return InitialMac(data)


def _busy(_code: int, _data: bytes) -> Reply:
    return DeviceBusy()


def _vendor(_code: int, data: bytes) -> Reply:
    return Vendor(data[:3], data[3:])


def _file_status(_code: int, data: bytes) -> Reply:
    status = int.from_bytes(data[3:5], "little", signed=True)
    delay_ms = int.from_bytes(data[1:3], "little")
    return FileStatus(data[0], delay_ms, status, int.from_bytes(data[5:7], "little"))


def _fragment(code: int, data: bytes) -> Reply | Malformed:
    total, offset, length = (int.from_bytes(data[at : at + 2], "little") for at in (0, 2, 4))
    if len(data) - 6 != length or offset + length > total:
        return Malformed("fragment that does not fit its whole")
    return Fragment(code, total, offset, data[6:])


def _extended_read(_code: int, data: bytes) -> Reply:
    return ExtendedRead(data[0], data[1], data[2:])


def _carried(code: int, data: bytes) -> Reply:
    return Carried(code, data)


_Decode = Callable[[int, bytes], Reply | Malformed]
_KNOWN: dict[int, tuple[str, int, int | None, _Decode]] = {  # name, least and most of data
    ACK_CODE: ("ACK", 0, 0, _ack),
    NAK_CODE: ("NAK", 0, None, _nak),
    0x45: ("PDID", 12, 12, _device_id),
    0x46: ("PDCAP", 0, None, _capabilities),
    0x48: ("LSTATR", 2, 2, _local_status),
    0x49: ("ISTATR", 0, None, _input_status),
    0x4A: ("OSTATR", 0, None, _output_status),
    0x4B: ("RSTATR", 0, None, _reader_status),
    0x50: ("RAW", 4, None, _raw_card),
    0x51: ("FMT", 3, None, _formatted_card),
    0x53: ("KEYPAD", 2, None, _keypad),
    0x54: ("COM", 5, 5, _communication),
    0x57: ("BIOREADR", 0, None, _carried),
    0x58: ("BIOMATCHR", 0, None, _carried),
    CCRYPT_CODE: ("CCRYPT", 32, 32, _client_cryptogram),
    RMAC_I_CODE: ("RMAC_I", 16, 16, _initial_mac),
    BUSY_CODE: ("BUSY", 0, 0, _busy),
    0x7A: ("FTSTAT", 7, 7, _file_status),
    0x80: ("PIVDATAR", 6, None, _fragment),
    0x81: ("GENAUTHR", 6, None, _fragment),
    0x82: ("CRAUTHR", 6, None, _fragment),
    0x83: ("MFGSTATR", 0, None, _carried),
    0x84: ("MFGERRR", 0, None, _carried),
    0x90: ("MFGREP", 3, None, _vendor),
    0xB1: ("XRD", 2, None, _extended_read),
}
