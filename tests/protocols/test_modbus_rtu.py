"""Modbus RTU frames against the design page's vectors, pymodbus, and lines that misbehave."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer.rtu import FramerRTU

from drivers.protocols.modbus_rtu import (
    MAX_HELD,
    AnswerDecoder,
    Bits,
    Refused,
    Request,
    Written,
    crc,
    read_coils,
    read_inputs,
    write_coil,
)
from tests.protocols.channels import LOSSLESS, Channel

INPUTS = read_inputs(1, 0, 8)
ANSWER = bytes.fromhex("01 02 01 05 61 8B")
STATES = Bits((True, False, True, False, False, False, False, False))


def framed(text: str) -> bytes:
    body = bytes.fromhex(text)
    return body + crc(body)


@pytest.mark.parametrize(
    ("request_", "frame"),
    [
        (write_coil(1, 0, True), "01 05 00 00 FF 00 8C 3A"),
        (write_coil(1, 0, False), "01 05 00 00 00 00 CD CA"),
        (read_coils(1, 0, 8), "01 01 00 00 00 08 3D CC"),
        (read_inputs(1, 0, 8), "01 02 00 00 00 08 79 CC"),
    ],
)
def test_the_documented_frames_are_sent(request_: Request, frame: str) -> None:
    assert request_.frame == bytes.fromhex(frame)


@given(st.binary(max_size=300))
def test_the_checksum_is_the_one_that_pymodbus_computes(data: bytes) -> None:
    assert crc(data) == FramerRTU.compute_CRC(data).to_bytes(2, "big")


@pytest.mark.parametrize("channel", LOSSLESS)
@pytest.mark.parametrize(
    "noise",
    [
        b"",
        b"\x00\x00",
        b"\x13\x05\x01",
        b"\x01\x02",
        b"\x01\x02\x01",
        INPUTS.frame,  # the echo of an RS-485 adapter
        bytes.fromhex("01 01 01 05 91 8B"),  # the answer to another question
        bytes.fromhex("02 02 01 05 61 8B"),  # another board's, and spoilt
        ANSWER[:-1] + b"\x00",
        b"\xff" * 1000,
    ],
)
def test_the_answer_is_found_behind_noise(noise: bytes, channel: Channel) -> None:
    decoder = AnswerDecoder(INPUTS)
    found = [answer for piece in channel(noise + ANSWER) if (answer := decoder.feed(piece))]
    assert found == [STATES]
    assert decoder.unanswering == 0


def test_a_write_is_answered_by_its_echo_only() -> None:
    request = write_coil(1, 2, on=True)
    assert AnswerDecoder(request).feed(request.frame) == Written()
    assert AnswerDecoder(request).feed(write_coil(1, 3, on=True).frame) is None
    assert AnswerDecoder(request).feed(write_coil(1, 2, on=False).frame) is None
    assert AnswerDecoder(request).feed(write_coil(2, 2, on=True).frame) is None


@pytest.mark.parametrize(
    ("code", "reason"),
    [(2, "exception 2, illegal data address"), (99, "exception 99, unknown")],
)
def test_a_refusal_names_its_code(code: int, reason: str) -> None:
    answer = AnswerDecoder(write_coil(1, 0, on=True)).feed(framed(f"01 85 {code:02x}"))
    assert answer == Refused(code)
    assert isinstance(answer, Refused)
    assert answer.reason == reason


def test_a_spoilt_or_foreign_refusal_is_none() -> None:
    assert AnswerDecoder(write_coil(1, 0, on=True)).feed(bytes.fromhex("01 85 02 00 00")) is None
    assert AnswerDecoder(write_coil(1, 0, on=True)).feed(framed("01 81 02")) is None


def test_states_beyond_those_asked_for_are_left_out() -> None:
    assert AnswerDecoder(read_coils(1, 3, 1)).feed(framed("01 01 01 FF")) == Bits((True,))
    ten = AnswerDecoder(read_inputs(1, 0, 10)).feed(framed("01 02 02 01 02"))
    assert ten == Bits((True, *[False] * 8, True))


def test_an_endless_wrong_answer_is_not_kept() -> None:
    decoder = AnswerDecoder(INPUTS)
    for _ in range(20):
        assert decoder.feed(b"\x01\x02\x01\x05" * 200) is None
        assert decoder.unanswering == MAX_HELD
    assert decoder.feed(ANSWER) == STATES


@given(st.integers(1, 247), st.integers(0, 60_000), st.lists(st.booleans(), min_size=1))
def test_what_a_board_packs_is_unpacked(device_id: int, address: int, states: list[bool]) -> None:
    packed = sum(state << index for index, state in enumerate(states))
    size = (len(states) + 7) // 8
    body = bytes([device_id, 2, size]) + packed.to_bytes(size, "little")
    answer = AnswerDecoder(read_inputs(device_id, address, len(states))).feed(body + crc(body))
    assert answer == Bits(tuple(states))


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_any_bytes_are_taken_without_an_exception(pieces: list[bytes]) -> None:
    for request in (INPUTS, write_coil(1, 0, on=True)):
        decoder = AnswerDecoder(request)
        for piece in pieces:
            decoder.feed(piece)
        assert decoder.unanswering <= MAX_HELD


@pytest.mark.parametrize(
    ("device_id", "address", "count"),
    [(0, 0, 8), (248, 0, 8), (1, -1, 8), (1, 65_530, 8), (1, 0, 0), (1, 0, 2001)],
)
def test_a_question_that_modbus_cannot_ask_is_refused(
    device_id: int, address: int, count: int
) -> None:
    with pytest.raises(ValueError, match="Modbus"):
        read_inputs(device_id, address, count)
    with pytest.raises(ValueError, match="Modbus"):
        read_coils(device_id, address, count)
