"""What a line of text is: a QR pass, a licence plate or a card's number. Must not do I/O.

Owns how settings take a line apart. A reason never quotes the line: it may be a pass.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, assert_never

from drivers.protocols import bit_order
from drivers.protocols.bit_order import Order
from gatewayd.domain import plate
from gatewayd.domain.model import Credential, CredentialKind
from gatewayd.domain.ports import Malformed

Kind = Literal["qr", "plate", "card"]
Digits = Literal["hex", "decimal"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NUMBERS: dict[Digits, tuple[re.Pattern[str], int]] = {
    "hex": (re.compile("[0-9A-Fa-f]+"), 16),
    "decimal": (re.compile("[0-9]+"), 10),
}


@dataclass(frozen=True, slots=True)
class TextReading:
    """How a reader's lines are read. `bits` and what follows are for cards only.

    `prefix` and `suffix` must stand there where they are set, and are taken off.
    """

    kind: Kind
    prefix: str = ""
    suffix: str = ""
    digits: Digits = "hex"
    bits: int = 0
    reverse: Order = "none"

    def read(self, line: str) -> Credential | Malformed:
        """The credential of a line without its end, or why there is none in it."""
        text = self._between(line)
        if isinstance(text, Malformed):
            return text
        if not text:
            return Malformed("line without anything in it")
        if _CONTROL.search(text):
            return Malformed("line with control characters")
        match self.kind:
            case "qr":  # compared as it is written: whoever made the pass chose its letters
                return Credential(CredentialKind.QR, text)
            case "plate":
                return _plate(text)
            case "card":
                return self._card(text)
            case _:
                assert_never(self.kind)

    def _between(self, line: str) -> str | Malformed:
        if not line.startswith(self.prefix):
            return Malformed("line without its prefix: see prefix")
        text = line[len(self.prefix) :]
        if not text.endswith(self.suffix):
            return Malformed("line without its suffix: see suffix")
        return text[: len(text) - len(self.suffix)]

    def _card(self, text: str) -> Credential | Malformed:
        """Hexadecimal digits are exactly as many as the bits take; a decimal may lack its zeros."""
        pattern, base = _NUMBERS[self.digits]
        if not pattern.fullmatch(text):
            return Malformed(f"line with other than {self.digits} digits: see digits")
        longest = longest_number(self.bits, self.digits)
        if len(text) > longest or (self.digits == "hex" and len(text) < longest):
            return Malformed("number of digits does not match the bits: see bits")
        number = int(text, base)
        if number >> self.bits:
            return Malformed("number does not fit the bits: see bits")
        return bit_order.identify(number, self.bits, True, self.reverse)


def longest_number(bits: int, digits: Digits) -> int:
    """How many digits the greatest number of so many bits has."""
    return (bits + 3) // 4 if digits == "hex" else len(str((1 << bits) - 1))


def _plate(text: str) -> Credential | Malformed:
    plain = plate.plain(text)
    if not plate.is_plain(plain):
        return Malformed("line that is no licence plate")
    return Credential(CredentialKind.PLATE, plain)
