"""Each command of OSDP 2.2 as its bytes, laid out by hand from the standard's tables."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.protocols.osdp import commands
from drivers.protocols.osdp.commands import (
    Blink,
    Color,
    Command,
    Led,
    Output,
    OutputControl,
    Tone,
)

RED_BLINK = Blink(Color.RED, Color.BLACK, on_100ms=2, off_100ms=3)
GREEN = Blink(Color.GREEN)


@pytest.mark.parametrize(
    ("command", "code", "data"),
    [
        (commands.POLL, 0x60, ""),
        (commands.IDENTIFY, 0x61, "00"),
        (commands.CAPABILITIES, 0x62, "00"),
        (commands.LOCAL_STATUS, 0x64, ""),
        (commands.INPUT_STATUS, 0x65, ""),
        (commands.OUTPUT_STATUS, 0x66, ""),
        (commands.READER_STATUS, 0x67, ""),
        (commands.control_outputs(OutputControl(1, Output.TIMED_ON, 0x012C)), 0x68, "01 05 2C01"),
        (
            commands.control_outputs(OutputControl(0, Output.OFF), OutputControl(1, Output.ON)),
            0x68,
            "00 01 0000 01 02 0000",
        ),
        (
            commands.set_leds(Led(0, 1, temporary=RED_BLINK, temporary_100ms=0x0132)),
            0x69,
            "00 01 02 02 03 01 00 3201 00 00 00 00 00",
        ),
        (
            commands.set_leds(Led(1, 0, permanent=GREEN)),
            0x69,
            "01 00 00 00 00 00 00 0000 01 01 00 02 00",
        ),
        (
            commands.set_leds(Led(cancel_temporary=True), Led(led=1, permanent=RED_BLINK)),
            0x69,
            "00 00 01 00 00 00 00 0000 00 00 00 00 00 00 01 00 00 00 00 00 0000 01 02 03 01 00",
        ),
        (commands.sound_buzzer(0, Tone.DEFAULT, 2, 1, 3), 0x6A, "00 02 02 01 03"),
        (commands.show_text("Hi"), 0x6B, "00 01 00 01 01 02 4869"),
        (
            commands.show_text("OK", reader=1, row=2, column=3, temporary_s=5, wrap=True),
            0x6B,
            "01 04 05 02 03 02 4F4B",
        ),
        (commands.show_text("", wrap=True), 0x6B, "00 02 00 01 01 00"),
        (commands.show_text("", temporary_s=1), 0x6B, "00 03 01 01 01 00"),
        (commands.set_communication(5, 38_400), 0x6E, "05 00960000"),
        (commands.read_biometric(0, 7, 2, 4), 0x73, "00 07 02 04"),
        (commands.match_biometric(0, 7, 2, 4, b"\xaa\xbb"), 0x74, "00 07 02 04 0200 AABB"),
        (commands.set_key(bytes(range(16))), 0x75, "01 10 000102030405060708090A0B0C0D0E0F"),
        (commands.challenge(bytes(range(8))), 0x76, "0001020304050607"),
        (commands.answer_challenge(bytes(range(16))), 0x77, "000102030405060708090A0B0C0D0E0F"),
        (commands.announce_receive_size(1440), 0x7B, "A005"),
        (
            commands.transfer_file(1, 10, 2, b"\x09\x08\x07"),
            0x7C,
            "01 0A000000 02000000 0300 090807",
        ),
        (commands.manufacturer(b"\xa1\xb2\xc3", b"\x01"), 0x80, "A1B2C3 01"),
        (commands.extended_write(1, 2, b"\x03"), 0xA1, "01 02 03"),
        (commands.ABORT, 0xA2, ""),
        (commands.get_piv_data(b"\x5f\xc1\x02", 1, 0x0119), 0xA3, "5FC102 01 1901"),
        (commands.authenticate_general(9, 7, b"\x01\x02"), 0xA4, "0900 0700 0200 0102"),
        (commands.authenticate_challenge(2, 0, b"\x01\x02"), 0xA5, "0200 0000 0200 0102"),
        (commands.keep_active(1000), 0xA7, "E803"),
    ],
)
def test_a_command_is_its_bytes(command: Command, code: int, data: str) -> None:
    assert command == Command(code, bytes.fromhex(data))


@pytest.mark.parametrize(
    "build",
    [
        commands.control_outputs,
        commands.set_leds,
        lambda: commands.control_outputs(OutputControl(256, Output.ON)),
        lambda: commands.control_outputs(OutputControl(0, Output.ON, 0x10000)),
        lambda: commands.set_leds(Led(temporary=GREEN, cancel_temporary=True)),
        lambda: commands.set_leds(Led(reader=-1)),
        lambda: commands.set_leds(Led(permanent=Blink(Color.RED, on_100ms=256))),
        lambda: commands.sound_buzzer(0, Tone.DEFAULT, count=256),
        lambda: commands.show_text("门"),
        lambda: commands.show_text("two\nlines"),
        lambda: commands.show_text("x" * 256),
        lambda: commands.set_communication(127, 9600),
        lambda: commands.set_communication(-1, 9600),
        lambda: commands.set_communication(1, 1 << 32),
        lambda: commands.set_key(bytes(15)),
        lambda: commands.challenge(bytes(7)),
        lambda: commands.answer_challenge(bytes(17)),
        lambda: commands.transfer_file(1, 2, 1, b"12"),
        lambda: commands.manufacturer(b"12", b""),
        lambda: commands.get_piv_data(b"1234", 0),
        lambda: commands.authenticate_general(2, 1, b"12"),
        lambda: commands.authenticate_challenge(0x10000, 0, b"12"),
        lambda: commands.keep_active(-1),
    ],
)
def test_what_has_no_place_in_a_command_is_refused(build: Callable[[], Command]) -> None:
    with pytest.raises(ValueError, match=r"OSDP|PIV|fragment|temporary"):
        build()


def test_a_key_is_in_no_repr() -> None:
    assert repr(commands.set_key(b"0123456789abcdef")) == "Command(code=117)"
