"""Lines of bytes, ended by CR and/or LF. Owns their bounds; must not know what stands in them.

An empty line is none: so CR LF ends one line, and a reader may send an end before as well.
"""

from __future__ import annotations

from gatewayd.domain.ports import Malformed

_ENDS = b"\r\n"
_CUT_SHORT = Malformed("message cut short by silence")


class Lines:
    """Collects one line at a time; never holds more than `longest` bytes, never raises."""

    def __init__(self, longest: int, too_long: str) -> None:
        """`too_long` is the reason that a line past `longest` bytes is Malformed for."""
        self._longest = longest
        self._too_long = Malformed(too_long)
        self._line = bytearray()
        self._skipping = False  # a line that grew too long was told; its rest is dropped

    def take(self, byte: int) -> bytes | Malformed | None:
        """The line that this byte ends, without its end; never an empty one."""
        if byte in _ENDS:
            line = bytes(self._line)
            self._line.clear()
            self._skipping = False
            return line or None
        if self._skipping:
            return None
        if len(self._line) == self._longest:
            self._line.clear()
            self._skipping = True
            return self._too_long
        self._line.append(byte)
        return None

    def quiet(self) -> Malformed | None:
        """The line was silent for longer than a message has gaps: what is unfinished is over."""
        unfinished = bool(self._line)
        self._line.clear()
        self._skipping = False
        return _CUT_SHORT if unfinished else None
