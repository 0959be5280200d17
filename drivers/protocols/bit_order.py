"""Cards whose bits come in another order than they have. Owns the orders; must not do I/O.

Every reader driver with a `reverse` setting reads its cards through here, so that a card has the
same bits whichever reader of a site it was held to.
"""

from __future__ import annotations

from typing import Literal

from gatewayd.domain import wiegand
from gatewayd.domain.model import Credential, card
from gatewayd.domain.ports import Malformed

Order = Literal["none", "bits", "bytes", "nibbles", "bits-in-bytes", "nibbles-in-bytes"]

# How many bits a card must have a whole number of, for that order.
UNITS: dict[Order, int] = {
    "none": 1,
    "bits": 1,
    "bytes": 8,
    "nibbles": 4,
    "bits-in-bytes": 8,
    "nibbles-in-bytes": 8,
}
DESCRIPTION = (
    "What the reader turns round: all 'bits', the order of the 'bytes' or of the 'nibbles' "
    "(hexadecimal digits), or the bits or nibbles in each byte, 'bits-in-bytes' and "
    "'nibbles-in-bytes'."
)

# Between two parity bits: what is turned round in there has parities of its own.
_FRAMED = ("H10301", "H10306")


def reordered(bits: int, bit_count: int, order: Order) -> int:
    """The bits put right. Raises ValueError where the order does not suit their number."""
    if bit_count % UNITS[order]:
        raise ValueError(f"{bit_count} bits are no whole number of {UNITS[order]}")
    match order:
        case "none":
            return bits
        case "bits":
            return _turned(bits, bit_count, 1)
        case "bytes":
            return _turned(bits, bit_count, 8)
        case "nibbles":
            return _turned(bits, bit_count, 4)
        case "bits-in-bytes":  # all bits turned, and the bytes back to their places
            return _turned(_turned(bits, bit_count, 1), bit_count, 8)
        case "nibbles-in-bytes":
            return _turned(_turned(bits, bit_count, 4), bit_count, 8)


def suits(bit_count: int, order: Order) -> bool:
    """Whether a card of so many bits can come in that order."""
    known = [each for each in wiegand.FORMATS if each.bit_count == bit_count]
    if UNITS[order] == 1 or any(each.name in _FRAMED for each in known):
        return True
    return not known and bit_count % UNITS[order] == 0


def identify(
    bits: int, bit_count: int, accept_unknown_lengths: bool, order: Order = "none"
) -> Credential | Malformed:
    """As `wiegand.identify`, of a reader that sends its cards in that order.

    Parity is checked where the reader makes it: with 'bits' over the card turned back; else over
    what was sent, and a card of 26 or 34 bits is given the parity of what was put right.
    """
    if UNITS[order] == 1:
        return wiegand.identify(
            reordered(bits, bit_count, order), bit_count, accept_unknown_lengths
        )
    sent = wiegand.identify(bits, bit_count, accept_unknown_lengths)
    if isinstance(sent, Malformed):
        return sent
    if not suits(bit_count, order):
        return Malformed(f"a card of {bit_count} bits does not come in {order}: see reverse")
    if sent.format not in _FRAMED:
        return card(reordered(bits, bit_count, order), bit_count, sent.format)
    payload_bits = bit_count - 2
    payload = reordered(bits >> 1 & ((1 << payload_bits) - 1), payload_bits, order)
    facility, number = payload >> 16, payload & 0xFFFF
    return card(wiegand.encode(sent.format, facility, number), bit_count, sent.format)


def _turned(bits: int, bit_count: int, unit: int) -> int:
    """The units, each as it is, in the opposite order."""
    turned = 0
    for _ in range(bit_count // unit):
        turned = turned << unit | bits & ((1 << unit) - 1)
        bits >>= unit
    return turned
