"""Cards as a UHPPOTE board numbers them, and as they are. Owns the reckoning between the two.

A board reads Wiegand 26 and tells the facility code and the number one after the other in decimal:
100 and 58399 make 10058399.
"""

from __future__ import annotations

from gatewayd.domain import wiegand
from gatewayd.domain.model import Credential, CredentialKind, card
from gatewayd.domain.ports import Malformed

FORMAT, BITS = "H10301", 26
_NUMBERS = 100_000  # the number has five digits


def credential_of(number: int) -> Credential | Malformed:
    """The card of that number, with the bits that any other reader would read of it."""
    facility, of_card = divmod(number, _NUMBERS)
    try:
        return card(wiegand.encode(FORMAT, facility, of_card), BITS, FORMAT)
    except ValueError:
        return Malformed("a number that no card of Wiegand 26 has: set the board to Wiegand 26")


def number_of(credential: Credential) -> int | None:
    """What the board calls the card; None for one that it can't read."""
    if credential.kind is not CredentialKind.CARD or credential.bit_count != BITS:
        return None
    [reading] = wiegand.read(int(credential.value, 16), BITS)
    if not reading.parity_ok or reading.facility is None:
        return None
    number = reading.facility * _NUMBERS + reading.number
    return number or None
