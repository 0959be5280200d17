"""Each reply of OSDP 2.2 from its bytes, and lengths that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.protocols.keypad import KEYS, Key
from drivers.protocols.osdp.replies import (
    Ack,
    Capabilities,
    Capability,
    Carried,
    ClientCryptogram,
    Communication,
    DeviceBusy,
    DeviceId,
    ExtendedRead,
    FileStatus,
    FormattedCard,
    Fragment,
    InitialMac,
    InputStatus,
    KeypadKeys,
    LocalStatus,
    Nak,
    NakCode,
    OutputStatus,
    RawCard,
    ReaderStatus,
    Reply,
    UnknownReply,
    Vendor,
    decode_reply,
)
from gatewayd.domain import wiegand
from gatewayd.domain.ports import Malformed

H10301 = wiegand.encode("H10301", 123, 4567)
EIGHT, SIXTEEN = bytes(range(8)), bytes(range(16))


@pytest.mark.parametrize(
    ("code", "data", "reply"),
    [
        (0x40, "", Ack()),
        (0x41, "04", Nak(NakCode.SEQUENCE)),
        (0x41, "09 01 02", Nak(9)),
        (0x41, "", Nak(0)),
        (
            0x45,
            "A1B2C3 07 02 04030201 01 02 03",
            DeviceId(b"\xa1\xb2\xc3", 7, 2, 0x01020304, (1, 2, 3)),
        ),
        (0x46, "", Capabilities()),
        (0x46, "010208 040102", Capabilities((Capability(1, 2, 8), Capability(4, 1, 2)))),
        (0x48, "01 00", LocalStatus(tamper=True, power_failed=False)),
        (0x48, "00 01", LocalStatus(tamper=False, power_failed=True)),
        (0x49, "00 01 01", InputStatus((False, True, True))),
        (0x4A, "01 00", OutputStatus((True, False))),
        (0x4B, "00 01 02", ReaderStatus((0, 1, 2))),
        (0x50, "00 01 1A00 F0AA5500", RawCard(0, 1, 26, 0xF0AA5500 >> 6)),
        (0x50, "01 00 0800 A5", RawCard(1, 0, 8, 0xA5)),
        (0x50, "00 00 0100 80", RawCard(0, 0, 1, 1)),
        (0x51, "00 01 03 313233", FormattedCard(0, backwards=True, text="123")),
        (0x53, "01 03 31 7F 0D", KeypadKeys(1, (Key("1"), Key("*"), Key("#")))),
        (0x53, "00 00", KeypadKeys(0, ())),
        (0x54, "05 00960000", Communication(5, 38_400)),
        (0x57, "01 02", Carried(0x57, b"\x01\x02")),
        (0x58, "", Carried(0x58, b"")),
        (
            0x76,
            (EIGHT + EIGHT[::-1] + SIXTEEN).hex(),
            ClientCryptogram(EIGHT, EIGHT[::-1], SIXTEEN),
        ),
        (0x78, SIXTEEN.hex(), InitialMac(SIXTEEN)),
        (0x79, "", DeviceBusy()),
        (0x7A, "01 E803 FEFF 0004", FileStatus(1, 1000, -2, 1024)),
        (0x80, "0900 0700 0200 AABB", Fragment(0x80, 9, 7, b"\xaa\xbb")),
        (0x81, "0200 0000 0200 AABB", Fragment(0x81, 2, 0, b"\xaa\xbb")),
        (0x82, "0000 0000 0000", Fragment(0x82, 0, 0, b"")),
        (0x83, "01", Carried(0x83, b"\x01")),
        (0x84, "02", Carried(0x84, b"\x02")),
        (0x90, "A1B2C3 01", Vendor(b"\xa1\xb2\xc3", b"\x01")),
        (0xB1, "01 02 03", ExtendedRead(1, 2, b"\x03")),
        (0xFE, "0102", UnknownReply(0xFE, b"\x01\x02")),
    ],
)
def test_a_reply_is_what_its_bytes_say(code: int, data: str, reply: Reply) -> None:
    assert decode_reply(code, bytes.fromhex(data)) == reply


@pytest.mark.parametrize(
    ("code", "data", "reason"),
    [
        (0x40, "00", "length of a ACK"),
        (0x45, "00" * 11, "length of a PDID"),
        (0x45, "00" * 13, "length of a PDID"),
        (0x46, "00" * 4, "length of a PDCAP"),
        (0x48, "00", "length of a LSTATR"),
        (0x50, "00 00 1A", "length of a RAW"),
        (0x50, "00 00 1A00 F0AA55", "bit count of a RAW does not match its length"),
        (0x50, "00 00 1A00 F0AA550000", "bit count of a RAW does not match its length"),
        (0x50, "00 00 0000", "bit count of a RAW does not match its length"),
        (0x51, "00 00", "length of a FMT"),
        (0x51, "00 00 02 31", "characters of a FMT"),
        (0x51, "00 00 01 B1", "characters of a FMT"),
        (0x53, "00", "length of a KEYPAD"),
        (0x53, "00 02 31", "number of digits of a KEYPAD does not match its length"),
        (0x53, "00 01 3132", "number of digits of a KEYPAD does not match its length"),
        (0x53, "00 01 41", "KEYPAD digit that no keypad has"),
        (0x54, "00" * 4, "length of a COM"),
        (0x76, "00" * 31, "length of a CCRYPT"),
        (0x78, "00" * 17, "length of a RMAC_I"),
        (0x79, "00", "length of a BUSY"),
        (0x7A, "00" * 6, "length of a FTSTAT"),
        (0x80, "00" * 5, "length of a PIVDATAR"),
        (0x80, "0900 0700 0200 AA", "fragment that does not fit its whole"),
        (0x81, "0200 0100 0200 AABB", "fragment that does not fit its whole"),
        (0x90, "0102", "length of a MFGREP"),
        (0xB1, "01", "length of a XRD"),
    ],
)
def test_a_reply_that_makes_no_sense_says_why(code: int, data: str, reason: str) -> None:
    assert decode_reply(code, bytes.fromhex(data)) == Malformed(reason)


@given(st.integers(0, 255), st.binary(max_size=60))
def test_any_bytes_are_taken_without_an_exception(code: int, data: bytes) -> None:
    decode_reply(code, data)


@given(st.integers(1, 200), st.data())
def test_cards_of_any_length_keep_their_bits(bit_count: int, data: st.DataObject) -> None:
    bits = data.draw(st.integers(0, (1 << bit_count) - 1))
    text = f"{bits:0{bit_count}b}"
    packed = bytes(int(text[at : at + 8].ljust(8, "0"), 2) for at in range(0, bit_count, 8))
    reply = decode_reply(0x50, b"\x00\x00" + bit_count.to_bytes(2, "little") + packed)
    assert reply == RawCard(0, 0, bit_count, bits)


def test_a_known_card_is_read() -> None:
    packed = (H10301 << 6).to_bytes(4, "big")
    assert decode_reply(0x50, b"\x00\x01\x1a\x00" + packed) == RawCard(0, 1, 26, H10301)


def test_every_key_of_a_keypad() -> None:
    pressed = b"0123456789\x7f\x0d"
    reply = decode_reply(0x53, bytes([0, len(pressed)]) + pressed)
    assert reply == KeypadKeys(0, tuple(map(Key, KEYS)))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (0, "NAK 0, not said"),
        (1, "NAK 1, crc"),
        (2, "NAK 2, length"),
        (3, "NAK 3, unknown command"),
        (4, "NAK 4, sequence"),
        (5, "NAK 5, security block unsupported"),
        (6, "NAK 6, security not met"),
        (7, "NAK 7, biometric type"),
        (8, "NAK 8, biometric format"),
        (9, "NAK 9, cannot process"),
        (77, "NAK 77, unknown"),
    ],
)
def test_a_refusal_names_its_code(code: int, reason: str) -> None:
    assert Nak(code).reason == reason


def test_cards_pins_and_proofs_are_in_no_repr() -> None:
    assert "12345" not in repr(RawCard(0, 0, 26, 12345))
    assert "12345" not in repr(FormattedCard(0, backwards=False, text="12345"))
    assert "5" not in repr(KeypadKeys(0, (Key("5"),)))
    shown = "".join(
        map(repr, (ClientCryptogram(b"uid", b"Secret", b"Secret"), InitialMac(b"Secret")))
    )
    carried = (
        Vendor(b"abc", b"Secret"),
        Fragment(0x80, 6, 0, b"Secret"),
        ExtendedRead(0, 0, b"Secret"),
        Carried(0x57, b"Secret"),
        UnknownReply(0xFE, b"Secret"),
    )
    assert "Secret" not in shown + "".join(map(repr, carried))
