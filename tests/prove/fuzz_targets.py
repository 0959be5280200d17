"""What is fuzzed: for each codec a function of bytes that must not raise and must hold promises.

The first byte of an input says how its bytes are cut into reads. Owns no fuzzer and no time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from drivers.protocols import modbus_rtu
from drivers.protocols.ascii_tag import AsciiTagDecoder
from drivers.protocols.evdev import EV_KEY, EV_SYN, EVENT, KeyboardDecoder
from drivers.protocols.keypad import identify_key
from drivers.protocols.osdp.commands import Command
from drivers.protocols.osdp.frame import Frame, FrameDecoder
from drivers.protocols.osdp.outcome import Opened, Replied
from drivers.protocols.osdp.replies import decode_reply
from drivers.protocols.osdp.session import Session, State
from drivers.protocols.text_credential import TextReading
from drivers.protocols.text_line import TextLineDecoder
from drivers.protocols.wiegand_serial import BinaryDecoder, HexLineDecoder
from gatewayd.domain.model import Credential
from gatewayd.domain.ports import Malformed
from tests.protocols.osdp_pd import Reader, reckon_crc

Target = Callable[[bytes], None]
KEY = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
MOST_TURNS = 40
_OUT = 0x68  # an order with data: SCS_17


class Decoder(Protocol):
    def feed(self, data: bytes) -> object: ...
    def quiet(self) -> object: ...


def pieces(data: bytes) -> Iterator[bytes]:
    """Reads of 1 to 16 bytes, or all at once, as the first byte says."""
    if not data:
        return
    size = data[0] % 17 or len(data)
    for at in range(1, len(data), size):
        yield data[at : at + size]


def _decode(decoder: Decoder, data: bytes) -> None:
    for piece in pieces(data):
        _all_known(decoder.feed(piece))
    _all_known(decoder.quiet())
    assert not decoder.quiet(), "what was given up is told once"


def _all_known(found: object) -> None:
    assert isinstance(found, list)
    for message in found:
        assert isinstance(message, Credential | Malformed | Frame) or hasattr(message, "keys")


def ascii_tag(data: bytes) -> None:
    _decode(AsciiTagDecoder(), data)
    _decode(AsciiTagDecoder("nibbles"), data)


def wiegand_hex(data: bytes) -> None:
    _decode(HexLineDecoder(True), data)
    _decode(HexLineDecoder(False, "bits", b"W:", b";"), data)


def wiegand_binary(data: bytes) -> None:
    _decode(BinaryDecoder(True), data)
    _decode(BinaryDecoder(False, "bytes"), data)


def keypad(data: bytes) -> None:
    for at in range(0, len(data) - 1, 2):
        identify_key(data[at], data[at + 1] % 9)


def text_line(data: bytes) -> None:
    for reading in (
        TextReading("qr"),
        TextReading("plate", prefix="P:"),
        TextReading("card", digits="decimal", bits=32, reverse="bytes"),
        TextReading("card", bits=26, suffix="#"),
    ):
        _decode(TextLineDecoder(reading.read), data)
        _decode(TextLineDecoder(reading.read, "gb18030"), data)


def evdev(data: bytes) -> None:
    """The bytes as they are, and as keys: two bytes are a code and what became of it."""
    _decode(KeyboardDecoder(TextReading("qr").read), data)
    events = [
        EVENT.pack(0, 0, EV_KEY, code, what % 3)
        if what < 252
        else EVENT.pack(0, 0, EV_SYN, what & 3, 0)
        for code, what in zip(data[1::2], data[2::2], strict=False)
    ]
    reading = TextReading("card", bits=32, prefix=";")
    _decode(KeyboardDecoder(reading.read), data[:1] + b"".join(events))


def modbus(data: bytes) -> None:
    for request in (
        modbus_rtu.read_inputs(1, 0, 8),
        modbus_rtu.read_coils(7, 3, 19),
        modbus_rtu.write_coil(1, 2, on=True),
    ):
        decoder = modbus_rtu.AnswerDecoder(request)
        for piece in pieces(data):
            decoder.feed(piece)
        assert decoder.unanswering <= modbus_rtu.MAX_HELD


def osdp_frames(data: bytes) -> None:
    _decode(FrameDecoder(), data)


def osdp_replies(data: bytes) -> None:
    """Every code with the same data, and a frame's own code where the bytes begin one."""
    if data:
        decode_reply(data[0], data[1:])


def osdp_session(data: bytes) -> None:
    """A panel with a key between a genuine reader and whoever has the wires: two bytes a turn say
    what becomes of the answer, and at which byte of it.

    Whatever is done to them, nothing but the reader's own frames is believed, and no order goes out
    in clear text.
    """
    panel = Session(5, KEY, random_bytes=_counted())
    reader = Reader(5, KEY)
    recorded: list[bytes] = []
    at = 0
    for _ in range(MOST_TURNS):
        if at + 2 > len(data):
            return
        what, where = data[at], data[at + 1]
        at += 2
        sent = panel.next_frame(Command(_OUT, bytes([what]) * 4) if what & 1 else None)
        if panel.state is State.OPEN:
            assert sent[4] & 0x08, "an order in clear text"
        genuine = reader.answer(sent)
        recorded.append(genuine)
        heard = _tampered(genuine, recorded, what >> 1, where, data[at:])
        for frame in FrameDecoder().feed(heard):
            if isinstance(frame, Malformed):
                continue
            outcome = panel.receive(frame)
            if isinstance(outcome, Replied | Opened):
                assert frame.raw == genuine, f"believed: {outcome}"
            if isinstance(outcome, Replied):
                break
        if panel._waiting:
            panel.restart()


def _tampered(genuine: bytes, recorded: list[bytes], how: int, where: int, more: bytes) -> bytes:
    match how % 8:
        case 0 | 1 | 2:
            return genuine
        case 3:
            at = where % len(genuine)
            return genuine[:at] + bytes([genuine[at] ^ (1 << how // 8 % 8)]) + genuine[at + 1 :]
        case 4:
            return recorded[where % len(recorded)]
        case 5:
            return genuine[: where % len(genuine)] + more[:64]
        case 6:
            return _checked(more[: 1 + where % 64])
        case _:
            return _checked(genuine[1 : 5 + where % 8] + more[:32])


def _checked(body: bytes) -> bytes:
    """The bytes as a frame whose length and CRC are right: only the security is left to refuse."""
    head = bytearray(b"\x53" + body.ljust(8, b"\0"))
    head[1] = 0x85
    head[2:4] = (len(head) + 2).to_bytes(2, "little")
    head[4] |= 0x04
    return bytes(head) + reckon_crc(bytes(head))


def _counted() -> Callable[[int], bytes]:
    count = 0

    def random_bytes(size: int) -> bytes:
        nonlocal count
        count += 1
        return count.to_bytes(size, "big")

    return random_bytes


TARGETS: Mapping[str, Target] = {
    "ascii-tag": ascii_tag,
    "wiegand-hex": wiegand_hex,
    "wiegand-binary": wiegand_binary,
    "keypad": keypad,
    "text-line": text_line,
    "evdev": evdev,
    "modbus": modbus,
    "osdp-frames": osdp_frames,
    "osdp-replies": osdp_replies,
    "osdp-session": osdp_session,
}
