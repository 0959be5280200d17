"""OSDP in words: names of codes, capabilities, and what commands and replies say. Pure.

Keys and what they are made of are never shown; cards and what was typed only where that is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields

from drivers.protocols.osdp.commands import (
    CHLNG_CODE,
    KEYSET_CODE,
    SCRYPT_CODE,
    Color,
    Output,
)
from drivers.protocols.osdp.replies import (
    Ack,
    Capabilities,
    Capability,
    Carried,
    ClientCryptogram,
    DeviceBusy,
    DeviceId,
    FormattedCard,
    InitialMac,
    KeypadKeys,
    Nak,
    RawCard,
    Reply,
    UnknownReply,
)
from gatewayd.domain import wiegand
from gatewayd.domain.ports import Malformed

COMMANDS = {
    0x60: "POLL", 0x61: "ID", 0x62: "CAP", 0x64: "LSTAT", 0x65: "ISTAT", 0x66: "OSTAT",
    0x67: "RSTAT", 0x68: "OUT", 0x69: "LED", 0x6A: "BUZ", 0x6B: "TEXT", 0x6E: "COMSET",
    0x73: "BIOREAD", 0x74: "BIOMATCH", KEYSET_CODE: "KEYSET", CHLNG_CODE: "CHLNG",
    SCRYPT_CODE: "SCRYPT", 0x7B: "ACURXSIZE", 0x7C: "FILETRANSFER", 0x80: "MFG", 0xA1: "XWR",
    0xA2: "ABORT", 0xA3: "PIVDATA", 0xA4: "GENAUTH", 0xA5: "CRAUTH", 0xA7: "KEEPACTIVE",
}  # fmt: skip
REPLIES = {
    0x40: "ACK", 0x41: "NAK", 0x45: "PDID", 0x46: "PDCAP", 0x48: "LSTATR", 0x49: "ISTATR",
    0x4A: "OSTATR", 0x4B: "RSTATR", 0x50: "RAW", 0x51: "FMT", 0x53: "KEYPAD", 0x54: "COM",
    0x57: "BIOREADR", 0x58: "BIOMATCHR", 0x76: "CCRYPT", 0x78: "RMAC_I", 0x79: "BUSY",
    0x7A: "FTSTAT", 0x80: "PIVDATAR", 0x81: "GENAUTHR", 0x82: "CRAUTHR", 0x83: "MFGSTATR",
    0x84: "MFGERRR", 0x90: "MFGREP", 0xB1: "XRD",
}  # fmt: skip
# OSDP 2.2 annex B: function, its name, and what its levels of compliance mean.
_CAPABILITIES: dict[int, tuple[str, tuple[str, ...]]] = {
    1: ("inputs", ("none", "watched", "watched, configurable", "supervised", "supervised")),
    2: ("outputs", ("none", "on and off", "on and off, inverted", "timed", "timed, inverted")),
    3: ("cards", ("none", "raw bits", "characters", "raw bits or characters")),
    4: ("lights", ("none", "on and off", "timed", "timed, two colours", "timed, three colours")),
    5: ("buzzer", ("none", "on and off", "timed")),
    6: ("display", ("none", "1 row of 16", "2 rows of 16", "4 rows of 16")),
    7: ("clock", ("none", "by date and time")),
    8: ("frame check", ("checksum", "CRC")),
    14: ("biometrics", ("none", "fingerprint templates 1", "fingerprint templates 2", "iris")),
    15: ("secure PIN entry", ("none", "yes")),
    16: ("OSDP version", ("not said", "IEC 60839-11-5", "2.2")),
}


def made_by(device: DeviceId) -> str:
    """PDID for people."""
    firmware = ".".join(map(str, device.firmware))
    return (
        f"vendor {device.vendor.hex()}, model {device.model} version {device.version},"
        f" serial {device.serial}, firmware {firmware}"
    )


def capability(entry: Capability) -> str:
    """One entry of PDCAP for people."""
    if entry.function == 9:
        says = "AES-128" if entry.compliance & 1 else "none"
        default = ", the default key is in use" if entry.count & 1 else ""
        return f"secure channel: {says}{default}"
    if entry.function in (10, 11):
        what = "takes frames" if entry.function == 10 else "joins messages"
        return f"{what} of {entry.compliance + 256 * entry.count} bytes"
    if entry.function == 12:
        return f"smart cards: transparent {'yes' if entry.compliance & 1 else 'no'}"
    if entry.function == 13:
        return f"readers: {entry.count}"
    if entry.function not in _CAPABILITIES:
        return f"function {entry.function}: level {entry.compliance}, {entry.count} of them"
    name, levels = _CAPABILITIES[entry.function]
    known = entry.compliance < len(levels)
    level = levels[entry.compliance] if known else f"level {entry.compliance}"
    return f"{name}: {level}" + (f", {entry.count} of them" if entry.count else "")


def command_name(code: int) -> str:
    return COMMANDS.get(code, f"command {code:02X}")


def reply_name(code: int) -> str:
    return REPLIES.get(code, f"reply {code:02X}")


def command_says(code: int, data: bytes) -> str:
    """What a command asks for. Never raises; data of another length than it should have is told."""
    if code in (KEYSET_CODE, CHLNG_CODE, SCRYPT_CODE):
        return {
            KEYSET_CODE: "a key, not shown",
            CHLNG_CODE: "the panel's random number",
            SCRYPT_CODE: "the panel's proof",
        }[code]
    tell = _COMMAND_SAYS.get(code)
    try:
        return tell(data) if tell is not None else _size(data)
    except (IndexError, ValueError):
        return f"{len(data)} bytes, which is no length of this command"


def reply_says(reply: Reply | Malformed, *, personal: bool = False) -> str:
    """What a reply tells; a card's bits and the keys that were pressed only where `personal`."""
    match reply:
        case RawCard():
            return _card(reply, personal=personal)
        case KeypadKeys(reader, keys):
            typed = " ".join(key.key for key in keys)
            return f"reader {reader}, {typed if personal else f'{len(keys)} keys'}"
        case FormattedCard(reader):
            return f"reader {reader}, {reply.text if personal else 'a card as characters'}"
        case UnknownReply() | Carried():
            return _size(reply.data)
        case _:
            return _of_the_device(reply)


