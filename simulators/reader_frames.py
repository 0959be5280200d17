"""What a reader sends for a card, a key or a text. Pure; from the wire's rules, no codec's."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass

LINE = "line"  # a scanner or plate recogniser: text, and no cards of so many bits
KINDS = ("id12", "rdm6300", "wiegand-hex", "wiegand-binary", LINE)
ENCODINGS = ("utf-8", "gb18030")
LINE_ENDS = {"cr": "\r", "lf": "\n", "crlf": "\r\n"}
MAX_TEXT = 600  # characters: more than any pass, so that too long a line can be sent as well
TAG_BITS = 40
MAX_WIEGAND_BITS = 255  # the binary form counts bits in one byte
KEYPADS = (4, 8)  # bits that a Wiegand keypad sends for a key
KEYS = "0123456789*#"
MAX_KEYS = 16  # of one order: twice the longest PIN
_STX, _ETX = b"\x02", b"\x03"


def parse_value(kind: str, bits: int, value: str) -> int:
    """The card's number. Raises ValueError, without the number, where the reader can't send it."""
    if kind == LINE:
        raise ValueError("a line reader sends text: write 'text' in place of 'bits' and 'value'")
    if kind in {"id12", "rdm6300"} and bits != TAG_BITS:
        raise ValueError(f'an {kind} reader sends {TAG_BITS} bits: write "bits": {TAG_BITS}')
    if not 1 <= bits <= MAX_WIEGAND_BITS:
        raise ValueError(f"bits must be from 1 to {MAX_WIEGAND_BITS}")
    if not value or not all(c in "0123456789abcdefABCDEF" for c in value):
        raise ValueError("'value' must be hex digits without 0x")
    number = int(value, 16)
    if number >> bits:
        raise ValueError(f"'value' has more than {bits} bits: write fewer digits or more bits")
    return number


@dataclass(frozen=True, slots=True)
class LineForm:
    """How a scanner is set to write a line."""

    encoding: str = "utf-8"
    prefix: str = ""
    suffix: str = ""
    end: str = "crlf"

    def __post_init__(self) -> None:
        """Raises ValueError for an encoding or an end that scanners have not."""
        for what, value, known in (
            ("encoding", self.encoding, ENCODINGS),
            ("line end", self.end, tuple(LINE_ENDS)),
        ):
            if value not in known:
                raise ValueError(f"no {what} {value!r}; known: {', '.join(known)}")

    def frame_of(self, text: str) -> bytes:
        """The bytes of one line. Raises ValueError, without the text, where it can't be one."""
        if not 1 <= len(text) <= MAX_TEXT or "\r" in text or "\n" in text:
            raise ValueError(f"'text' must be 1 to {MAX_TEXT} characters on one line")
        line = self.prefix + text + self.suffix + LINE_ENDS[self.end]
        try:
            return line.encode(self.encoding)
        except UnicodeEncodeError:
            raise ValueError(f"'text' has a character that {self.encoding} has not") from None


def key_bursts(kind: str, keypad: int | None, keys: str) -> list[int]:
    """Each key's bits. Raises ValueError, without the keys, where the reader can't send them."""
    if keypad is None:
        raise ValueError(f"this {kind} reader has no keypad: start it with --keypad 4 or 8")
    if not 1 <= len(keys) <= MAX_KEYS or not set(keys) <= set(KEYS):
        raise ValueError(f"'keys' must be 1 to {MAX_KEYS} of {KEYS}")
    codes = [KEYS.index(key) for key in keys]
    return codes if keypad == 4 else [(15 - code) * 16 + code for code in codes]


def frame_of(kind: str, bits: int, number: int, *, spoil_checksum: bool = False) -> bytes:
    """The bytes of one transmission. Raises ValueError for a kind without a checksum to spoil."""
    match kind:
        case "id12" | "rdm6300":
            return _ascii_tag(number, b"\r\n" if kind == "id12" else b"", spoil_checksum)
        case "wiegand-binary":
            return _wiegand_binary(bits, number, spoil_checksum)
    if spoil_checksum:
        raise ValueError(f"{kind} carries no checksum")
    return f"{bits},{number:0{-(-bits // 4)}X}\r\n".encode()


def _ascii_tag(number: int, line_end: bytes, spoil: bool) -> bytes:
    data = number.to_bytes(TAG_BITS // 8, "big")
    check = functools.reduce(operator.xor, data) ^ spoil
    return _STX + data.hex().upper().encode() + f"{check:02X}".encode() + line_end + _ETX


def _wiegand_binary(bits: int, number: int, spoil: bool) -> bytes:
    body = bytes([bits]) + number.to_bytes(-(-bits // 8), "big")
    check = functools.reduce(operator.xor, body) ^ spoil
    return _STX + body + bytes([check]) + _ETX
