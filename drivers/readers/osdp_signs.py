"""Signs in OSDP's words: LED, BUZ and TEXT commands. Pure; must not know when they are said."""

from __future__ import annotations

from math import ceil

from drivers.protocols.osdp import commands
from drivers.protocols.osdp.commands import Blink, Color, Command, Led
from drivers.protocols.osdp.replies import BUZZER, DISPLAY, LIGHTS
from gatewayd.domain.signs import Light, Sign, Tone

BLINK_100MS = 4
_COLORS = {
    Light.OFF: Color.BLACK,
    Light.RED: Color.RED,
    Light.GREEN: Color.GREEN,
    Light.AMBER: Color.AMBER,
    Light.BLUE: Color.BLUE,
}
# Tenths of a second on and off, and how often; 0 times is until the next command (§6.11).
_TONES = {
    Tone.SHORT: (1, 0, 1),
    Tone.LONG: (10, 0, 1),
    Tone.TWICE: (1, 1, 2),
    Tone.THRICE: (1, 1, 3),
    Tone.REPEATED: (2, 8, 0),
}
_FUNCTIONS = {0x69: LIGHTS, 0x6A: BUZZER, 0x6B: DISPLAY}
_MOST_100MS = 0xFFFF
_MOST_S = 0xFF


def needs(command: Command) -> int:
    """The function of PDCAP without which a device can't carry out one of these commands."""
    return _FUNCTIONS[command.code]


def resting(sign: Sign, before: Sign | None, reader: int) -> list[Command]:
    """What makes the reader rest in `sign`; `before` None: nothing is known of how it rests."""
    said: list[Command] = []
    if sign.light is not None:
        said.append(commands.set_leds(Led(reader=reader, permanent=_shine(sign, sign.light))))
    sounds = before is None or before.tone is Tone.REPEATED
    if sign.tone is not Tone.SILENT or sounds:
        said.append(sound(sign.tone, reader))
    if sign.text or (before is not None and before.text):
        blank = "" if before is None else " " * len(before.text)
        said.append(commands.show_text(sign.text or blank, reader=reader))
    return said


def flashing(sign: Sign, for_s: float, reader: int) -> list[Command]:
    """What shows `sign` for so long; light and text go back by themselves."""
    said: list[Command] = []
    if sign.light is not None:
        tenths = min(_MOST_100MS, max(1, round(for_s * 10)))
        shine = _shine(sign, sign.light)
        said.append(commands.set_leds(Led(reader=reader, temporary=shine, temporary_100ms=tenths)))
    if sign.tone is not Tone.SILENT:
        said.append(sound(sign.tone, reader))
    if sign.text:
        seconds = min(_MOST_S, ceil(for_s))
        said.append(commands.show_text(sign.text, reader=reader, temporary_s=seconds))
    return said


def sound(tone: Tone, reader: int) -> Command:
    """The buzzer; SILENT stops it."""
    if tone is Tone.SILENT:
        return commands.sound_buzzer(reader, commands.Tone.OFF)
    on, off, count = _TONES[tone]
    return commands.sound_buzzer(reader, commands.Tone.DEFAULT, on, off, count)


def _shine(sign: Sign, light: Light) -> Blink:
    color = _COLORS[light]
    if sign.blinking:
        return Blink(color, Color.BLACK, BLINK_100MS, BLINK_100MS)
    return Blink(color, color, 1, 0)
