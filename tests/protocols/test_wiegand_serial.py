"""The two serial dialects of Wiegand converters: vectors, cuts, loss, noise, any bytes."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.protocols.keypad import Key
from drivers.protocols.wiegand_serial import (
    MAX_LINE,
    BinaryDecoder,
    HexLineDecoder,
    encode_binary,
    encode_hex_line,
)
from gatewayd.domain import wiegand
from gatewayd.domain.model import Credential, card
from gatewayd.domain.ports import Malformed
from tests.protocols.channels import (
    LOSSLESS,
    Channel,
    Decoder,
    cards,
    decode,
    in_pieces,
    reasons,
    with_loss,
)

Encode = Callable[[int, int], bytes]
DIALECTS = [
    pytest.param(encode_hex_line, HexLineDecoder, id="hex-line"),
    pytest.param(encode_binary, BinaryDecoder, id="binary"),
]
BITS = wiegand.encode("H10301", 123, 4567)
HEX_LINE = b"26,2F623AE\r\n"
BINARY = bytes.fromhex("02 1A 02F623AE 63 03")  # 1A^02^F6^23^AE = 63
CARD = card(BITS, 26, "H10301")


@st.composite
def raw_cards(draw: st.DrawFn) -> tuple[int, int]:
    """Bits and count of any length that has no known format and is no key's."""
    bit_count = draw(st.integers(1, 128).filter(lambda n: n not in {4, 8, 26, 34, 35, 37}))
    return draw(st.integers(0, (1 << bit_count) - 1)), bit_count


def some_cards(seed: int, how_many: int) -> list[int]:
    chance = random.Random(seed)
    return [
        wiegand.encode("H10306", chance.randrange(1 << 16), chance.randrange(1 << 16))
        for _ in range(how_many)
    ]


def test_the_documented_frames() -> None:
    assert encode_hex_line(BITS, 26) == HEX_LINE
    assert encode_binary(BITS, 26) == BINARY
    assert HexLineDecoder().feed(HEX_LINE) == [CARD]
    assert BinaryDecoder().feed(BINARY) == [CARD]


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"\n\r\n"])
def test_a_line_ends_with_cr_or_lf_or_both(end: bytes) -> None:
    line = HEX_LINE.strip() + end
    assert HexLineDecoder().feed(line * 3) == [CARD] * 3


@pytest.mark.parametrize("channel", LOSSLESS)
@pytest.mark.parametrize(("encode", "make"), DIALECTS)
def test_cards_arrive_in_order_however_the_bytes_are_cut(
    encode: Encode, make: Callable[[], Decoder], channel: Channel
) -> None:
    sent = some_cards(1, 50)
    stream = b"".join(encode(bits, 34) for bits in sent)
    assert decode(make(), channel(stream)) == [card(bits, 34) for bits in sent]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("encode", "make"), DIALECTS)
def test_lost_bytes_lose_cards_but_never_make_another(
    encode: Encode, make: Callable[[], Decoder], seed: int
) -> None:
    sent = some_cards(seed, 400)
    stream = with_loss(b"".join(encode(bits, 34) for bits in sent), seed)
    messages = decode(make(), in_pieces(stream, seed))
    assert set(cards(messages)) <= {card(bits, 34) for bits in sent}
    assert len(cards(messages)) > 200
    assert reasons(messages)


@pytest.mark.parametrize(("encode", "make"), DIALECTS)
def test_silence_ends_half_a_message_so_that_the_next_is_read(
    encode: Encode, make: Callable[[], Decoder]
) -> None:
    decoder = make()
    frame = encode(BITS, 26)
    assert decoder.quiet() == []
    for cut in range(1, len(frame) - 2):
        assert decoder.feed(frame[:cut]) == []
        assert decoder.quiet() == [Malformed("message cut short by silence")]
        assert decoder.feed(frame) == [CARD]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"26;2F623AE", "line is not '<bit count>,<hex digits>'"),
        (b"026,2F623AE", "line is not '<bit count>,<hex digits>'"),
        (b"26,2F623AX", "line is not '<bit count>,<hex digits>'"),
        (b"26, F623AE", "line is not '<bit count>,<hex digits>'"),
        (b"0,0", "line is not '<bit count>,<hex digits>'"),
        (b"\xff\xfe26,2F623AE", "line is not '<bit count>,<hex digits>'"),
        (b"26,02F623AE", "number of digits does not match the bit count"),
        (b"26,F623AE", "number of digits does not match the bit count"),
        (b"129," + b"1" * 32, "bit count above 128"),
        (b"26,FF623AE", "value does not fit the bit count"),
        (b"26,2F623AF", "parity"),
        (b"1" * 500, "line longer than a card's"),
    ],
)
def test_a_spoilt_line_says_why_and_the_next_is_read(line: bytes, reason: str) -> None:
    decoder = HexLineDecoder()
    assert decoder.feed(line + b"\r\n" + HEX_LINE) == [Malformed(reason), CARD]


