"""Streams cut into pieces, captures written and read, and what a capture leaves out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.protocols.osdp.capture import (
    MAX_DATA,
    MAX_LINE,
    CaptureError,
    Direction,
    Record,
    decode_records,
    encode_record,
    pieces_of,
)
from drivers.protocols.osdp.commands import CHLNG_CODE, KEYSET_CODE, POLL
from drivers.protocols.osdp.frame import SCS_11, SCS_17, Frame, SecurityBlock, encode_frame
from drivers.protocols.osdp.pieces import Piece, Redactor, Splitter
from gatewayd.domain.ports import Malformed

POLLS = [encode_frame(address, POLL.code, sequence=1) for address in (0, 0x53, 7)]
SPOILT = POLLS[0][:-1] + bytes([POLLS[0][-1] ^ 1])
# As in the format's own description: marks, spaces in front, times as texts.
EXAMPLE = (
    '{ "timeSec" : "1580342115", "timeNano" : "984691851", "io" : "trace", '
    '"data" : " ff ff 53 80 08 00 01 4b 01 d8", "osdpTraceVersion":"1", "osdpSource":"x 0.91-5" }'
)


def cut(data: bytes, size: int) -> list[Piece]:
    splitter = Splitter()
    pieces = [
        piece for at in range(0, len(data), size) for piece in splitter.feed(data[at : at + size])
    ]
    return pieces + splitter.quiet()


def what(piece: Piece) -> str:
    return piece.found.reason if isinstance(piece.found, Malformed) else "frame"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_frames_keep_their_marks_and_noise_its_place(size: int) -> None:
    data = b"\xff\xff" + POLLS[0] + b"\x00\x01" + b"\xff" + POLLS[1] + SPOILT + POLLS[2] + b"\xff"
    pieces = cut(data, size)
    assert b"".join(piece.raw for piece in pieces) == data
    frames = [piece.raw for piece in pieces if isinstance(piece.found, Frame)]
    assert frames == [b"\xff\xff" + POLLS[0], b"\xff" + POLLS[1], POLLS[2]]
    spoilt = [what(p) for p in pieces if p.raw[:1] == b"\x53" and what(p) != "frame"]
    assert spoilt[:1] == ["CRC"]


def test_a_frame_inside_what_looked_like_a_longer_one_is_found_at_its_end() -> None:
    data = b"\x53\x00\x40\x00\x04" + POLLS[0]
    assert [what(piece) for piece in cut(data, 1000)] == ["frame cut short by silence", "frame"]
    splitter = Splitter()
    assert splitter.feed(data) == []
    assert splitter.pending


@given(st.lists(st.one_of(st.binary(max_size=20), st.sampled_from(POLLS))), st.integers(1, 30))
def test_no_byte_is_lost_or_moved(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)
    assert b"".join(piece.raw for piece in cut(data, size)) == data


# -------------------------------------------------------------------------------- captures


@given(st.integers(0, 2**62), st.sampled_from(Direction), st.binary(max_size=300))
def test_a_record_comes_back_as_it_was_written(
    time_ns: int, direction: Direction, data: bytes
) -> None:
    record = Record(time_ns, direction, data)
    line = encode_record(record)
    assert list(decode_records([line, "\n"])) == [record]
    members = json.loads(line)
    assert all(isinstance(value, str) for value in members.values())
    assert len(members["timeNano"]) == 9


def test_other_tools_captures_are_read() -> None:
    numbers = EXAMPLE.replace('"1580342115"', "1580342115").replace("trace", "Input")
    hyphens = EXAMPLE.replace("ff ff 53 80 08 00 01 4b 01 d8", "FF-FF-53-80-08-00-01-4B-01-D8")
    records = list(decode_records([EXAMPLE, numbers, hyphens]))
    assert records[0].time_ns == 1_580_342_115_984_691_851
    assert {record.data.hex() for record in records} == {"ffff53800800014b01d8"}
    assert [record.direction for record in records] == ["trace", "input", "trace"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2 is no JSON"),
        ("[]", "line 2 is no JSON object"),
        ("{}", "line 2 is no osdpcap record: no 'timeSec'"),
        (EXAMPLE.replace("trace", "both"), "'both' is not a valid Direction"),
        (EXAMPLE.replace("4b", "4"), "line 2 is no osdpcap record"),
        (EXAMPLE.replace("1580342115", "soon"), "line 2 is no osdpcap record"),
        (EXAMPLE.replace('Version":"1"', 'Version":"2"'), "only version 1"),
        (EXAMPLE.replace("984691851", "1984691851"), "line 2: a time or a length"),
        (EXAMPLE.replace("1580342115", "-1"), "line 2: a time or a length"),
        (EXAMPLE.replace("ff ff", "ff " * (MAX_DATA + 1)), "line 2: a time or a length"),
        (" " * (MAX_LINE + 1), "line 2 is longer"),
    ],
)
def test_a_line_that_is_no_record_is_named(line: str, says: str) -> None:
    records = decode_records([EXAMPLE, line])
    next(records)
    with pytest.raises(CaptureError, match=says):
        next(records)


def test_a_new_command_ends_an_answer_that_has_begun() -> None:
    sent, half = POLLS[0], encode_frame(0, 0x40, sequence=1, is_reply=True)[:-2]
    records = [
        Record(1, Direction.OUTPUT, sent),
        Record(2, Direction.INPUT, half),
        Record(3, Direction.OUTPUT, sent),
        Record(4, Direction.INPUT, half),
    ]
    told = [(record.time_ns, what(piece)) for record, piece in pieces_of(records)]
    assert told[0] == (1, "frame")
    assert [time for time, _ in told] == [1, 2, 3, 4]
    assert told[1][1] == "frame cut short by silence"


# --------------------------------------------------------------------------- what is left out


def challenge(address: int, key: bytes) -> bytes:
    block = SecurityBlock(SCS_11, key)
    return encode_frame(address, CHLNG_CODE, bytes(8), sequence=2, block=block)


def keyset(address: int) -> bytes:
    block = SecurityBlock(SCS_17)
    return encode_frame(
        address, KEYSET_CODE, bytes(32), sequence=3, block=block, sign=lambda _: bytes(4)
    )


def passed(*frames: bytes) -> list[bool]:
    redactor, splitter = Redactor(), Splitter()
    pieces = [piece for frame in frames for piece in (*splitter.feed(frame), *splitter.quiet())]
    return [redactor.passes(piece) for piece in pieces]


def test_a_key_is_never_captured() -> None:
    assert passed(challenge(0, b"\x01"), keyset(0)) == [True, False]
    assert passed(challenge(0, b"\x00"), keyset(0)) == [True, False]


def test_under_the_default_key_nothing_unclear_is_captured_either() -> None:
    half = keyset(0)[:20]
    begin = encode_frame(0, 0x61, b"\x00", sequence=0)
    answer = encode_frame(0, 0x40, sequence=2, is_reply=True)
    assert passed(half) == [True]
    assert passed(challenge(0, b"\x00"), answer, half) == [True, True, False]
    assert passed(challenge(0, b"\x00"), begin, half) == [True, True, True]
    assert passed(challenge(0, b"\x00"), challenge(0, b"\x01"), half) == [True, True, True]
