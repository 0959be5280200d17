"""What the kernel tells of a USB keyboard's keys, from linux/input-event-codes.h."""

from __future__ import annotations

import struct

ENTER, KEYPAD_ENTER, LEFT_SHIFT, RIGHT_SHIFT, CAPS_LOCK, NUM_LOCK = 28, 96, 42, 54, 58, 69
LEFT_CTRL, LEFT_ALT, F1 = 29, 56, 59
# KEY_A … KEY_Z, KEY_0 … KEY_9
LETTERS = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        [
            *(30, 48, 46, 32, 18, 33, 34, 35, 23, 36, 37, 38, 50),
            *(49, 24, 25, 16, 19, 31, 20, 22, 47, 17, 45, 21, 44),
        ],
        strict=True,
    )
)
DIGITS = dict(zip("0123456789", [11, 2, 3, 4, 5, 6, 7, 8, 9, 10], strict=True))
KEYPAD = dict(zip("0123456789", [82, 79, 80, 81, 75, 76, 77, 71, 72, 73], strict=True))
SIGNS = {
    "-": 12, "=": 13, "\t": 15, "[": 26, "]": 27, ";": 39, "'": 40, "`": 41, "\\": 43,
    ",": 51, ".": 52, "/": 53, " ": 57,
}  # fmt: skip
SHIFTED = {
    "!": 2, "@": 3, "#": 4, "$": 5, "%": 6, "^": 7, "&": 8, "*": 9, "(": 10, ")": 11,
    "_": 12, "+": 13, "{": 26, "}": 27, ":": 39, '"': 40, "~": 41, "|": 43, "<": 51, ">": 52,
    "?": 53,
}  # fmt: skip
PLAIN = LETTERS | DIGITS | SIGNS
TYPEABLE = "".join(PLAIN) + "".join(SHIFTED) + "".join(LETTERS).upper()

_clock_us = 1_700_000_000_000_000


def event(kind: int, code: int, value: int) -> bytes:
    return struct.pack("=qqHHi", _clock_us // 10**6, _clock_us % 10**6, kind, code, value)


def report() -> bytes:
    return event(0, 0, 0)


def key(code: int, value: int) -> bytes:
    """As a HID keyboard's key comes: its scan code, the key, and the end of the report."""
    return event(4, 4, 0x70000 + code) + event(1, code, value) + report()


def pressed(code: int) -> bytes:
    return key(code, 1) + key(code, 0)


def typed(text: str, shift: int = LEFT_SHIFT) -> bytes:
    """The text, each key pressed and released, shift held around each letter that needs it."""
    events = b""
    for letter in text:
        if letter in PLAIN:
            events += pressed(PLAIN[letter])
        else:
            code = SHIFTED.get(letter) or LETTERS[letter.lower()]
            events += key(shift, 1) + pressed(code) + key(shift, 0)
    return events


def line(text: str) -> bytes:
    return typed(text) + pressed(ENTER)
