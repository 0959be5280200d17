"""What is printed on a card or plate, as the value that a reader or camera presents. Pure.

Owns the ways to write a card's number. The raw bits are the card's identity: where what is printed
leaves some of them open, they must be written too, and nothing is guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gatewayd.directory import cells
from gatewayd.directory.cells import Cell, CellError
from gatewayd.domain import plate, wiegand
from gatewayd.domain.model import Credential, CredentialKind, card

HEX = "hex"
EM4100 = "em4100"
EM4100_BITS = (26, 34, 40)
MAX_BITS = 512  # whitelist_records.CredentialRecordLine
MAX_VALUE = 200
WIEGAND = {known.name.lower(): known for known in wiegand.FORMATS}
FORMATS = (HEX, *(known.name for known in wiegand.FORMATS), EM4100)

_PAIR = re.compile(r"(\d{1,12})\s*[,，:]\s*(\d{1,12})")
_EM_DIGITS = re.compile(r"\d{1,10}")


@dataclass(frozen=True, slots=True)
class WrittenCard:
    """The cells of a card: what is printed, how it is to be read, how many bits a reader sends."""

    number: Cell
    format: str = ""
    bits: int | None = None


def card_of(written: WrittenCard) -> Credential:
    """The card's raw bits. Raises CellError, which quotes no digit."""
    name = written.format.lower()
    if name in ("", HEX):
        return _hexadecimal(written)
    if name == EM4100:
        return _em4100(written)
    if name in WIEGAND:
        return _wiegand(written, WIEGAND[name])
    raise CellError("the format is not known", f"one of {', '.join(FORMATS)}")


def _hexadecimal(written: WrittenCard) -> Credential:
    if written.bits is None:
        raise CellError(
            "the number of bits is not given", "how many bits the reader sends, e.g. 26"
        )
    if not 1 <= written.bits <= MAX_BITS:
        raise CellError("no card has so many bits", f"1 to {MAX_BITS}")
    if not isinstance(written.number, str):
        # 5E2 and 012 are hexadecimal numbers too, and cells that hold 500 and 12 by now.
        raise CellError("the spreadsheet made a number of it", f"{cells.AS_TEXT}, or put 0x first")
    digits = cells.text(written.number, most=MAX_VALUE).replace(" ", "").upper()
    digits = digits.removeprefix("0X")
    wanted = (written.bits + 3) // 4
    if len(digits) != wanted or not re.fullmatch("[0-9A-F]+", digits):
        raise CellError(
            f"a card of {written.bits} bits is not written so",
            f"exactly {wanted} hexadecimal digits, zeros in front included, or name its format",
        )
    return _card(int(digits, 16), written.bits)


def _card(bits: int, bit_count: int) -> Credential:
    try:
        return card(bits, bit_count)
    except ValueError:
        raise CellError(f"it has more than {bit_count} bits", "the right number of bits") from None


def _wiegand(written: WrittenCard, known: wiegand.Format) -> Credential:
    _refuse_other_bits(written, (known.bit_count,))
    if known.facility is None:
        facility, number = None, _digits(written.number)
    else:
        facility, number = _pair(written.number, "facility,number as printed, e.g. 12,34567")
    try:
        return card(wiegand.encode(known.name, facility, number), known.bit_count)
    except ValueError:
        raise CellError(
            f"it does not fit in a card of the format {known.name}", "the format that it has"
        ) from None


def _refuse_other_bits(written: WrittenCard, wanted: tuple[int, ...]) -> None:
    if written.bits is not None and written.bits not in wanted:
        told = " or ".join(map(str, wanted))
        raise CellError(f"a card of this format has not {written.bits} bits", told)


def _digits(cell: Cell) -> int:
    found = cells.text(cell)
    if not re.fullmatch(r"\d{1,12}", found):
        raise CellError("it is no number", "the digits as printed")
    return int(found)


def _pair(cell: Cell, instead: str) -> tuple[int, int]:
    if not isinstance(cell, str):
        # A spreadsheet takes 12,34567 for 1234567.
        raise CellError("the spreadsheet made one number of it", f"as text, {instead}")
    parts = _PAIR.fullmatch(cells.text(cell))
    if parts is None:
        raise CellError("it is not two numbers", instead)
    return int(parts[1]), int(parts[2])


def _em4100(written: WrittenCard) -> Credential:
    """The ten printed digits are the tag's last 32 bits; how a reader sends them is its setting."""
    if written.bits is None:
        raise CellError(
            "the number of bits is not given",
            "26 or 34 as a Wiegand reader sends the tag, 40 for a serial reader",
        )
    _refuse_other_bits(written, EM4100_BITS)
    if written.bits == 40:
        first, rest = _pair(
            written.number,
            "the tag's first byte in front of the ten digits, e.g. 16,0008844356: "
            "they do not say it",
        )
        if first > 255 or rest >> 32:
            raise CellError("it does not fit in a tag", "first byte 0 to 255, then the ten digits")
        return card(first << 32 | rest, 40)
    found = cells.text(written.number)
    number = int(found) if _EM_DIGITS.fullmatch(found) else 1 << 32
    if number >> (24 if written.bits == 26 else 32):
        raise CellError(
            f"a reader that sends {written.bits} bits has not this number",
            "the ten digits as printed; at most 0016777215 where 26 bits are sent",
        )
    name = "H10301" if written.bits == 26 else "H10306"
    return card(wiegand.encode(name, number >> 16, number & 0xFFFF), written.bits)


def written_card(credential: Credential) -> WrittenCard:
    """As `card_of` reads it back. The 0x keeps a spreadsheet from making a number of it."""
    return WrittenCard(f"0x{credential.value}", HEX, credential.bit_count)


def plate_of(cell: Cell) -> Credential:
    """A licence plate as readers have it: letters upper-case, no signs between them."""
    found = cells.text(cell)
    if not cells.is_verbatim(cell):
        found = plate.plain(found)
    if not plate.is_plain(found):
        raise CellError("it is no licence plate", "as it is on the vehicle, e.g. 沪A12345")
    return Credential(CredentialKind.PLATE, found)


def written_plate(value: str) -> str:
    """As `plate_of` reads it back. Raises CellError as `cells.written` does."""
    short = cells.written(value)
    try:
        plain = plate_of(short).value == value
    except CellError:
        plain = False
    return short if plain else cells.VERBATIM + value
