"""The secure channel's cryptography: keys, proofs, MACs, encryption. Must not know what is said.

OSDP 2.2 annex D, AES-128 throughout. Both sides compute alike, so a channel serves either: it
keeps the last full MAC of each direction, and each begins where the other one ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hmac import compare_digest

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

from drivers.protocols.osdp.frame import MAC_LENGTH

DEFAULT_KEY = bytes(range(0x30, 0x40))  # SCBK-D: printed in the standard, so it protects nothing
BLOCK = 16
_ZEROS, _ONES = bytes(BLOCK), b"\xff" * BLOCK
_PADDING = 0x80  # then zeros


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """What one handshake makes of the base key."""

    enc: bytes = field(repr=False)
    mac1: bytes = field(repr=False)
    mac2: bytes = field(repr=False)
    # Making a cipher takes ten times as long as a block, and a line has some 400 MACs a second.
    enc_block: CipherContext = field(init=False, repr=False, compare=False)
    mac1_block: CipherContext = field(init=False, repr=False, compare=False)
    mac2_block: CipherContext = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises ValueError for a key that is none."""
        for name in ("enc", "mac1", "mac2"):
            object.__setattr__(self, f"{name}_block", _blocks(getattr(self, name)))


def derive_keys(base_key: bytes, random_a: bytes) -> SessionKeys:
    """S-ENC, S-MAC1 and S-MAC2 from the base key and the panel's random number."""
    enc, mac1, mac2 = (
        _one_block(base_key, bytes([0x01, kind]) + random_a[:6] + bytes(8))
        for kind in (0x82, 0x01, 0x02)
    )
    return SessionKeys(enc, mac1, mac2)


def device_cryptogram(keys: SessionKeys, random_a: bytes, random_b: bytes) -> bytes:
    """The device's proof that it has the base key."""
    return _one_block(keys.enc, random_a + random_b)


def panel_cryptogram(keys: SessionKeys, random_a: bytes, random_b: bytes) -> bytes:
    """The panel's proof that it has the base key."""
    return _one_block(keys.enc, random_b + random_a)


def initial_mac(keys: SessionKeys, cryptogram: bytes) -> bytes:
    """R-MAC-I, from the panel's cryptogram: where both directions' MACs begin."""
    return _one_block(keys.mac2, _one_block(keys.mac1, cryptogram))


def full_mac(keys: SessionKeys, begin: bytes, covered: bytes) -> bytes:
    """All 16 bytes: the next MAC begins with them, though the wire carries only four."""
    padded = covered if len(covered) % BLOCK == 0 else pad(covered)
    if len(padded) > BLOCK:
        begin = _chained(keys.mac1_block, begin, padded[:-BLOCK])[-BLOCK:]
    return _chained(keys.mac2_block, begin, padded[-BLOCK:])


def encrypt(keys: SessionKeys, other_mac: bytes, data: bytes) -> bytes:
    """`data` as it follows the code under SCS_17 and SCS_18; padded even when it is aligned."""
    return _chained(keys.enc_block, _inverted(other_mac), pad(data))


def decrypt(keys: SessionKeys, other_mac: bytes, data: bytes) -> bytes | None:
    """What was encrypted, or None if no such data has that length or padding."""
    if not data or len(data) % BLOCK:
        return None
    cipher = Cipher(algorithms.AES(keys.enc), modes.CBC(_inverted(other_mac))).decryptor()
    stripped = cipher.update(data).rstrip(b"\x00")
    if not stripped or stripped[-1] != _PADDING or len(data) - len(stripped) >= BLOCK:
        return None
    return stripped[:-1]


def pad(data: bytes) -> bytes:
    """`80`, and zeros to the end of the block: one byte at least, a whole block if aligned."""
    return data + bytes([_PADDING]) + bytes(-(len(data) + 1) % BLOCK)


class SecureChannel:
    """One side of one secure channel, from the challenge on."""

    def __init__(self, base_key: bytes, random_a: bytes) -> None:
        self._random_a = random_a
        self._keys = derive_keys(base_key, random_a)
        self._sent = self._received = _ZEROS
        self.cryptogram = b""

    def check_device(self, random_b: bytes, cryptogram: bytes) -> bool:
        """Whether the device's proof is right; then `cryptogram` is the panel's own."""
        expected = device_cryptogram(self._keys, self._random_a, random_b)
        self.cryptogram = panel_cryptogram(self._keys, self._random_a, random_b)
        self._sent = self._received = initial_mac(self._keys, self.cryptogram)
        return compare_digest(expected, cryptogram)

    def check_initial_mac(self, mac: bytes) -> bool:
        """Whether the device begins its MACs where the panel does."""
        return compare_digest(self._received, mac)

    def seal(self, data: bytes) -> bytes:
        """`data` encrypted, for the next frame to sign."""
        return encrypt(self._keys, self._received, data)

    def unseal(self, data: bytes) -> bytes | None:
        """The reverse of `seal`, for whoever only listens: before `sign` of the same frame."""
        return decrypt(self._keys, self._received, data)

    def sign(self, covered: bytes) -> bytes:
        """The MAC of the next frame to send. Once for each frame: repeats send the same bytes."""
        self._sent = full_mac(self._keys, self._received, covered)
        return self._sent[:MAC_LENGTH]

    def verify(self, covered: bytes, mac: bytes) -> bool:
        """Whether the MAC of the frame that answers the last one is right."""
        expected = full_mac(self._keys, self._sent, covered)
        if not compare_digest(expected[:MAC_LENGTH], mac):
            return False
        self._received = expected
        return True

    def open(self, data: bytes) -> bytes | None:
        """The data of the frame that was verified, or None where the padding is none."""
        return decrypt(self._keys, self._sent, data)


def _one_block(key: bytes, data: bytes) -> bytes:
    return _chained(_blocks(key), _ZEROS, data)


def _blocks(key: bytes) -> CipherContext:
    """AES of one block after the other. Raises ValueError for a key that is none."""
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305  # `_chained` makes CBC of it


def _chained(blocks: CipherContext, begin: bytes, data: bytes) -> bytes:
    """CBC: each block is mixed with what came of the one before it."""
    made = []
    for at in range(0, len(data), BLOCK):
        begin = blocks.update(_mixed(begin, data[at : at + BLOCK]))
        made.append(begin)
    return b"".join(made)


def _mixed(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one) ^ int.from_bytes(other)).to_bytes(BLOCK)


def _inverted(mac: bytes) -> bytes:
    return _mixed(mac, _ONES)
