"""The device's side of OSDP's secure channel: keys, handshake, MACs, encryption. Owns one session;
must not know what the messages mean. Written from the wire's rules, not from a codec.
"""

from __future__ import annotations

import hmac
import random

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

from simulators.osdp_wire import MAC_SIZE, Frame, Scs, check_size, encode

SCBK_D = bytes(range(0x30, 0x40))  # the default key, known to everybody
KEY_SIZE = 16
NONCE_SIZE = 8
_BLOCK = 16
_PAD = b"\x80"


class SecurityError(Exception):
    """A message that does not belong to this session; the session is over."""


def aes(key: bytes, block: bytes) -> bytes:
    """One block, enciphered."""
    encryptor = Cipher(AES(key), ECB()).encryptor()  # noqa: S305  # the standard's own single block
    return encryptor.update(block) + encryptor.finalize()


def session_key(key: bytes, number: int, nonce: bytes) -> bytes:
    """A session's key: 0x82 is for data, 0x01 and 0x02 for MACs; `nonce` is the panel's."""
    return aes(key, bytes([1, number]) + nonce[:6] + bytes(8))


def padded(data: bytes) -> bytes:
    """To whole blocks, with at least one byte of padding."""
    return data + _PAD + bytes(-(len(data) + 1) % _BLOCK)


def _inverted(block: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in block)


class PdSession:
    """One session, from the challenge on. `established` once the panel has shown its key."""

    def __init__(self, key: bytes, key_number: int, panel_nonce: bytes, own_nonce: bytes) -> None:
        self.key_number = key_number
        self.established = False
        self._enc = session_key(key, 0x82, panel_nonce)
        self._mac1 = session_key(key, 0x01, panel_nonce)
        self._mac2 = session_key(key, 0x02, panel_nonce)
        self._panel_nonce, self._own_nonce = panel_nonce, own_nonce
        self._command_mac = self._reply_mac = bytes(_BLOCK)

    @property
    def own_cryptogram(self) -> bytes:
        """What shows the panel that this device has the key."""
        return aes(self._enc, self._panel_nonce + self._own_nonce)

    def confirm(self, panel_cryptogram: bytes) -> bytes | None:
        """The initial reply MAC where the panel has the key too, else None."""
        right = aes(self._enc, self._own_nonce + self._panel_nonce)
        if not hmac.compare_digest(right, panel_cryptogram):
            return None
        self._reply_mac = aes(self._mac2, aes(self._mac1, panel_cryptogram))
        self.established = True
        return self._reply_mac

    def open(self, raw: bytes, frame: Frame) -> bytes:
        """A command's data in clear. Raises SecurityError."""
        if frame.scs not in {Scs.COMMAND_MAC, Scs.COMMAND_DATA}:
            raise SecurityError("no security block of a command")
        # data under SCS_15 would be readable on the wire: this device is strict
        if bool(frame.data) != (frame.scs == Scs.COMMAND_DATA):
            raise SecurityError("the security block does not suit the data")
        before = self._reply_mac
        self._command_mac = self._mac(raw[: -check_size(raw) - MAC_SIZE], before)
        if not hmac.compare_digest(self._command_mac[:MAC_SIZE], frame.mac):
            raise SecurityError("wrong MAC")
        return self._decipher(frame.data, before) if frame.data else b""

    def seal(self, frame: Frame) -> bytes:
        """The whole frame of a reply whose data is in clear yet."""
        scs = Scs.REPLY_DATA if frame.data else Scs.REPLY_MAC
        data = self._encipher(frame.data, self._command_mac) if frame.data else b""
        block = bytes([2, scs])
        sealed = Frame(frame.address, frame.sequence, frame.code, data, block, crc=frame.crc)
        return encode(sealed, self._chain_reply_mac)

    def _chain_reply_mac(self, body: bytes) -> bytes:
        self._reply_mac = self._mac(body, self._command_mac)
        return self._reply_mac

    def _mac(self, body: bytes, before: bytes) -> bytes:
        """All 16 bytes: CBC under S-MAC1, the last block under S-MAC2."""
        if len(body) % _BLOCK:
            body = padded(body)
        chained = before
        for at in range(0, len(body), _BLOCK):
            key = self._mac1 if at + _BLOCK < len(body) else self._mac2
            pairs = zip(body[at : at + _BLOCK], chained, strict=True)
            chained = aes(key, bytes(a ^ b for a, b in pairs))
        return chained

    def _encipher(self, data: bytes, mac: bytes) -> bytes:
        encryptor = Cipher(AES(self._enc), CBC(_inverted(mac))).encryptor()
        return encryptor.update(padded(data)) + encryptor.finalize()

    def _decipher(self, data: bytes, mac: bytes) -> bytes:
        if len(data) % _BLOCK:
            raise SecurityError("data that is not whole blocks")
        decryptor = Cipher(AES(self._enc), CBC(_inverted(mac))).decryptor()
        plain = (decryptor.update(data) + decryptor.finalize()).rstrip(b"\0")
        if not plain.endswith(_PAD):
            raise SecurityError("no padding")
        return plain[:-1]


def nonce(source: random.Random) -> bytes:
    """The device's own; from the seed, so that a run repeats. A real device must not do that."""
    return source.randbytes(NONCE_SIZE)
