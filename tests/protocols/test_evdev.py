"""Keyboards' input events: lines, shift, what is lost, any bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.protocols.evdev import MAX_LINE, KeyboardDecoder
from drivers.protocols.text_credential import TextReading
from gatewayd.domain.model import Credential, CredentialKind, card
from gatewayd.domain.ports import Malformed
from tests.protocols import typing_events as kernel
from tests.protocols.channels import LOSSLESS, Channel, decode
from tests.protocols.typing_events import event, key, line, pressed, report, typed

PASS = "YX-7f3K/a?b=C_1"
# `1`, `a`, shift and `B`, Enter, as bytes: the layout written out, not made by `struct`.
WRITTEN_OUT = bytes.fromhex(
    "40 f5 53 65 00 00 00 00  10 27 00 00 00 00 00 00  01 00  02 00  01 00 00 00"
    "40 f5 53 65 00 00 00 00  10 27 00 00 00 00 00 00  00 00  00 00  00 00 00 00"
    "40 f5 53 65 00 00 00 00  20 4e 00 00 00 00 00 00  01 00  02 00  00 00 00 00"
    "40 f5 53 65 00 00 00 00  20 4e 00 00 00 00 00 00  01 00  1e 00  01 00 00 00"
    "40 f5 53 65 00 00 00 00  30 75 00 00 00 00 00 00  01 00  2a 00  01 00 00 00"
    "40 f5 53 65 00 00 00 00  30 75 00 00 00 00 00 00  01 00  30 00  01 00 00 00"
    "40 f5 53 65 00 00 00 00  30 75 00 00 00 00 00 00  01 00  2a 00  00 00 00 00"
    "40 f5 53 65 00 00 00 00  40 9c 00 00 00 00 00 00  01 00  1c 00  01 00 00 00"
)


def qr(text: str) -> Credential:
    return Credential(CredentialKind.QR, text)


def keyboard(**reading: object) -> KeyboardDecoder:
    given_ = {"kind": "qr"} | reading
    return KeyboardDecoder(TextReading(**given_).read)  # type: ignore[arg-type]  # a test's keys


def test_events_as_a_64_bit_kernel_lays_them_out() -> None:
    assert keyboard().feed(WRITTEN_OUT) == [qr("1aB")]


@pytest.mark.parametrize("channel", LOSSLESS)
def test_each_line_is_one_pass_however_the_events_are_cut(channel: Channel) -> None:
    passes = [f"{PASS}{number}" for number in range(20)]
    stream = b"".join(line(each) for each in passes)
    assert decode(keyboard(), channel(stream)) == [qr(each) for each in passes]


@pytest.mark.parametrize("shift", [kernel.LEFT_SHIFT, kernel.RIGHT_SHIFT])
def test_every_key_types_what_is_printed_on_it(shift: int) -> None:
    for letter in kernel.TYPEABLE.replace("\t", ""):
        found = keyboard().feed(typed(letter, shift) + pressed(kernel.ENTER))
        assert found == [qr(letter)], letter


def test_the_key_pad_types_digits_whatever_num_lock_does() -> None:
    keys = b"".join(pressed(code) for code in kernel.KEYPAD.values())
    number = b"".join(pressed(code) for code in (82, 98, 55, 74, 78, 83))
    stream = pressed(kernel.NUM_LOCK) + keys + number + pressed(kernel.KEYPAD_ENTER)
    assert keyboard().feed(stream) == [qr("01234567890/*-+.")]


def test_one_shift_of_two_may_be_released() -> None:
    stream = key(kernel.LEFT_SHIFT, 1) + key(kernel.RIGHT_SHIFT, 1) + pressed(30)
    stream += key(kernel.LEFT_SHIFT, 0) + pressed(30) + key(kernel.RIGHT_SHIFT, 0) + pressed(30)
    assert keyboard().feed(stream + pressed(kernel.ENTER)) == [qr("AAa")]


def test_caps_lock_turns_letters_and_nothing_else() -> None:
    caps = pressed(kernel.CAPS_LOCK)
    assert keyboard().feed(caps + line("aB1-") + caps + line("aB1-")) == [qr("Ab1-"), qr("aB1-")]


def test_a_key_that_is_held_types_once() -> None:
    held = key(30, 1) + key(30, 2) * 20 + key(30, 0)
    assert keyboard().feed(held + pressed(kernel.ENTER)) == [qr("a")]


def test_enter_alone_is_nothing() -> None:
    assert keyboard().feed(pressed(kernel.ENTER) * 3) == []


def test_prefix_tab_and_card_settings_are_those_of_every_text() -> None:
    reader = keyboard(kind="card", digits="decimal", bits=32, prefix=";", suffix="\t")
    assert reader.feed(line(";0008844356\t")) == [card(8844356, 32)]
    assert reader.feed(line("0008844356\t")) == [Malformed("line without its prefix: see prefix")]


@pytest.mark.parametrize("code", [kernel.LEFT_CTRL, kernel.LEFT_ALT, kernel.F1, 300])
def test_a_key_that_types_no_letter_spoils_its_line_alone(code: int) -> None:
    stream = typed("12") + pressed(code) + line("34") + line(PASS)
    expected = [Malformed("line with a key that types no letter"), qr(PASS)]
    assert keyboard().feed(stream) == expected


def test_lost_events_spoil_the_line_they_were_lost_from() -> None:
    dropped = event(0, 3, 0)
    reader = keyboard()
    stream = key(kernel.LEFT_SHIFT, 1) + typed("ab") + pressed(kernel.CAPS_LOCK) + dropped
    stream += typed("zz")[: 24 * 2]  # what came with the overflow counts for nothing
    assert reader.feed(stream) == []
    lost = Malformed("keys were lost: the box was too slow for the reader")
    assert reader.feed(report() + line("cd") + line("ef")) == [lost, qr("ef")]


def test_an_enter_among_what_counts_for_nothing_ends_no_line() -> None:
    stream = typed("ab") + event(0, 3, 0) + event(1, kernel.ENTER, 1) + report()
    lost = Malformed("keys were lost: the box was too slow for the reader")
    assert keyboard().feed(stream + line("cd")) == [lost]


def test_other_events_of_the_device_are_nothing() -> None:
    stream = event(17, 1, 1) + event(2, 8, 1) + event(20, 0, 250) + report() + line(PASS)
    assert keyboard().feed(stream) == [qr(PASS)]


def test_a_flood_of_keys_holds_no_more_than_one_line() -> None:
    reader = keyboard()
    assert reader.feed(pressed(30) * 5000) == []
    assert len(reader._line) <= MAX_LINE
    assert reader.feed(pressed(kernel.ENTER) + line(PASS)) == [
        Malformed("line longer than a pass's"),
        qr(PASS),
    ]
    assert reader.feed(pressed(30) * MAX_LINE + pressed(kernel.ENTER)) == [qr("a" * MAX_LINE)]


def test_silence_ends_half_a_line_and_nothing_else() -> None:
    reader = keyboard()
    assert reader.quiet() == []
    reader.feed(typed("12"))
    assert reader.quiet() == [Malformed("message cut short by silence")]
    assert reader.quiet() == []
    reader.feed(pressed(kernel.F1))
    assert reader.quiet() == [Malformed("message cut short by silence")]
    assert reader.feed(line(PASS)) == [qr(PASS)]


def test_nothing_that_is_told_quotes_the_line() -> None:
    (found,) = keyboard(kind="card", bits=32).feed(line("SECRET77"))
    assert isinstance(found, Malformed)
    assert "SECRET" not in found.reason


@given(st.text(st.sampled_from(kernel.TYPEABLE.replace("\t", "")), min_size=1, max_size=100))
def test_whatever_is_typed_is_read_back(text: str) -> None:
    assert keyboard().feed(line(text)) == [qr(text)]


@given(st.lists(st.binary(max_size=60)))
def test_any_bytes_are_taken_without_an_exception(pieces: list[bytes]) -> None:
    reader = keyboard()
    messages = decode(reader, iter(pieces)) + reader.quiet()
    assert all(isinstance(message, Credential | Malformed) for message in messages)


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 4]), st.integers(0, 120), st.sampled_from([0, 1, 2])))
)
def test_after_any_events_and_a_silence_the_next_line_is_read(
    events: list[tuple[int, int, int]],
) -> None:
    reader = keyboard()
    reader.feed(b"".join(event(*each) for each in events) + report())
    reader.quiet()
    caps, shifts = reader._caps, sorted(reader._shifts)
    released = b"".join(key(code, 0) for code in shifts) + pressed(kernel.CAPS_LOCK) * caps
    assert reader.feed(released + line(PASS)) == [qr(PASS)]
