"""UHPPOTE packets against vectors, the library `uhppoted` as a foreign reader, and anything."""

from __future__ import annotations

from datetime import date, datetime
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uhppoted import decode, encode

from drivers.protocols import uhppote
from drivers.protocols.uhppote import Card, Control, Function, Packet, Question
from gatewayd.domain.ports import Malformed

SERIAL = 405419896
SERIAL_BYTES = "78 37 2a 18"
EVENT = bytes.fromhex(
    "17 20 00 00" + SERIAL_BYTES + "4e 00 00 00  01 00 03 02  22 9c 99 00"
    "20 26 11 24 19 05 58  05  00 00 01 00  00 01 00 00  00 19 06 00"
    "27 00 00 00  00 00 00 00  00 04 00 26 11 24  00 00 00 00 00 00 00 00 00 00"
)


def packet(data: bytes) -> Packet:
    found = uhppote.read(data)
    assert isinstance(found, Packet)
    return found


# ------------------------------------------------------------------------------- what is sent


@pytest.mark.parametrize(
    ("question", "begins"),
    [
        (uhppote.status(SERIAL), f"17 20 00 00 {SERIAL_BYTES} 00"),
        (uhppote.open_door(SERIAL, 3), f"17 40 00 00 {SERIAL_BYTES} 03 00"),
        (
            uhppote.set_time(SERIAL, datetime(2026, 11, 24, 19, 5, 58)),  # noqa: DTZ001
            f"17 30 00 00 {SERIAL_BYTES} 20 26 11 24 19 05 58 00",
        ),
        (uhppote.pc_control(SERIAL, on=True), f"17 a0 00 00 {SERIAL_BYTES} 55 aa aa 55 01 00"),
    ],
)
def test_questions_are_sixty_four_bytes_that_begin_as_documented(
    question: Question, begins: str
) -> None:
    assert len(question.packet) == 64
    assert question.packet.startswith(bytes.fromhex(begins))


days = st.dates(date(2000, 1, 1), date(2099, 12, 31))
serials = st.integers(1, 0xFFFFFFFF)
numbers = st.integers(0, 0xFFFFFFFF)


@given(serials, numbers, days, days, st.tuples(*[st.booleans()] * 4))
def test_cards_are_put_as_the_library_puts_them(
    serial: int, number: int, begins: date, ends: date, doors: tuple[bool, ...]
) -> None:
    ours = uhppote.put_card(serial, Card(number, begins, ends, doors)).packet
    assert ours == encode.put_card_request(serial, number, begins, ends, *map(int, doors), 0)


@given(serials, numbers, st.integers(1, 4), st.integers(1, 255), st.booleans())
def test_every_other_question_is_what_the_library_asks(
    serial: int, number: int, door: int, open_s: int, on: bool
) -> None:
    pairs = [
        (uhppote.status(serial), encode.get_status_request(serial)),
        (uhppote.open_door(serial, door), encode.open_door_request(serial, door)),
        (
            uhppote.set_door(serial, door, Control.NORMALLY_OPEN, open_s),
            encode.set_door_control_request(serial, door, 1, open_s),
        ),
        (
            uhppote.set_listener(serial, "192.0.2.7", 60001),
            encode.set_listener_request(serial, IPv4Address("192.0.2.7"), 60001),
        ),
        (uhppote.record_all(serial, on), encode.record_special_events_request(serial, on)),
        (uhppote.pc_control(serial, on), encode.set_pc_control_request(serial, on)),
        (uhppote.get_event(serial, number), encode.get_event_request(serial, number)),
        (uhppote.get_event_index(serial), encode.get_event_index_request(serial)),
        (uhppote.set_event_index(serial, number), encode.set_event_index_request(serial, number)),
        (uhppote.count_cards(serial), encode.get_cards_request(serial)),
        (uhppote.get_card(serial, number), encode.get_card_request(serial, number)),
        (uhppote.get_card_at(serial, number), encode.get_card_by_index_request(serial, number)),
        (uhppote.delete_card(serial, number), encode.delete_card_request(serial, number)),
    ]
    for ours, theirs in pairs:
        assert ours.packet == bytes(theirs)


@given(serials, st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)))  # noqa: DTZ001
def test_the_time_is_set_as_the_library_sets_it(serial: int, now: datetime) -> None:
    assert uhppote.set_time(serial, now).packet == encode.set_time_request(serial, now)


@pytest.mark.parametrize("door", [0, 5])
def test_a_door_that_no_board_has_is_refused(door: int) -> None:
    with pytest.raises(ValueError, match="doors 1 to 4"):
        uhppote.open_door(SERIAL, door)


@pytest.mark.parametrize("open_s", [0, 256])
def test_a_time_that_no_board_can_keep_is_refused(open_s: int) -> None:
    with pytest.raises(ValueError, match="1 to 255 s"):
        uhppote.set_door(SERIAL, 1, Control.CONTROLLED, open_s)


# ------------------------------------------------------------------------------- what comes