def _of_the_device(reply: Reply | Malformed) -> str:
    match reply:
        case Malformed(reason):
            return f"malformed: {reason}"
        case Ack() | DeviceBusy():
            return ""
        case Nak():
            return reply.reason.partition(", ")[2] or reply.reason
        case DeviceId():
            return made_by(reply)
        case Capabilities():
            return "; ".join(map(capability, reply.entries))
        case ClientCryptogram():
            return f"device {reply.device_uid.hex()}, its random number and its proof"
        case InitialMac():
            return "the MAC that both begin with"
        case _:
            shown = (each for each in fields(reply) if each.repr)
            return ", ".join(f"{each.name} {getattr(reply, each.name)}" for each in shown)


def _card(raw: RawCard, *, personal: bool) -> str:
    found = wiegand.identify(raw.bits, raw.bit_count, True)  # of any length
    known = found.reason if isinstance(found, Malformed) else found.format or "unknown format"
    shown = f", {raw.bits:0{-(-raw.bit_count // 4)}X}" if personal else ""
    return f"reader {raw.reader}, card of {raw.bit_count} bits, {known}{shown}"


def _size(data: bytes) -> str:
    return f"{len(data)} bytes" if data else ""


def _records(data: bytes, size: int) -> Iterator[bytes]:
    if not data or len(data) % size:
        raise ValueError("no whole records")
    return (data[at : at + size] for at in range(0, len(data), size))


def _outputs(data: bytes) -> str:
    said = []
    for record in _records(data, 4):
        tenths = int.from_bytes(record[2:], "little")
        action = Output(record[1]).name.lower().replace("_", " ")
        said.append(f"output {record[0]} {action}" + (f" {tenths / 10:g} s" if tenths else ""))
    return "; ".join(said)


def _lights(data: bytes) -> str:
    return "; ".join(_light(record) for record in _records(data, 14))


def _light(record: bytes) -> str:
    said = f"reader {record[0]} light {record[1]}"
    if record[2] == 1:
        said += ", temporary state ends"
    if record[2] == 2:
        tenths = int.from_bytes(record[7:9], "little")
        said += f", {_shine(record[3:7])} for {tenths / 10:g} s"
    if record[9] == 1:
        said += f", rests {_shine(record[10:14])}"
    return said


def _shine(four: bytes) -> str:
    on, off = (Color(code).name.lower() for code in four[2:])
    if not four[1] or on == off:
        return on
    return f"{on} {four[0] / 10:g} s, {off} {four[1] / 10:g} s"


def _buzzer(data: bytes) -> str:
    reader, tone, on, off, count = data
    if tone < 2:
        return f"reader {reader} silent"
    times = f"{count} times" if count else "until told otherwise"
    return f"reader {reader}, {on / 10:g} s on, {off / 10:g} s off, {times}"


def _text(data: bytes) -> str:
    reader, _, seconds, row, column, size = data[:6]
    if len(data) != 6 + size:
        raise ValueError("no whole text")
    lasts = f" for {seconds} s" if seconds else ""
    shown = data[6:].decode("ascii", "replace")
    return f"reader {reader}, row {row} column {column}{lasts}: {shown!r}"


def _communication(data: bytes) -> str:
    address, baud = data[0], int.from_bytes(data[1:5], "little")
    return f"address {address}, {baud} baud"


_COMMAND_SAYS: dict[int, Callable[[bytes], str]] = {
    0x61: lambda _data: "",
    0x62: lambda _data: "",
    0x68: _outputs,
    0x69: _lights,
    0x6A: _buzzer,
    0x6B: _text,
    0x6E: _communication,
}
