"""PINs as keyed hashes, and their comparison in constant time. Pure; must keep no digits.

The key is the site's own (`[site] pin_key_file`): without it, a stolen list gives no PIN away,
although there are only 10,000 of four digits.
"""

from __future__ import annotations

import hmac

from gatewayd.domain.model import Credential, CredentialKind, Person, PersonId, PinCheck

_NO_PIN = "-" * 64  # as long as a hash, and never one


def person_pin(key: bytes, person_id: PersonId, digits: str) -> str:
    """What the list keeps of a person's PIN: hexadecimal HMAC-SHA256. The same digits of two
    people have nothing in common."""
    return _keyed(key, f"person\n{person_id}\n{digits}")


def access_code(key: bytes, digits: str) -> Credential:
    """The credential that a code alone is: it is looked up, so it must not depend on a person."""
    return Credential(CredentialKind.PIN, _keyed(key, f"code\n{digits}"))


def check_pin(person: Person, key: bytes, digits: str | None) -> PinCheck:
    """What the digits are to this person; None: none were typed.

    Both PINs are compared whatever the first says, in a time that does not depend on how much of
    them is right. A duress PIN that is also the PIN counts as duress: better one alarm too many.
    """
    if digits is None:
        return PinCheck.NOT_TYPED
    typed = person_pin(key, person.id, digits)
    right = _same(typed, person.pin)
    duress = _same(typed, person.duress_pin)
    if duress:
        return PinCheck.DURESS
    return PinCheck.RIGHT if right else PinCheck.WRONG


def _same(typed: str, kept: str) -> bool:
    return hmac.compare_digest(typed.encode(), (kept or _NO_PIN).encode())


def _keyed(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), "sha256").hexdigest()