@pytest.mark.parametrize("som", ["17", "19"])
def test_an_event_is_read_by_its_documented_places(som: str) -> None:
    status = uhppote.read_status(packet(bytes.fromhex(som) + EVENT[1:]))
    event = status.event
    assert event is not None
    assert (event.index, event.type, event.granted, event.door) == (78, 1, False, 3)
    assert (event.direction, event.card, event.reason) == (2, 10066978, 5)
    assert event.at == datetime(2026, 11, 24, 19, 5, 58)  # noqa: DTZ001  # the board's own
    assert status.open == (False, False, True, False)
    assert status.buttons == (False, True, False, False)
    assert status.unlocked == (False, False, True, False)
    assert status.now == datetime(2026, 11, 24, 19, 6, 0)  # noqa: DTZ001
    assert "10066978" not in repr(event)


@given(st.binary(min_size=56, max_size=56))
def test_a_status_is_read_as_the_library_reads_it(body: bytes) -> None:
    data = bytes([0x17, 0x20, 0, 0]) + SERIAL.to_bytes(4, "little") + body
    ours, theirs = uhppote.read_status(packet(data)), decode.event(data)
    event = uhppote.read_event(packet(data))
    assert (event.index, event.type, event.door) == (
        theirs.event_index,
        theirs.event_type,
        theirs.event_door,
    )
    assert (event.card, event.reason) == (theirs.event_card, theirs.event_reason)
    assert event.at == theirs.event_timestamp
    assert ours.open == (
        *(theirs.door_1_open, theirs.door_2_open, theirs.door_3_open, theirs.door_4_open),
    )
    assert ours.buttons == (
        *(theirs.door_1_button, theirs.door_2_button),
        *(theirs.door_3_button, theirs.door_4_button),
    )


def test_a_status_without_an_event_has_none() -> None:
    assert uhppote.read_status(packet(EVENT[:8] + bytes(4) + EVENT[12:])).event is None


def test_a_card_is_read_and_a_missing_or_deleted_one_is_none() -> None:
    head = bytes.fromhex(f"17 5a 00 00 {SERIAL_BYTES}")
    rest = bytes.fromhex("20 26 01 01  20 26 12 31  01 00 1d 00").ljust(52, b"\0")
    found = uhppote.read_card(packet(head + bytes.fromhex("22 9c 99 00") + rest))
    assert found == Card(10066978, date(2026, 1, 1), date(2026, 12, 31), (True, False, True, False))
    for number in ("00 00 00 00", "ff ff ff ff"):
        assert uhppote.read_card(packet(head + bytes.fromhex(number) + rest)) is None
    assert uhppote.read_card(packet(head + bytes.fromhex("01 00 00 00") + bytes(52))) is None


def test_an_answer_is_of_the_same_function_board_and_door() -> None:
    question = uhppote.set_door(SERIAL, 2, Control.CONTROLLED, 5)
    right = bytes.fromhex(f"17 80 00 00 {SERIAL_BYTES} 02 03 05").ljust(64, b"\0")
    assert uhppote.answers(packet(right), question)
    for at in (1, 4, 8, 9, 10):
        wrong = bytearray(right)
        wrong[at] ^= 0x40
        assert not uhppote.answers(packet(bytes(wrong)), question)


def test_yes_no_times_and_numbers_are_read() -> None:
    yes = packet(bytes.fromhex(f"17 40 00 00 {SERIAL_BYTES} 01").ljust(64, b"\0"))
    no = packet(bytes.fromhex(f"17 40 00 00 {SERIAL_BYTES} 00").ljust(64, b"\0"))
    assert (yes.done, no.done) == (True, False)
    assert uhppote.number(yes) == 1
    set_to = packet(bytes.fromhex(f"17 30 00 00 {SERIAL_BYTES} 20261124190558").ljust(64, b"\0"))
    assert uhppote.read_time(set_to) == datetime(2026, 11, 24, 19, 5, 58)  # noqa: DTZ001
    assert uhppote.read_time(no) is None


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "0 bytes instead of 64"),
        (EVENT[:-1], "63 bytes"),
        (EVENT + b"\0", "65 bytes"),
        (b"\x18" + EVENT[1:], "begins with 18"),
        (b"\x19\x40" + EVENT[2:], "begins with 19"),
    ],
)
def test_what_is_no_packet_is_malformed(data: bytes, why: str) -> None:
    found = uhppote.read(data)
    assert isinstance(found, Malformed)
    assert why in found.reason


@given(st.binary(max_size=80), st.sampled_from(Function))
def test_any_bytes_are_taken_without_an_exception(data: bytes, function: Function) -> None:
    for som in (b"", bytes([0x17, function, 0, 0])):
        found = uhppote.read(som + data.ljust(64 - len(som), b"\0"))
        if isinstance(found, Packet):
            uhppote.read_status(found)
            uhppote.read_card(found)
            uhppote.read_time(found)
            uhppote.answers(found, uhppote.status(SERIAL))
