"""Scanners and card readers that type like a keyboard: Linux input events to lines of text.

Owns the layout of an event and what each key types; must not do I/O or wait.

An event is `struct input_event` of a 64-bit kernel (linux/input.h), 24 bytes: seconds and
microseconds of 8 bytes each, type and code of 2, a value of 4. Keys type as on a US keyboard, which
is what scanners take a host for unless they are set otherwise; Enter ends a line.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from gatewayd.domain.model import Credential
from gatewayd.domain.ports import Malformed

EVENT = struct.Struct("=qqHHi")
EV_SYN, EV_KEY = 0, 1
SYN_REPORT, SYN_DROPPED = 0, 3
RELEASED, PRESSED = 0, 1  # and 2, which the kernel repeats while a key is held: it types nothing
SHIFTS = frozenset({42, 54})
CAPS_LOCK = 58
NUM_LOCK = 69  # scanners switch it for their own use; the key pad's digits are digits anyway
ENTERS = frozenset({28, 96})
MAX_LINE = 1024  # characters; a longer line is no pass and is not kept

# First code of a row of keys, what it types, and what it types with shift.
_ROWS = (
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (15, "\tqwertyuiop[]", "\tQWERTYUIOP{}"),
    (30, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (55, "*", "*"),
    (57, " ", " "),
    (71, "789-456+1230.", "789-456+1230."),
    (98, "/", "/"),
)
KEYS = {
    first + at: (plain, shifted)
    for first, row, with_shift in _ROWS
    for at, (plain, shifted) in enumerate(zip(row, with_shift, strict=True))
}

Message = Credential | Malformed


class KeyboardDecoder:
    """Collects one line at a time; never holds more than MAX_LINE characters, never raises."""

    def __init__(self, read: Callable[[str], Message]) -> None:
        """`read` makes a credential, or Malformed, of a line's text; it must not raise."""
        self._read = read
        self._held = bytearray()  # of an event that a read cut in two
        self._line: list[str] = []
        self._spoilt: Malformed | None = None  # told when the line ends
        self._shifts: set[int] = set()
        self._caps = False
        self._dropping = False  # the kernel's buffer overflowed: nothing counts until it says so

    def feed(self, data: bytes) -> list[Message]:
        """What the events complete, in order. Malformed says why, without a letter of it."""
        self._held += data
        found = []
        whole = len(self._held) - len(self._held) % EVENT.size
        for _, _, kind, code, value in EVENT.iter_unpack(bytes(self._held[:whole])):
            message = self._take(kind, code, value)
            if message is not None:
                found.append(message)
        del self._held[:whole]
        return found

    def quiet(self) -> list[Message]:
        """No key was pressed for longer than a line has gaps: what is unfinished is over."""
        unfinished = bool(self._line) or self._spoilt is not None
        self._clear()
        return [Malformed("message cut short by silence")] if unfinished else []

    def _take(self, kind: int, code: int, value: int) -> Message | None:
        if kind == EV_SYN:
            self._synchronised(code)
        elif kind == EV_KEY and not self._dropping:
            return self._key(code, value)
        return None

    def _synchronised(self, code: int) -> None:
        """Documentation/input/event-codes.rst: after SYN_DROPPED nothing counts up to the next
        SYN_REPORT, and which keys are down must be found out anew."""
        if code == SYN_DROPPED:
            self._dropping = True
            self._shifts.clear()
            self._caps = False
            self._spoil("keys were lost: the box was too slow for the reader")
        elif code == SYN_REPORT:
            self._dropping = False

    def _key(self, code: int, value: int) -> Message | None:
        if code in SHIFTS:
            (self._shifts.discard if value == RELEASED else self._shifts.add)(code)
        elif value == PRESSED:
            return self._pressed(code)
        return None

    def _pressed(self, code: int) -> Message | None:
        if code in ENTERS:
            return self._ended()
        if code == CAPS_LOCK:
            self._caps = not self._caps
        elif code in KEYS:
            self._type(*KEYS[code])
        elif code != NUM_LOCK:
            self._spoil("line with a key that types no letter")
        return None

    def _type(self, plain: str, shifted: str) -> None:
        if len(self._line) == MAX_LINE:
            self._spoil("line longer than a pass's")
        if self._spoilt is None:
            shift = bool(self._shifts) != (self._caps and plain.isalpha())
            self._line.append(shifted if shift else plain)

    def _spoil(self, reason: str) -> None:
        """The first reason is the one that is told."""
        self._line.clear()
        self._spoilt = self._spoilt or Malformed(reason)

    def _ended(self) -> Message | None:
        line, spoilt = "".join(self._line), self._spoilt
        self._clear()
        if spoilt is not None:
            return spoilt
        return self._read(line) if line else None

    def _clear(self) -> None:
        self._line.clear()
        self._spoilt = None
