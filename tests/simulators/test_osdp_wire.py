"""Frames of the OSDP simulator against known values, byte by byte, and with anything at all."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.osdp_device import BOARD, READER, SimulatedOsdpDevice
from simulators.osdp_wire import (
    GAP_S,
    MAX_FRAME,
    Frame,
    FrameError,
    FrameScanner,
    Nak,
    checksum,
    crc16,
    decode,
    encode,
)
from tests.simulators.osdp_panel import KEY, check

POLL = encode(Frame(0, 1, 0x60))


def test_the_crc_has_its_published_check_value() -> None:
    assert crc16(b"123456789") == 0xE5CC  # CRC-16/SPI-FUJITSU, the same polynomial and start


@given(st.binary(max_size=80))
def test_crc_and_checksum_are_those_of_the_plain_reckoning(data: bytes) -> None:
    assert crc16(data).to_bytes(2, "little") == check(data)
    assert bytes([checksum(data)]) == check(data, crc=False)
    assert (sum(data) + checksum(data)) % 256 == 0


def test_a_poll_has_the_bytes_of_the_standard() -> None:
    body = bytes.fromhex("53 00 08 00 05 60")
    assert body + check(body) == POLL
    short = bytes.fromhex("53 05 07 00 02 60")
    assert encode(Frame(5, 2, 0x60, crc=False)) == short + check(short, crc=False)


frames = st.builds(
    Frame,
    address=st.integers(0, 255),
    sequence=st.integers(0, 3),
    code=st.integers(0, 255),
    data=st.binary(max_size=60),
    block=st.sampled_from([b"", b"\x03\x11\x01", b"\x03\x14\xff"]),
    crc=st.booleans(),
)


@given(frames)
def test_what_is_encoded_is_decoded(frame: Frame) -> None:
    assert decode(encode(frame)) == frame


@given(frames, st.integers(0, 10_000))
def test_one_flipped_bit_is_always_noticed(frame: Frame, bit: int) -> None:
    raw = bytearray(encode(frame))
    bit %= len(raw) * 8
    if bit == 34:  # this bit says which check there is: then it is read as the other one
        return
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FrameError) as caught:
        decode(bytes(raw))
    assert caught.value.nak in {Nak.CHECK, Nak.LENGTH}


@given(st.lists(frames, min_size=1, max_size=4), st.integers(0, 1000))
def test_frames_are_found_in_pieces_of_any_size(several: list[Frame], seed: int) -> None:
    stream = b"".join(b"\xff" + encode(frame) for frame in several)
    source, scanner, found, at = random.Random(seed), FrameScanner(), [], 0
    while at < len(stream):
        size = source.randint(1, 9)
        found += scanner.feed(stream[at : at + size], 0.0)
        at += size
    assert [decode(raw) for raw in found] == several
    assert scanner.skipped == 0  # marks are no rubbish


def test_after_a_bad_length_the_next_frame_is_found() -> None:
    scanner = FrameScanner()
    assert scanner.feed(bytes.fromhex("53 00 FF FF 04") + POLL, 0.0) == [POLL]
    assert scanner.feed(bytes.fromhex("53 00 03 00 04") + POLL, 0.0) == [POLL]
    assert scanner.skipped == 8  # an FF counts as a mark
    assert scanner.feed(b"\x53" + POLL, 0.0) == [POLL]


def test_a_frame_that_stops_half_way_is_forgotten_before_the_retry() -> None:
    scanner = FrameScanner()
    assert scanner.feed(POLL[:-1], 0.0) == []
    assert scanner.feed(POLL, 0.2) == [POLL]
    assert scanner.feed(POLL[:-1], 0.3) == []
    assert scanner.feed(POLL[-1:], 0.3 + GAP_S / 2) == [POLL]


@given(st.binary(max_size=400), st.integers(1, 20))
def test_rubbish_does_not_pile_up(data: bytes, times: int) -> None:
    scanner = FrameScanner()
    for rubbish in (data, b"\x53\x00\xff\x7f\x04", b"\x53\x00\xa0\x05\x04"):
        scanner.feed(rubbish * times * 20, 0.0)
        assert len(scanner._buffer) < MAX_FRAME


@given(st.binary(max_size=60), st.sampled_from([READER, BOARD]), st.integers(0, 15))
def test_no_frame_breaks_a_device(rest: bytes, model: object, control: int) -> None:
    device = SimulatedOsdpDevice(0, READER if model is READER else BOARD, key=KEY)
    size = 5 + len(rest) + (2 if control & 4 else 1)
    body = bytes([0x53, 0]) + size.to_bytes(2, "little") + bytes([control]) + rest
    for raw in FrameScanner().feed(body + check(body, crc=bool(control & 4)), 0.0):
        reply = device.handle(raw, 1.0)
        assert reply is not None
        assert decode(reply).address == 0x80


@given(st.integers(0x60, 0xA8), st.binary(max_size=40), st.sampled_from([READER, BOARD]))
def test_no_command_breaks_a_device(code: int, data: bytes, model: object) -> None:
    device = SimulatedOsdpDevice(0, READER if model is READER else BOARD)
    reply = device.handle(encode(Frame(0, 0, code, data)), 1.0)
    assert reply is not None
    assert decode(reply).sequence == 0


def test_a_frame_shows_neither_data_nor_mac() -> None:
    frame = Frame(0, 1, 0x50, b"\x12\x34", b"\x02\x18", b"\x56\x78\x9a\xbc")
    assert "x12" not in repr(frame)
    assert "x56" not in repr(frame)
