"""OSDP frames: the standard's own examples, an independent reckoning, cuts, loss, noise."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.protocols.osdp.crc import checksum, crc16
from drivers.protocols.osdp.frame import (
    BROADCAST,
    MAX_FRAME,
    Frame,
    FrameDecoder,
    SecurityBlock,
    answer_within_s,
    encode_frame,
)
from gatewayd.domain.ports import Malformed
from tests.protocols.channels import LOSSLESS, Channel, with_loss
from tests.protocols.osdp_pd import reckon_checksum, reckon_crc, reckon_frame

# SIA OSDP 2.2 annex E: COMSET to all, ID to device 0, each with a CRC and with a checksum.
EXAMPLES = [
    (BROADCAST, 0x6E, "00 80 25 00 00", True, "53 7F 0D 00 04 6E 00 80 25 00 00 6E 38"),
    (0, 0x61, "00", True, "53 00 09 00 04 61 00 C0 66"),
    (BROADCAST, 0x6E, "00 80 25 00 00", False, "53 7F 0C 00 00 6E 00 80 25 00 00 0F"),
    (0, 0x61, "00", False, "53 00 08 00 00 61 00 44"),
]
POLL = encode_frame(1, 0x60, sequence=2)
SECURED = reckon_frame(0x81, 0x0E, bytes.fromhex("02 16 40 11223344"))[0]  # the MAC is last


def frames(found: list[Frame | Malformed]) -> list[Frame]:
    return [one for one in found if isinstance(one, Frame)]


def reasons(found: list[Frame | Malformed]) -> list[str]:
    return [one.reason for one in found if isinstance(one, Malformed)]


def receive(stream: bytes, channel: Channel) -> list[Frame | Malformed]:
    decoder = FrameDecoder()
    return [one for piece in channel(stream) for one in decoder.feed(piece)]


def only(raw: bytes) -> Frame:
    (frame,) = FrameDecoder().feed(raw)
    assert isinstance(frame, Frame)
    return frame


@pytest.mark.parametrize(("address", "code", "data", "use_crc", "expected"), EXAMPLES)
def test_the_standards_examples_both_ways(
    address: int, code: int, data: str, use_crc: bool, expected: str
) -> None:
    raw = bytes.fromhex(expected)
    payload = bytes.fromhex(data)
    assert encode_frame(address, code, payload, sequence=0, use_crc=use_crc) == raw
    assert only(raw) == Frame(address, False, 0, use_crc, code, payload, None, b"", raw)
    assert only(raw).covered == raw[: -2 if use_crc else -1]


@given(st.binary(max_size=300))
def test_the_checks_are_those_of_an_independent_reckoning(data: bytes) -> None:
    assert crc16(data) == reckon_crc(data)
    assert checksum(data) == reckon_checksum(data)


def test_a_secured_frame_is_taken_apart() -> None:
    frame = only(SECURED)
    assert frame.block == SecurityBlock(0x16)
    assert (frame.address, frame.is_reply, frame.sequence) == (1, True, 2)
    assert (frame.code, frame.data, frame.mac) == (0x40, b"", bytes.fromhex("11223344"))
    assert frame.covered == SECURED[:-6]


def test_the_mac_covers_a_length_that_counts_it() -> None:
    covered: list[bytes] = []

    def sign(body: bytes) -> bytes:
        covered.append(body)
        return bytes.fromhex("11223344")

    raw = encode_frame(1, 0x40, sequence=2, is_reply=True, block=SecurityBlock(0x16), sign=sign)
    assert raw == SECURED
    assert covered == [SECURED[:-6]]
    assert covered[0][2] == len(SECURED)


def test_a_handshake_block_has_its_byte_and_no_mac() -> None:
    raw = encode_frame(1, 0x76, bytes(8), sequence=2, block=SecurityBlock(0x11, b"\x01"))
    assert raw[:14] == bytes.fromhex("53 01 13 00 0E 03 11 01 76 00 00 00 00 00")
    assert only(raw).block == SecurityBlock(0x11, b"\x01")
    assert only(raw).data == bytes(8)


@given(
    st.integers(0, 127),
    st.booleans(),
    st.integers(0, 3),
    st.booleans(),
    st.integers(0, 255),
    st.binary(max_size=1400),
    st.sampled_from([None, *(SecurityBlock(kind, b"") for kind in range(0x11, 0x19))]),
)
def test_what_is_encoded_is_decoded(
    address: int,
    is_reply: bool,
    sequence: int,
    use_crc: bool,
    code: int,
    data: bytes,
    block: SecurityBlock | None,
) -> None:
    signed = block is not None and block.type >= 0x15
    raw = encode_frame(
        address,
        code,
        data,
        sequence=sequence,
        use_crc=use_crc,
        is_reply=is_reply,
        block=block,
        sign=(lambda _: b"\x53\x01\x02\x03") if signed else None,
    )
    mac = b"\x53\x01\x02\x03" if signed else b""
    expected = Frame(address, is_reply, sequence, use_crc, code, data, block, mac, raw)
    assert FrameDecoder().feed(b"\xff" + raw + raw) == [expected, expected]


@pytest.mark.parametrize("channel", LOSSLESS)
def test_frames_arrive_in_order_however_the_bytes_are_cut(channel: Channel) -> None:
    sent = [encode_frame(1, 0x53, bytes([0x53] * n), sequence=n % 4) for n in range(30)]
    found = receive(b"\xff".join(sent), channel)
    assert [frame.raw for frame in frames(found)] == sent
    assert reasons(found) == []


@pytest.mark.parametrize("channel", LOSSLESS)
@pytest.mark.parametrize(
    ("noise", "told"),
    [
        (b"\xff\xff\xff", []),
        (b"\x00\x13\xff\x99", ["bytes outside a frame"]),
        (b"\x53\x01\xff\xff\x04", ["length of a frame"]),
        (b"\x53\x01\x06\x00\x00", ["length of a frame"]),  # one byte less than any frame
        (b"\x53\x01\x07\x00\x04", ["length of a frame"]),
        (b"\x53\x01\x07\x00\x00\x60\x00", ["checksum"]),
        (POLL[:-1] + b"\x00", ["CRC"]),
        (b"\x53\x01\x09\x00\x04", ["CRC"]),  # a false start whose end lies in the frame
        (reckon_frame(1, 0x0C, b"\x01\x15\x60")[0], ["length of a security block"]),
        (reckon_frame(1, 0x0C, b"\x03\x15\x60")[0], ["length of a security block"]),
        (reckon_frame(1, 0x0C, b"\x02\x15\x60\x01\x02\x03")[0], ["no room for a MAC"]),
    ],
)
def test_the_frame_behind_noise_is_found(noise: bytes, told: list[str], channel: Channel) -> None:
    found = receive(noise + POLL + POLL, channel)
    assert [frame.raw for frame in frames(found)] == [POLL, POLL]
    assert reasons(found) == told


def test_noise_is_told_again_after_a_frame() -> None:
    found = FrameDecoder().feed(b"\x00" + POLL + b"\x00\x00" + POLL)
    assert reasons(found) == ["bytes outside a frame"] * 2


@pytest.mark.parametrize("seed", range(20))
def test_lost_bytes_cost_no_frame_that_arrived_whole(seed: int) -> None:
    chance = random.Random(seed)
    stream, whole = b"", []
    for n in range(60):
        raw = encode_frame(1, 0x50, chance.randbytes(n % 20), sequence=n % 4, use_crc=n % 5 > 0)
        arrived = with_loss(raw, seed * 1000 + n)
        whole += [raw] * (arrived == raw)
        stream += arrived
    decoder = FrameDecoder()
    found = decoder.feed(stream) + decoder.quiet()
    got = [frame.raw for frame in frames(found)]
    assert 10 < len(whole) < 60
    assert [raw for raw in got if raw in whole] == whole


def test_silence_frees_a_frame_from_behind_a_false_start() -> None:
    decoder = FrameDecoder()
    assert decoder.feed(b"\x53\x01\xe8\x03\x04" + POLL) == []
    assert decoder.pending
    found = decoder.quiet()
    assert [frame.raw for frame in frames(found)] == [POLL]
    assert reasons(found) == ["frame cut short by silence"]
    assert decoder.quiet() == []
    assert reasons(decoder.feed(b"\x53") + decoder.quiet()) == ["frame cut short by silence"]
    assert not decoder._held
    assert reasons(decoder.feed(b"\x00")) == ["bytes outside a frame"]  # it is told anew


def test_clear_forgets_what_began() -> None:
    decoder = FrameDecoder()
    assert reasons(decoder.feed(b"\x00" + POLL[:-1])) == ["bytes outside a frame"]
    decoder.clear()
    assert not decoder.pending
    assert decoder.feed(POLL[-1:] + POLL)[1:] == [only(POLL)]
    decoder.clear()
    assert reasons(decoder.feed(b"\x00")) == ["bytes outside a frame"]


@given(st.lists(st.binary(max_size=400) | st.just(b"\x53\x01\xa0\x05\x04" * 50), max_size=6))
def test_any_bytes_are_taken_and_few_are_kept(pieces: list[bytes]) -> None:
    decoder = FrameDecoder()
    for piece in pieces:
        decoder.feed(piece)
        assert len(decoder._held) < MAX_FRAME
    decoder.quiet()
    assert frames(decoder.feed(POLL)) == [only(POLL)]


def test_the_longest_frame_passes_and_no_longer_one() -> None:
    most = bytes(MAX_FRAME - 8)
    assert only(encode_frame(1, 0x80, most, sequence=1)).data == most
    signed: list[bytes] = []

    def sign(body: bytes) -> bytes:
        signed.append(body)
        return b"1234"

    with pytest.raises(ValueError, match="at most 1440"):
        encode_frame(1, 0x80, most + b"\x00", sequence=1)
    with pytest.raises(ValueError, match="at most 1440"):
        encode_frame(1, 0x80, most, sequence=1, block=SecurityBlock(0x17), sign=sign)
    assert signed == []
    too_long = reckon_frame(1, 4, b"\x80" + most + b"\x00")[0]
    assert reasons(FrameDecoder().feed(too_long)) == ["length of a frame"]


@pytest.mark.parametrize(
    ("address", "code", "sequence"),
    [(-1, 0x60, 0), (128, 0x60, 0), (1, 256, 0), (1, -1, 0), (1, 0x60, 4), (1, 0x60, -1)],
)
def test_numbers_without_a_frame_are_refused(address: int, code: int, sequence: int) -> None:
    with pytest.raises(ValueError, match="an OSDP frame has"):
        encode_frame(address, code, sequence=sequence)


def test_a_mac_comes_with_its_security_block_only() -> None:
    with pytest.raises(ValueError, match="MAC"):
        encode_frame(1, 0x60, sequence=1, block=SecurityBlock(0x15))
    with pytest.raises(ValueError, match="MAC"):
        encode_frame(1, 0x60, sequence=1, sign=lambda _: b"1234")
    with pytest.raises(ValueError, match="MAC"):
        encode_frame(1, 0x60, sequence=1, block=SecurityBlock(0x14), sign=lambda _: b"1234")


def test_no_repr_shows_data_or_mac() -> None:
    raw = encode_frame(
        1, 0x75, b"secret", sequence=1, block=SecurityBlock(0x17), sign=lambda _: b"mac!"
    )
    shown = repr(only(raw))
    assert "secret" not in shown
    assert "mac!" not in shown


def test_the_time_to_answer_counts_both_frames_on_the_wire() -> None:
    assert answer_within_s(8, 9600, 8) == pytest.approx(0.2 + 160 / 9600)
    assert answer_within_s(8, 115_200) == pytest.approx(0.2 + 720 / 115_200)
