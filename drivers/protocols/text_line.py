"""Readers that send one line of text for each reading: QR and barcode scanners, plate recognisers,
card readers. Owns the way from bytes to text; must not do I/O or wait.

A line ends with CR and/or LF, which are part of no character in either encoding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from drivers.protocols.lines import Lines
from gatewayd.domain.model import Credential
from gatewayd.domain.ports import Malformed

Encoding = Literal["utf-8", "gb18030"]
Message = Credential | Malformed

# The longest pass that a list can hold has 200 characters, of at most 4 bytes; with room for a
# prefix and a suffix. A longer line is no pass and is not kept.
MAX_LINE = 1024


class TextLineDecoder:
    """Collects one line at a time; never holds more than MAX_LINE bytes, never raises."""

    def __init__(self, read: Callable[[str], Message], encoding: Encoding = "utf-8") -> None:
        """`read` makes a credential, or Malformed, of a line's text; it must not raise."""
        self._read = read
        self._encoding = encoding
        self._lines = Lines(MAX_LINE, "line longer than a pass's")

    def feed(self, data: bytes) -> list[Message]:
        """What the bytes complete, in order. Malformed says why, without a letter of it."""
        found = (self._take(byte) for byte in data)
        return [message for message in found if message is not None]

    def quiet(self) -> list[Message]:
        """The line was silent for longer than a message has gaps: what is unfinished is over."""
        cut = self._lines.quiet()
        return [] if cut is None else [cut]

    def _take(self, byte: int) -> Message | None:
        line = self._lines.take(byte)
        if not isinstance(line, bytes):
            return line
        try:
            text = line.decode(self._encoding)
        except UnicodeDecodeError:
            return Malformed(f"line is no text in {self._encoding}: see encoding")
        return self._read(text)
