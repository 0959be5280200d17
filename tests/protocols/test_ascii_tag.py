"""The codec of ID-12 and RDM6300 readers, against the vector of the design page."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.protocols.ascii_tag import MAX_BODY, AsciiTagDecoder, encode
from drivers.protocols.bit_order import Order
from gatewayd.domain.model import Credential, card
from gatewayd.domain.ports import Malformed
from tests.protocols.channels import (
    LOSSLESS,
    Channel,
    cards,
    decode,
    in_pieces,
    reasons,
    whole,
    with_loss,
)

VECTOR = b"\x02100086F44426\x03"  # RDM6300; printed on the tag as 0008844356
VECTOR_ID12 = b"\x02100086F44426\r\n\x03"
TAG = card(0x100086F444, 40, "em4100")
tags = st.integers(min_value=0, max_value=(1 << 40) - 1)


def test_the_documented_tag_is_read_as_its_forty_bits() -> None:
    (tag,) = cards(AsciiTagDecoder().feed(VECTOR))
    assert (tag.value, tag.bit_count, tag.format) == ("100086F444", 40, "em4100")
    assert f"{int(tag.value, 16) & 0xFFFFFFFF:010d}" == "0008844356"


def test_the_documented_tag_is_written_as_both_readers_send_it() -> None:
    assert encode(0x100086F444, line_end=False) == VECTOR
    assert encode(0x100086F444) == VECTOR_ID12


@pytest.mark.parametrize("channel", LOSSLESS)
def test_tags_arrive_in_order_however_the_bytes_are_cut(channel: Channel) -> None:
    numbers = [random.Random(1).getrandbits(40) for _ in range(50)]
    stream = b"".join(encode(number, line_end=bool(number & 1)) for number in numbers)
    assert decode(AsciiTagDecoder(), channel(stream)) == [card(n, 40) for n in numbers]


@pytest.mark.parametrize("seed", range(5))
def test_lost_bytes_lose_tags_but_never_make_another(seed: int) -> None:
    numbers = [random.Random(seed).getrandbits(40) for _ in range(400)]
    stream = with_loss(b"".join(encode(number) for number in numbers), seed)
    messages = decode(AsciiTagDecoder(), in_pieces(stream, seed))
    assert {tag.value for tag in cards(messages)} <= {f"{n:010X}" for n in numbers}
    assert len(cards(messages)) > 200
    assert reasons(messages)


@pytest.mark.parametrize("channel", LOSSLESS)
def test_noise_between_messages_is_told_once_and_costs_no_tag(channel: Channel) -> None:
    stream = VECTOR + b"\x00\xff7A" * 50 + VECTOR_ID12 + b"\r\n\r\n" + VECTOR
    messages = decode(AsciiTagDecoder(), channel(stream))
    assert messages == [TAG, Malformed("bytes outside a message"), TAG, TAG]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\x02100086F44427\x03", "checksum"),
        (b"\x02100086F4442G\x03", "message with other than hex digits"),
        (b"\x02+00086F44426\x03", "message with other than hex digits"),
        (b"\x021_0086F44426\x03", "message with other than hex digits"),
        (b"\x02 00086F44426\x03", "message with other than hex digits"),
        (b"\x02100086F4442\x03", "message of a wrong length"),
        (b"\x02100086F44426\n\x03", "message of a wrong length"),
        (b"\x02\x03", "message of a wrong length"),
        (b"\x02100086F44426AAA\x03", "message longer than a tag's"),
    ],
)
def test_a_spoilt_message_says_why_and_the_next_is_read(frame: bytes, reason: str) -> None:
    assert AsciiTagDecoder().feed(frame + VECTOR) == [Malformed(reason), TAG]


def test_a_start_byte_always_begins_a_message() -> None:
    assert AsciiTagDecoder().feed(VECTOR[:7] + VECTOR) == [
        Malformed("message cut short by the next one"),
        TAG,
    ]


def test_lower_case_digits_are_the_same_tag() -> None:
    assert AsciiTagDecoder().feed(VECTOR.lower()) == [TAG]


def test_silence_ends_half_a_message_and_nothing_else() -> None:
    decoder = AsciiTagDecoder()
    assert decoder.quiet() == []
    assert decoder.feed(VECTOR[:9]) == []
    assert decoder.quiet() == [Malformed("message cut short by silence")]
    assert decoder.quiet() == []
    assert decoder.feed(VECTOR) == [TAG]


def test_a_flood_without_an_end_holds_no_more_than_one_message() -> None:
    decoder = AsciiTagDecoder()
    messages = decoder.feed(b"\x02" + b"1" * 100_000)
    assert reasons(messages) == ["message longer than a tag's"]
    decoder.feed(b"\x02" + b"1" * MAX_BODY)
    assert len(decoder._body or b"") == MAX_BODY


def test_no_reason_carries_digits_of_a_card() -> None:
    for at in range(1, len(VECTOR)):
        spoilt = VECTOR[:at] + b"X" + VECTOR[at + 1 :]
        for reason in reasons(decode(AsciiTagDecoder(), whole(spoilt + VECTOR))):
            assert "1000" not in reason
            assert "F444" not in reason


@given(tags, st.booleans())
def test_what_is_written_is_read_back(number: int, line_end: bool) -> None:
    assert AsciiTagDecoder().feed(encode(number, line_end)) == [card(number, 40)]


@given(st.lists(st.binary(max_size=40)))
def test_any_bytes_are_taken_without_an_exception(pieces: list[bytes]) -> None:
    decoder = AsciiTagDecoder()
    messages = decode(decoder, iter(pieces)) + decoder.quiet()
    assert all(isinstance(message, Credential | Malformed) for message in messages)
    assert decoder.feed(VECTOR)[-1] == TAG


def test_a_tag_of_more_than_forty_bits_has_no_frame() -> None:
    with pytest.raises(OverflowError):
        encode(1 << 40)


@pytest.mark.parametrize(
    ("order", "sent"),
    [
        ("bits", 0x222F610008),
        ("bytes", 0x44F4860010),
        ("nibbles", 0x444F680001),
        ("bits-in-bytes", 0x0800612F22),
        ("nibbles-in-bytes", 0x0100684F44),
    ],
)
def test_a_reader_that_turns_its_tags_round_has_the_same_ones(order: Order, sent: int) -> None:
    assert AsciiTagDecoder(order).feed(encode(sent)) == [TAG]
