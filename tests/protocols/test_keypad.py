"""Keys of Wiegand keypads in both serial dialects: vectors, cuts, loss, round trips, any bits."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.protocols.keypad import BURSTS, KEYS, Key, encode_key, identify_key
from drivers.protocols.wiegand_serial import (
    BinaryDecoder,
    HexLineDecoder,
    encode_binary,
    encode_hex_line,
)
from gatewayd.domain import wiegand
from gatewayd.domain.model import card
from gatewayd.domain.ports import Malformed
from tests.protocols.channels import (
    LOSSLESS,
    Channel,
    Decoder,
    decode,
    in_pieces,
    keys,
    reasons,
    with_loss,
)

Encode = Callable[[int, int], bytes]
DIALECTS = [
    pytest.param(encode_hex_line, HexLineDecoder, id="hex-line"),
    pytest.param(encode_binary, BinaryDecoder, id="binary"),
]

# What keypads send, written out: the codes, and their complement before them.
BURST_4 = dict(zip("0123456789*#", range(12), strict=True))
BURST_8 = {
    "0": 0xF0,
    "1": 0xE1,
    "2": 0xD2,
    "3": 0xC3,
    "4": 0xB4,
    "5": 0xA5,
    "6": 0x96,
    "7": 0x87,
    "8": 0x78,
    "9": 0x69,
    "*": 0x5A,
    "#": 0x4B,
}


def typed(keys_pressed: str, encode: Encode, bit_count: int) -> bytes:
    return b"".join(encode(encode_key(key, bit_count), bit_count) for key in keys_pressed)


def is_within(found: str, sent: Iterable[str]) -> bool:
    """Whether what was found was sent, in that order, with nothing put in."""
    left = iter(sent)
    return all(key in left for key in found)


@pytest.mark.parametrize("key", KEYS)
def test_the_documented_bursts(key: str) -> None:
    assert encode_key(key, 4) == BURST_4[key]
    assert encode_key(key, 8) == BURST_8[key]
    assert identify_key(BURST_4[key], 4) == identify_key(BURST_8[key], 8) == Key(key)


def test_the_documented_frames() -> None:
    assert HexLineDecoder().feed(b"4,5\r\n4,B\r\n8,A5\r\n8,5a\r\n") == [*map(Key, "5#5*")]
    assert BinaryDecoder().feed(bytes.fromhex("0204050103 0208A5AD03")) == [Key("5"), Key("5")]


@given(st.integers(0, 255), st.sampled_from(BURSTS))
def test_every_other_burst_is_refused_with_a_reason_that_tells_no_key(
    bits: int, bit_count: int
) -> None:
    bits &= (1 << bit_count) - 1
    found = identify_key(bits, bit_count)
    if bits in (BURST_4 if bit_count == 4 else BURST_8).values():
        assert isinstance(found, Key)
    else:
        assert isinstance(found, Malformed)
        assert not any(digit in found.reason for digit in "0123456789")


@pytest.mark.parametrize("bits", [0x0, 0x55, 0xA4, 0xFF])
def test_halves_that_do_not_match_and_codes_that_are_none_are_told_apart(bits: int) -> None:
    assert identify_key(bits, 8) == Malformed("key whose two halves do not match")
    assert identify_key(0x3C, 8) == identify_key(0xC, 4) == Malformed("no key has that code")


@pytest.mark.parametrize("accept", [False, True])
@pytest.mark.parametrize("bit_count", BURSTS)
@pytest.mark.parametrize(("encode", "make"), DIALECTS)
def test_a_key_is_never_a_card_whatever_lengths_are_accepted(
    encode: Encode, make: Callable[[bool], Decoder], bit_count: int, accept: bool
) -> None:
    decoder = make(accept)
    assert decoder.feed(encode(encode_key("7", bit_count), bit_count)) == [Key("7")]
    assert decoder.feed(encode(0xC, bit_count)) == [identify_key(0xC, bit_count)]


@pytest.mark.parametrize("channel", LOSSLESS)
@pytest.mark.parametrize("bit_count", BURSTS)
@pytest.mark.parametrize(("encode", "make"), DIALECTS)
def test_keys_arrive_in_order_and_the_same_twice_however_the_bytes_are_cut(
    encode: Encode, make: Callable[[], Decoder], bit_count: int, channel: Channel
) -> None:
    stream = typed("1122#*0099#", encode, bit_count)
    assert decode(make(), channel(stream)) == [*map(Key, "1122#*0099#")]


@pytest.mark.parametrize(("encode", "make"), DIALECTS)
def test_a_card_between_keys_is_read_where_it_was_shown(
    encode: Encode, make: Callable[[], Decoder]
) -> None:
    bits = wiegand.encode("H10301", 123, 4567)
    stream = typed("12", encode, 4) + encode(bits, 26) + typed("34#", encode, 4)
    assert decode(make(), iter([stream])) == [
        *map(Key, "12"),
        card(bits, 26),
        *map(Key, "34#"),
    ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("bit_count", BURSTS)
@pytest.mark.parametrize(("encode", "make"), DIALECTS)
def test_lost_bytes_lose_keys_but_never_make_another(
    encode: Encode, make: Callable[[], Decoder], bit_count: int, seed: int
) -> None:
    sent = "".join(random.Random(seed).choices(KEYS, k=400))
    stream = with_loss(typed(sent, encode, bit_count), seed)
    messages = decode(make(), in_pieces(stream, seed))
    assert is_within(keys(messages), sent)
    assert 200 < len(keys(messages)) < 400
    assert reasons(messages)


@pytest.mark.parametrize("bit_count", BURSTS)
@pytest.mark.parametrize(("encode", "make"), DIALECTS)
def test_silence_ends_half_a_key_so_that_the_next_is_read(
    encode: Encode, make: Callable[[], Decoder], bit_count: int
) -> None:
    decoder, frame = make(), encode(encode_key("0", bit_count), bit_count)
    for cut in range(1, len(frame) - 2):
        assert decoder.feed(frame[:cut]) == []
        assert decoder.quiet() == [Malformed("message cut short by silence")]
        assert decoder.feed(frame) == [Key("0")]


@given(st.text(KEYS, max_size=40), st.sampled_from(BURSTS))
def test_what_is_typed_is_read_back(text: str, bit_count: int) -> None:
    assert keys(HexLineDecoder().feed(typed(text, encode_hex_line, bit_count))) == text
    assert keys(BinaryDecoder().feed(typed(text, encode_binary, bit_count))) == text


@pytest.mark.parametrize(("key", "bit_count"), [("A", 4), ("", 8), ("12", 4), ("5", 6)])
def test_what_is_no_key_is_not_written_and_not_told(key: str, bit_count: int) -> None:
    with pytest.raises(ValueError, match="0 to 9, \\* and #, in 4 or 8 bits") as wrong:
        encode_key(key, bit_count)
    assert "12" not in str(wrong.value)


def test_a_key_is_not_in_its_repr() -> None:
    assert "7" not in repr(Key("7"))
