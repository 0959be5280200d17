"""What can be wrong with an OSDP line, and the man in the middle who forges replies. Owns the list
of faults and the forging of frames; must not know keys.
"""

from __future__ import annotations

import random
from enum import StrEnum

from simulators.line_faults import LineFaults
from simulators.osdp_wire import Cmd, Frame, Rep, check_size, decode, encode, with_check


class OsdpFault(StrEnum):
    """`amount` means what the comment says; its default is in DEFAULT_AMOUNT, else 0."""

    # on the wire: of the whole line, or of one device
    LOSS = "loss"  # each byte is lost with probability `amount`, both ways
    NOISE = "noise"  # random bytes before and after a reply
    CORRUPT = "corrupt"  # one bit of a reply flips, the check stays: plain interference
    HALF = "half"  # a reply ends in its middle
    SLOW = "slow"  # a reply's bytes take `amount` times as long, with a pause
    LATE = "late"  # a reply comes `amount` seconds later: beyond the 200 ms
    SILENCE = "silence"  # a dead device: hears nothing, says nothing
    DUPLICATE_ADDRESS = "duplicate_address"  # a second device answers too, the bytes collide
    # of a device, or of each where none is named
    BUSY = "busy"  # BUSY, with sequence 0 and unsecured; the command is not carried out
    NAK = "nak"  # refuses with code `amount`; the command is not carried out
    CLEAR_KEYSET_ACK = "clear_keyset_ack"  # a reader's defect: ACK to KEYSET in clear text
    NO_SECURE_CHANNEL = "no_secure_channel"  # downgrade: PDCAP denies it, the challenge gets NAK 5
    NAK_CHALLENGE = "nak_challenge"  # downgrade: PDCAP promises it, the challenge gets NAK 5
    SCBK_D_ANSWER = "scbk_d_answer"  # answers a challenge for SCBK with the default key
    BAD_RMAC_STATUS = "bad_rmac_status"  # RMAC_I says `amount` instead of 1; all else is right
    # somebody between panel and device, who has no key
    WRONG_SEQUENCE = "wrong_sequence"  # a reply bears the next number
    CLEAR_INJECTION = "clear_injection"  # in a session, a POLL gets a card in clear text
    REPLAY = "replay"  # in a session, a recorded reply of the same number; a card if there was one
    BIT_FLIP = "bit_flip"  # one bit of a reply flips, the check is made right again
    # at once, and until put right
    KEY_LOST = "key_lost"  # the device has no key but SCBK-D, as when reset by a screwdriver
    WRONG_KEY = "wrong_key"  # the device has another key than the panel
    UNPLUG = "unplug"  # the whole adapter goes away; `replug` brings it back


ON_WIRE = (
    OsdpFault.LOSS,
    OsdpFault.NOISE,
    OsdpFault.CORRUPT,
    OsdpFault.HALF,
    OsdpFault.SLOW,
    OsdpFault.LATE,
    OsdpFault.SILENCE,
    OsdpFault.DUPLICATE_ADDRESS,
)
AT_ONCE = (OsdpFault.KEY_LOST, OsdpFault.WRONG_KEY, OsdpFault.UNPLUG)
COUNTED = tuple(kind for kind in OsdpFault if kind not in AT_ONCE)
DEFAULT_AMOUNT = {
    OsdpFault.LOSS: 0.05,
    OsdpFault.SLOW: 10.0,
    OsdpFault.LATE: 0.25,
    OsdpFault.NAK: 9.0,
    OsdpFault.BAD_RMAC_STATUS: 255.0,
}
_CARDS = (Rep.RAW, Rep.KEYPAD)


def lose_bytes(data: bytes, probability: float, source: random.Random) -> bytes:
    """What is left of it."""
    return bytes(byte for byte in data if source.random() >= probability)


def flip_bit(raw: bytes, start: int, end: int, source: random.Random) -> bytes:
    """One bit from `start` to before `end`; nothing else."""
    flipped = bytearray(raw)
    flipped[source.randrange(start, end)] ^= 1 << source.randrange(8)
    return bytes(flipped)


def collide(first: bytes, second: bytes, shift: int) -> bytes:
    """Two that speak at once, the second `shift` bytes later: a 0 wins over a 1."""
    mixed = bytearray(max(len(first), shift + len(second)))
    mixed[: len(first)] = first
    for at, byte in enumerate(second, shift):
        mixed[at] = mixed[at] & byte if at < len(first) else byte
    return bytes(mixed)


class MiddleMan:
    """Sees all replies of one device and forges some. Has no key."""

    def __init__(self, faults: LineFaults, source: random.Random) -> None:
        self._faults = faults
        self._random = source
        self._replies: dict[int, bytes] = {}  # by sequence: at most four
        self._cards: dict[int, bytes] = {}

    def forge(self, reply: bytes, command: int) -> bytes:
        """What reaches the panel instead of `reply` to `command`."""
        honest = decode(reply)
        forged = self._replace(honest, command) if honest.sealed else None
        if honest.sealed:
            recorded = self._cards if honest.code in _CARDS else self._replies
            recorded[honest.sequence] = reply
        forged = forged or reply
        if self._faults.take(OsdpFault.BIT_FLIP) is not None:
            end = len(forged) - check_size(forged)
            body = flip_bit(forged, 5 + len(decode(forged).block), end, self._random)[:end]
            forged = with_check(body, crc=honest.crc)
        if self._faults.take(OsdpFault.WRONG_SEQUENCE) is not None:
            numbered = bytearray(forged[: -check_size(forged)])
            numbered[4] = numbered[4] & ~3 | (numbered[4] & 3) % 3 + 1
            forged = with_check(bytes(numbered), crc=honest.crc)
        return forged

    def _replace(self, honest: Frame, command: int) -> bytes | None:
        recorded = (self._cards or self._replies).get(honest.sequence)
        if recorded is not None and self._faults.take(OsdpFault.REPLAY) is not None:
            return recorded
        if command == Cmd.POLL and self._faults.take(OsdpFault.CLEAR_INJECTION) is not None:
            bits = (self._random.getrandbits(26) << 6).to_bytes(4, "big")  # left-aligned
            card = b"\0\0" + (26).to_bytes(2, "little") + bits
            return encode(Frame(honest.address, honest.sequence, Rep.RAW, card, crc=honest.crc))
        return None
