"""Keys of a keypad, and the two bursts in which Wiegand keypads send them. Must not do I/O.

4 bits: 0 to 9, A is '*', B is '#'. 8 bits: the same in the lower half, its complement in the upper.
A burst carries no other check, so whatever is neither is refused, never guessed at.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gatewayd.domain.ports import Malformed

KEYS = "0123456789*#"  # a key's place is its code
BURSTS = (4, 8)  # bits of one key


@dataclass(frozen=True, slots=True)
class Key:
    """One key, pressed: '0' to '9', '*' or '#'. Never in a `repr`: it may be part of a PIN."""

    key: str = field(repr=False)


def identify_key(bits: int, bit_count: int) -> Key | Malformed:
    """The key that a burst of 4 or 8 bits is, or why it is none; the reason tells no key."""
    code = bits & 0xF
    if bit_count == 8 and bits >> 4 != code ^ 0xF:
        return Malformed("key whose two halves do not match")
    if code >= len(KEYS):
        return Malformed("no key has that code")
    return Key(KEYS[code])


def encode_key(key: str, bit_count: int) -> int:
    """The burst's bits. Raises ValueError, without the key, for another key or length."""
    if len(key) != 1 or key not in KEYS or bit_count not in BURSTS:
        raise ValueError("a keypad has the keys 0 to 9, * and #, in 4 or 8 bits")
    code = KEYS.index(key)
    return code if bit_count == 4 else (code ^ 0xF) << 4 | code
