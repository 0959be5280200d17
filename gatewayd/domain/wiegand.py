"""Wiegand card formats as readings of raw bits. Owns the parity tables; must not do I/O.

A card's identity is its raw bits and their count (`gatewayd.domain.model.card`): length does not
identify a format, so a reading is a guess that its parity supports, and decimals of two formats
are never compared. Bit 0 is the first transmitted and the most significant.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gatewayd.domain.model import Credential, card
from gatewayd.domain.ports import Malformed

MAX_BITS = 128  # the longest that serial converters carry; a longer count is noise


@dataclass(frozen=True, slots=True)
class Parity:
    """Bit `bit` makes the number of ones, with itself and the bits it covers, odd or even."""

    bit: int
    covers: tuple[int, ...]
    odd: bool

    def expected(self, bits: int, bit_count: int) -> int:
        """The value that the parity bit must have."""
        return (sum(_bit(bits, bit_count, index) for index in self.covers) + self.odd) & 1

    def holds(self, bits: int, bit_count: int) -> bool:
        return _bit(bits, bit_count, self.bit) == self.expected(bits, bit_count)


@dataclass(frozen=True, slots=True)
class Format:
    """Where a format keeps its fields: (first, last) bit, both inclusive.

    `parities` are in an order in which they can be computed: one may cover those before it.
    """

    name: str
    bit_count: int
    facility: tuple[int, int] | None
    number: tuple[int, int]
    parities: tuple[Parity, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a format makes of a card's bits; `facility` is None where the format has none."""

    format: str
    facility: int | None = field(repr=False)
    number: int = field(repr=False)
    parity_ok: bool = True


def _span(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1))


_PARITY_37 = (Parity(0, _span(1, 18), odd=False), Parity(36, _span(18, 35), odd=True))

FORMATS: tuple[Format, ...] = (
    Format(
        "H10301", 26, (1, 8), (9, 24),
        (Parity(0, _span(1, 12), odd=False), Parity(25, _span(13, 24), odd=True)),
    ),
    Format(
        "H10306", 34, (1, 16), (17, 32),
        (Parity(0, _span(1, 16), odd=False), Parity(33, _span(17, 32), odd=True)),
    ),
    Format(
        "Corporate1000", 35, (2, 13), (14, 33),
        (
            Parity(1, tuple(bit for bit in _span(2, 33) if bit % 3 != 1), odd=False),
            Parity(34, tuple(bit for bit in _span(1, 32) if bit % 3 != 0), odd=True),
            Parity(0, _span(1, 34), odd=True),
        ),
    ),
    Format("H10302", 37, None, (1, 35), _PARITY_37),
    Format("H10304", 37, (1, 16), (17, 35), _PARITY_37),
)  # fmt: skip  # one line a format reads as the table it is

_BY_NAME = {known.name: known for known in FORMATS}


def read(bits: int, bit_count: int) -> tuple[Reading, ...]:
    """Every known format's reading of a card of that length; empty where none has it."""
    return tuple(
        Reading(
            known.name,
            None if known.facility is None else _field(bits, bit_count, known.facility),
            _field(bits, bit_count, known.number),
            all(parity.holds(bits, bit_count) for parity in known.parities),
        )
        for known in FORMATS
        if known.bit_count == bit_count
    )


def encode(format_name: str, facility: int | None, number: int) -> int:
    """The raw bits of a card. Raises ValueError for an unknown format or a field out of range."""
    known = _BY_NAME.get(format_name)
    if known is None:
        raise ValueError(f"no Wiegand format {format_name!r}; known: {', '.join(_BY_NAME)}")
    bits = _place(number, known, known.number, "number")
    if known.facility is not None:
        bits |= _place(facility or 0, known, known.facility, "facility")
    elif facility is not None:
        raise ValueError(f"Wiegand format {format_name} has no facility code: leave it out")
    for parity in known.parities:
        bits |= parity.expected(bits, known.bit_count) << (known.bit_count - 1 - parity.bit)
    return bits


def identify(bits: int, bit_count: int, accept_unknown_lengths: bool) -> Credential | Malformed:
    """The card that was read, or why it is none. `bits` must fit in `bit_count`.

    A length with known formats needs one whose parity holds; a length without is raw bits or
    refused, as the setting says. Where several formats fit, the name says so ("H10302/H10304").
    """
    readings = read(bits, bit_count)
    if not readings:
        if accept_unknown_lengths:
            return card(bits, bit_count)
        return Malformed(f"no known card has {bit_count} bits: see accept_unknown_lengths")
    fitting = [reading.format for reading in readings if reading.parity_ok]
    if not fitting:
        return Malformed("parity")
    return card(bits, bit_count, "/".join(fitting))


def _bit(bits: int, bit_count: int, index: int) -> int:
    return bits >> (bit_count - 1 - index) & 1


def _field(bits: int, bit_count: int, span: tuple[int, int]) -> int:
    first, last = span
    return bits >> (bit_count - 1 - last) & ((1 << (last - first + 1)) - 1)


def _place(value: int, known: Format, span: tuple[int, int], name: str) -> int:
    first, last = span
    width = last - first + 1
    if value < 0 or value >> width:
        raise ValueError(f"the {name} of a {known.name} card has {width} bits: it does not fit")
    return value << (known.bit_count - 1 - last)