def test_the_longest_line_is_taken() -> None:
    line = encode_hex_line((1 << 128) - 1, 128)
    assert len(line) == MAX_LINE + 2
    assert HexLineDecoder(accept_unknown_lengths=True).feed(line) == [card((1 << 128) - 1, 128)]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\x02\x1a\x02\xf6\x23\xae\x64\x03", "checksum"),
        (b"\x02\x1a\x02\xf6\x23\xae\x63\x04", "end mark is missing"),
        (b"\x02\x00\x00\x03", "bit count outside 1 to 128"),
        (b"\x02\x81\x81\x03", "bit count outside 1 to 128"),
        (b"\x02\x1a\x06\xf6\x23\xae\x67\x03", "value does not fit the bit count"),
        (b"\x02\x1a\x02\xf6\x23\xaf\x62\x03", "parity"),
        (b"\x55\xaa\x00\xff", "bytes outside a message"),
    ],
)
def test_a_spoilt_frame_says_why_and_the_next_is_read(frame: bytes, reason: str) -> None:
    decoder = BinaryDecoder()
    assert decoder.feed(frame + BINARY) == [Malformed(reason), CARD]


def test_noise_that_looks_like_a_start_costs_no_card_once_it_proves_none() -> None:
    decoder = BinaryDecoder()
    messages = decoder.feed(b"\x02\x80" + BINARY * 3)  # as if 16 bytes of value followed
    assert cards(messages) == [CARD] * 3
    assert reasons(messages) == ["end mark is missing"]


def test_frame_marks_inside_a_value_are_part_of_it() -> None:
    bits = int.from_bytes(BINARY + BINARY, "big")
    frame = encode_binary(bits, 128)
    decoder = BinaryDecoder(accept_unknown_lengths=True)
    assert decode(decoder, iter([frame[:5], frame[5:12], frame[12:]])) == [card(bits, 128)]


@pytest.mark.parametrize("make", [HexLineDecoder, BinaryDecoder])
def test_a_flood_of_garbage_holds_no_more_than_one_message(
    make: type[HexLineDecoder] | type[BinaryDecoder],
) -> None:
    decoder = make()
    messages = decoder.feed(b"\x02\x7f" * 20_000)
    held = decoder._lines._line if isinstance(decoder, HexLineDecoder) else decoder._held
    assert len(held) <= MAX_LINE
    assert len(messages) == 1


@given(raw_cards())
def test_what_is_written_is_read_back(written: tuple[int, int]) -> None:
    expected = [card(*written)]
    assert HexLineDecoder(accept_unknown_lengths=True).feed(encode_hex_line(*written)) == expected
    assert BinaryDecoder(accept_unknown_lengths=True).feed(encode_binary(*written)) == expected


@given(st.lists(st.binary(max_size=40)), st.booleans())
def test_any_bytes_are_taken_without_an_exception(pieces: list[bytes], accept: bool) -> None:
    for decoder, frame in (
        (HexLineDecoder(accept), HEX_LINE),
        (BinaryDecoder(accept), BINARY),
    ):
        messages = decode(decoder, iter(pieces)) + decoder.quiet()
        assert all(isinstance(message, Credential | Key | Malformed) for message in messages)
        assert decoder.feed(frame) == [CARD]


@pytest.mark.parametrize(("bits", "bit_count"), [(4, 2), (0, 0), (0, 129), (-1, 8)])
@pytest.mark.parametrize("encode", [encode_hex_line, encode_binary])
def test_what_does_not_fit_is_not_written(encode: Encode, bits: int, bit_count: int) -> None:
    with pytest.raises(ValueError, match="1 to 128 bits"):
        encode(bits, bit_count)


# -------------------------------------------------------------- turned round, and with more around


@pytest.mark.parametrize(("encode", "decoder"), DIALECTS)
def test_a_reader_that_sends_the_last_bit_first_has_the_same_cards(
    encode: Encode, decoder: Callable[..., Decoder]
) -> None:
    backwards = int(f"{BITS:026b}"[::-1], 2)
    assert decoder(reverse="bits").feed(encode(backwards, 26)) == [CARD]
    assert decoder(reverse="none").feed(encode(backwards, 26)) == [Malformed("parity")]


@pytest.mark.parametrize(("encode", "decoder"), DIALECTS)
def test_a_reader_that_sends_the_last_byte_first_has_the_same_cards(
    encode: Encode, decoder: Callable[..., Decoder]
) -> None:
    sent = wiegand.encode("H10306", 0x3412, 0x7856)
    kept = card(wiegand.encode("H10306", 0x5678, 0x1234), 34)
    assert decoder(reverse="bytes").feed(encode(sent, 34)) == [kept]
    assert decoder(True, "bytes").feed(encode(0x123456, 24)) == [card(0x563412, 24)]


@pytest.mark.parametrize(("encode", "decoder"), DIALECTS)
def test_keys_are_never_turned_round(encode: Encode, decoder: Callable[..., Decoder]) -> None:
    for order in ("bits", "bytes", "nibbles"):
        assert decoder(reverse=order).feed(encode(5, 4) + encode(0xA5, 8)) == [Key("5")] * 2


def test_what_a_converter_puts_around_a_card_is_taken_off_and_must_be_there() -> None:
    decoder = HexLineDecoder(prefix=b"W:", suffix=b";1")
    assert decoder.feed(b"W:26,2F623AE;1\r\n") == [CARD]
    assert decoder.feed(b"26,2F623AE;1\r\n") == [Malformed("line without its prefix: see prefix")]
    assert decoder.feed(b"W:26,2F623AE\r\n") == [Malformed("line without its suffix: see suffix")]
    longest = b"W:128," + b"F" * 32 + b";1\n"
    assert HexLineDecoder(True, prefix=b"W:", suffix=b";1").feed(longest) == [
        card((1 << 128) - 1, 128)
    ]
