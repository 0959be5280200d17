"""A stream from a line cut into frames and what is none, every byte kept and in order. No I/O.

For captures and traces, where noise matters as much as frames. The panel uses `FrameDecoder` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from drivers.protocols.osdp.commands import KEYSET_CODE
from drivers.protocols.osdp.frame import MARK, SCS_11, Frame, FrameDecoder
from gatewayd.domain.ports import Malformed

_MARKS = bytes([MARK])
_NOISE = Malformed("bytes outside a frame")


@dataclass(frozen=True, slots=True)
class Piece:
    """`raw` as it came, with the marks before a frame; `found` what it is."""

    raw: bytes = field(repr=False)
    found: Frame | Malformed


class Splitter:
    """Holds no more than its decoder does, and the marks before that."""

    def __init__(self) -> None:
        self._decoder = FrameDecoder()
        self._stream = bytearray()
        self._why = _NOISE

    @property
    def pending(self) -> bool:
        """Something has begun, and is not known yet for what it is."""
        return bool(self._stream)

    def feed(self, data: bytes) -> list[Piece]:
        """What the bytes complete, in order."""
        self._stream += data
        pieces = self._cut(self._decoder.feed(data))
        done = len(self._stream) - self._decoder.held
        noise = bytes(self._stream[:done]).rstrip(_MARKS)
        if noise:
            del self._stream[: len(noise)]
            pieces.append(Piece(noise, self._why))
        return pieces

    def quiet(self) -> list[Piece]:
        """Nothing more comes: what is left is what it is."""
        pieces = self._cut(self._decoder.quiet())
        if self._stream:
            pieces.append(Piece(bytes(self._stream), self._why))
            self._stream.clear()
        self._why = _NOISE
        return pieces

    def _cut(self, found: list[Frame | Malformed]) -> list[Piece]:
        pieces: list[Piece] = []
        for each in found:
            if isinstance(each, Malformed):
                self._why = each
                continue
            at = self._stream.index(each.raw)
            before = bytes(self._stream[:at])
            noise = before.rstrip(_MARKS)
            if noise:
                pieces.append(Piece(noise, self._why))
            pieces.append(Piece(before[len(noise) :] + each.raw, each))
            del self._stream[: at + len(each.raw)]
            self._why = _NOISE
        return pieces


class Redactor:
    """Leaves out of a capture what a key could be read from: KEYSET, and, while a session is open
    under the default key, which everybody has, whatever can't be told to be another frame."""

    def __init__(self) -> None:
        self._open_to_all: set[int] = set()  # addresses

    def passes(self, piece: Piece) -> bool:
        frame = piece.found
        if isinstance(frame, Malformed):
            return not self._open_to_all
        if frame.is_reply:
            return True
        if frame.sequence == 0:
            self._open_to_all.discard(frame.address)
        if frame.block is not None and frame.block.type == SCS_11:
            if frame.block.data == b"\x00":
                self._open_to_all.add(frame.address)
            else:
                self._open_to_all.discard(frame.address)
        return frame.code != KEYSET_CODE
