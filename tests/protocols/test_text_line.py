"""Lines of text: from bytes to passes, plates and cards."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.protocols.text_credential import TextReading, longest_number
from drivers.protocols.text_line import MAX_LINE, Encoding, TextLineDecoder
from gatewayd.domain import wiegand
from gatewayd.domain.model import Credential, CredentialKind, card
from gatewayd.domain.ports import Malformed
from tests.protocols.channels import (
    LOSSLESS,
    Channel,
    cards,
    decode,
    in_pieces,
    reasons,
    with_loss,
)

PASS = "YX-7f3K-访客-2026"
PLATE = "京A12345"


def qr(text: str) -> Credential:
    return Credential(CredentialKind.QR, text)


def plate(text: str) -> Credential:
    return Credential(CredentialKind.PLATE, text)


def decoder(encoding: Encoding = "utf-8", **reading: object) -> TextLineDecoder:
    given_ = {"kind": "qr"} | reading
    return TextLineDecoder(TextReading(**given_).read, encoding)  # type: ignore[arg-type]  # a test's keys


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\n\r"])
@pytest.mark.parametrize("channel", LOSSLESS)
def test_each_line_is_one_pass_whatever_ends_it_and_however_it_is_cut(
    channel: Channel, end: str
) -> None:
    passes = [f"{PASS}-{number}" for number in range(50)]
    stream = "".join(each + end for each in passes).encode()
    assert decode(decoder(), channel(stream)) == [qr(each) for each in passes]


def test_a_pass_is_taken_as_it_is_written() -> None:
    text = "  aB·c-1 \u3000"
    assert decoder().feed(f"{text}\n".encode()) == [qr(text)]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("channel", LOSSLESS)
def test_plates_come_in_either_encoding(channel: Channel, encoding: Encoding) -> None:
    plates = [PLATE, "沪AD12345", "粤Z1234澳", "WJ京1234X"]
    stream = "".join(f"{each}\r\n" for each in plates).encode(encoding)
    found = decode(decoder(encoding, kind="plate"), channel(stream))
    assert found == [plate(each) for each in plates]


def test_plates_are_compared_as_lists_have_them() -> None:
    found = decoder(kind="plate").feed("京a·12345\r京A 12345\r京A-12345\r".encode())
    assert found == [plate(PLATE)] * 3


def test_gb18030_bytes_are_no_utf_8_and_the_reason_says_where_to_look() -> None:
    found = decoder(kind="plate").feed(f"{PLATE}\r\n".encode("gb18030") + f"{PLATE}\n".encode())
    assert found == [Malformed("line is no text in utf-8: see encoding"), plate(PLATE)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("·-", "line that is no licence plate"),
        ("京A\t12345", "line with control characters"),
        ("京A\x0012345", "line with control characters"),
    ],
)
def test_what_is_no_plate_says_why(line: str, reason: str) -> None:
    assert decoder(kind="plate").feed(f"{line}\n".encode()) == [Malformed(reason)]


def test_prefix_and_suffix_are_taken_off_and_must_be_there() -> None:
    framed = decoder(prefix="]Q1", suffix="\x03")
    assert framed.feed(f"]Q1{PASS}\x03\r\n".encode()) == [qr(PASS)]
    assert framed.feed(f"{PASS}\x03\r\n".encode()) == [
        Malformed("line without its prefix: see prefix")
    ]
    assert framed.feed(f"]Q1{PASS}\r\n".encode()) == [
        Malformed("line without its suffix: see suffix")
    ]
    assert framed.feed(b"]Q1\x03\r\n") == [Malformed("line without anything in it")]


def test_a_prefix_and_a_suffix_never_share_a_letter() -> None:
    framed = decoder(prefix="ab", suffix="bc")
    assert framed.feed(b"abc\n") == [Malformed("line without its suffix: see suffix")]


# ------------------------------------------------------------------------------------- cards


@pytest.mark.parametrize(
    ("digits", "bits", "line", "value"),
    [
        ("hex", 32, "0086f444", 0x0086F444),
        ("hex", 40, "100086F444", 0x100086F444),
        ("hex", 58, "123456789ABCDEF", 0x123456789ABCDEF),
        ("decimal", 32, "0008844356", 8844356),
        ("decimal", 32, "8844356", 8844356),
        ("decimal", 32, "4294967295", 0xFFFFFFFF),
        ("decimal", 128, str((1 << 128) - 1), (1 << 128) - 1),
    ],
)
def test_a_card_is_its_number_in_so_many_bits(
    digits: str, bits: int, line: str, value: int
) -> None:
    found = decoder(kind="card", digits=digits, bits=bits).feed(f"{line}\r".encode())
    assert found == [card(value, bits)]


@pytest.mark.parametrize(
    ("digits", "bits", "line", "reason"),
    [
        ("hex", 32, "86F444", "number of digits does not match the bits: see bits"),
        ("hex", 32, "000086F444", "number of digits does not match the bits: see bits"),
        ("hex", 58, "823456789ABCDEF", "number does not fit the bits: see bits"),
        ("hex", 32, "0086F44G", "line with other than hex digits: see digits"),
        ("hex", 32, "0x86F444", "line with other than hex digits: see digits"),
        ("hex", 32, "٠٠86F444", "line with other than hex digits: see digits"),
        ("decimal", 32, "00086F4", "line with other than decimal digits: see digits"),
        ("decimal", 32, "00008844356", "number of digits does not match the bits: see bits"),
        ("decimal", 32, "4294967296", "number does not fit the bits: see bits"),
        ("decimal", 32, "-844356", "line with other than decimal digits: see digits"),
        ("hex", 26, "2012344", "parity"),
    ],
)
def test_a_line_that_is_no_such_card_says_why(
    digits: str, bits: int, line: str, reason: str
) -> None:
    found = decoder(kind="card", digits=digits, bits=bits).feed(f"{line}\n".encode())
    assert found == [Malformed(reason)]


def test_a_card_of_a_known_length_is_checked_and_turned_as_any_other() -> None:
    bits = wiegand.encode("H10306", 0xA1B2, 0xC3D4)
    sent = wiegand.encode("H10306", 0xD4C3, 0xB2A1)
    found = decoder(kind="card", bits=34, reverse="bytes").feed(f"{sent:09X}\n".encode())
    assert found == [card(bits, 34)]


@given(st.integers(1, 128), st.data(), st.sampled_from(["hex", "decimal"]))
def test_every_number_that_fits_is_read_back(bits: int, data: st.DataObject, digits: str) -> None:
    if bits in {known.bit_count for known in wiegand.FORMATS}:
        bits += 2  # those have a parity
    number = data.draw(st.integers(0, (1 << bits) - 1))
    width = longest_number(bits, "hex" if digits == "hex" else "decimal")
    line = f"{number:0{width}X}" if digits == "hex" else f"{number:0{width}d}"
    found = decoder(kind="card", digits=digits, bits=bits).feed(f"{line}\n".encode())
    assert found == [card(number, bits)]


# ------------------------------------------------------------------------------ bad lines


@pytest.mark.parametrize("seed", range(5))
def test_lost_bytes_lose_lines_but_the_next_is_read(seed: int) -> None:
    numbers = [random.Random(seed).getrandbits(32) for _ in range(400)]
    stream = "".join(f"{number:08X}\r\n" for number in numbers).encode()
    reading = decoder(kind="card", bits=32)
    messages = decode(reading, in_pieces(with_loss(stream, seed), seed))
    assert {each.value for each in cards(messages)} <= {f"{number:08X}" for number in numbers}
    assert len(cards(messages)) > 200
    assert reasons(messages)


def test_a_flood_without_an_end_holds_no_more_than_one_line() -> None:
    reading = decoder()
    assert reading.feed(b"x" * 100_000) == [Malformed("line longer than a pass's")]
    assert reading.feed(f"\r\n{PASS}\r\n".encode()) == [qr(PASS)]
    assert reading.feed(b"x" * MAX_LINE) == []
    assert len(reading._lines._line) == MAX_LINE


def test_silence_ends_half_a_line_and_nothing_else() -> None:
    reading = decoder()
    assert reading.quiet() == []
    assert reading.feed(b"YX-7f") == []
    assert reading.quiet() == [Malformed("message cut short by silence")]
    assert reading.feed(f"{PASS}\n".encode()) == [qr(PASS)]
    assert reading.quiet() == []


def test_nothing_that_is_told_quotes_the_line() -> None:
    for reading in (
        decoder(prefix="Z"),
        decoder(suffix="Z"),
        decoder("gb18030", kind="plate", prefix="京"),
        decoder(kind="card", bits=32),
    ):
        (found,) = reading.feed(b"SECRET77\xff\n")
        assert isinstance(found, Malformed)
        assert "SECRET" not in found.reason
    (found,) = decoder().feed(b"SECRET77\n")
    assert "SECRET" not in repr(found)


@given(
    st.lists(st.binary(max_size=40)),
    st.sampled_from(["qr", "plate", "card"]),
    st.sampled_from(["utf-8", "gb18030"]),
)
def test_any_bytes_are_taken_without_an_exception(
    pieces: list[bytes], kind: str, encoding: Encoding
) -> None:
    reading = decoder(encoding, kind=kind, bits=32 if kind == "card" else 0)
    messages = decode(reading, iter(pieces)) + reading.quiet()
    assert all(isinstance(message, Credential | Malformed) for message in messages)
    assert reading.feed(b"\r12345678\r")[-1] in (
        qr("12345678"),
        plate("12345678"),
        card(0x12345678, 32),
    )


@given(
    st.text(
        st.characters(exclude_categories=["Cs", "Cc"], codec="utf-8"), min_size=1, max_size=200
    ),
    st.sampled_from(["utf-8", "gb18030"]),
)
def test_every_pass_that_a_list_can_hold_is_read_back(text: str, encoding: Encoding) -> None:
    assert decoder(encoding).feed(f"{text}\r\n".encode(encoding)) == [qr(text)]
