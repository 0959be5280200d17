"""An OSDP reader for tests, from the design page alone: it shares no code with the codec."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

DEFAULT = bytes.fromhex("303132333435363738393A3B3C3D3E3F")
KEY = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
RANDOM_B = bytes.fromhex("A0A1A2A3A4A5A6A7")
DEVICE_UID = bytes.fromhex("0011223344556677")
PDID = bytes.fromhex("A1B2C3 07 02 04030201 01 02 03")
PDCAP = bytes.fromhex("010202 040401 090101")


def reckon_crc(data: bytes) -> bytes:
    value = 0x1D0F
    for byte in data:
        for place in range(7, -1, -1):
            top = value >> 15 ^ (byte >> place & 1)
            value = (value << 1 & 0xFFFF) ^ (0x1021 if top else 0)
    return bytes([value & 0xFF, value >> 8])


def reckon_checksum(data: bytes) -> bytes:
    return bytes([(0x100 - sum(data) % 0x100) % 0x100])


def aes(key: bytes, block: bytes) -> bytes:
    assert len(block) == 16
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)  # noqa: S305  # one


def unaes(key: bytes, block: bytes) -> bytes:
    assert len(block) == 16
    return Cipher(algorithms.AES(key), modes.ECB()).decryptor().update(block)  # noqa: S305  # one


def either(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def inverted(mac: bytes) -> bytes:
    return bytes(255 - byte for byte in mac)


def blocks(data: bytes) -> list[bytes]:
    return [data[at : at + 16] for at in range(0, len(data), 16)]


def padded(data: bytes) -> bytes:
    data += b"\x80"
    while len(data) % 16:
        data += b"\x00"
    return data


@dataclass
class Keys:
    enc: bytes
    mac1: bytes
    mac2: bytes


def reckon_keys(base: bytes, random_a: bytes) -> Keys:
    tail = random_a[:6] + bytes(8)
    return Keys(*(aes(base, head + tail) for head in (b"\x01\x82", b"\x01\x01", b"\x01\x02")))


def reckon_mac(keys: Keys, begin: bytes, covered: bytes) -> bytes:
    parts = blocks(covered if len(covered) % 16 == 0 else padded(covered))
    for part in parts[:-1]:
        begin = aes(keys.mac1, either(begin, part))
    return aes(keys.mac2, either(begin, parts[-1]))


def reckon_encrypted(keys: Keys, other_mac: bytes, data: bytes) -> bytes:
    before, out = inverted(other_mac), b""
    for part in blocks(padded(data)):
        before = aes(keys.enc, either(before, part))
        out += before
    return out


def reckon_decrypted(keys: Keys, other_mac: bytes, data: bytes) -> bytes:
    before, out = inverted(other_mac), b""
    for part in blocks(data):
        out += either(before, unaes(keys.enc, part))
        before = part
    out = out.rstrip(b"\x00")
    assert out[-1] == 0x80
    return out[:-1]


def reckon_frame(
    address: int, control: int, body: bytes, mac_keys: Keys | None = None, begin: bytes = b""
) -> tuple[bytes, bytes]:
    """A frame from its address byte, control byte and all from the security block to the data."""
    crc = bool(control & 4)
    length = 5 + len(body) + (4 if mac_keys else 0) + (2 if crc else 1)
    frame = bytes([0x53, address, length & 255, length >> 8, control]) + body
    mac = reckon_mac(mac_keys, begin, frame) if mac_keys else b""
    frame += mac[:4]
    return frame + (reckon_crc(frame) if crc else reckon_checksum(frame)), mac


@dataclass
class Reader:
    """Answers each frame. The flags below the line make it misbehave."""

    address: int = 1
    key: bytes | None = None  # None: it only has SCBK-D
    capabilities: bytes = PDCAP
    events: deque[tuple[int, bytes]] = field(default_factory=deque)  # what a POLL is answered with
    commands: list[tuple[int, bytes]] = field(default_factory=list)  # as it understood them

    naks: dict[int, bytes] = field(default_factory=dict)  # command: data of a NAK in clear
    replies: dict[int, tuple[int, bytes]] = field(default_factory=dict)  # command: its reply
    in_clear: dict[int, tuple[int, bytes]] = field(default_factory=dict)  # command: reply in clear
    key_byte: int | None = None
    status: int = 1
    wrong_cryptogram: bool = False
    wrong_initial_mac: bool = False
    wrong_mac: bool = False
    plain_data: bool = False  # SCS_16 where SCS_18 is usual
    block: bytes | None = None  # of every secured reply
    spoilt_encryption: bool = False  # genuine, yet not of whole blocks

    _answered: int = 0
    _random_a: bytes = b""
    _keys: Keys | None = None
    _secure: bool = False
    _mac_in: bytes = b""
    _mac_out: bytes = b""
    _cryptogram: bytes = b""
    _last: tuple[bytes, bytes] = (b"", b"")

    def answer(self, frame: bytes) -> bytes:
        self._answered += 1
        assert self._answered < 100  # no test needs more: a session that never opens fails here
        assert frame[0] == 0x53
        assert frame[2] + 256 * frame[3] == len(frame)
        crc = bool(frame[4] & 4)
        end = len(frame) - (2 if crc else 1)
        assert frame[end:] == (reckon_crc if crc else reckon_checksum)(frame[:end])
        if frame == self._last[0] and frame[4] & 3:
            return self._last[1]
        reply = self._new(frame, frame[4], frame[5:end])
        self._last = (frame, reply)
        return reply

    def _new(self, frame: bytes, control: int, body: bytes) -> bytes:
        if not control & 3:
            self._secure = False
        block = body[: body[0]] if control & 8 else b""
        body = body[len(block) :]
        if self._secure:
            return self._secured(frame, control, block, body)
        assert block[1:2] in (b"", b"\x11", b"\x13")
        code, data = body[0], body[1:]
        self.commands.append((code, data))
        if code in self.naks:
            return self._clear(control, b"", 0x41, self.naks[code])
        if code in self.in_clear:
            return self._clear(control, b"", *self.in_clear[code])
        if code == 0x76:
            return self._challenged(control, block, data)
        if code == 0x77:
            return self._proved(control, data)
        return self._clear(control, b"", *self._reply(code))

    def _reply(self, code: int) -> tuple[int, bytes]:
        if code in self.replies:
            return self.replies[code]
        if code == 0x61:
            return 0x45, PDID
        if code == 0x62:
            return 0x46, self.capabilities
        if code == 0x60 and self.events:
            return self.events.popleft()
        return 0x40, b""

    def _clear(self, control: int, block: bytes, code: int, data: bytes) -> bytes:
        control = control & 7 | (8 if block else 0)
        body = block + bytes([code]) + data
        return reckon_frame(self.address | 0x80, control, body)[0]

    def _challenged(self, control: int, block: bytes, random_a: bytes) -> bytes:
        assert block[:2] == b"\x03\x11"
        asked = block[2]
        keys = reckon_keys(self.key or DEFAULT if asked else DEFAULT, random_a)
        self._keys, self._random_a = keys, random_a
        proof = aes(keys.enc, random_a + RANDOM_B)
        self._cryptogram = aes(keys.enc, RANDOM_B + random_a)
        if self.wrong_cryptogram:
            proof = self._cryptogram
        answered = asked if self.key_byte is None else self.key_byte
        data = DEVICE_UID + RANDOM_B + proof
        return self._clear(control, bytes([3, 0x12, answered]), 0x76, data)

    def _proved(self, control: int, cryptogram: bytes) -> bytes:
        assert self._keys is not None
        assert cryptogram == self._cryptogram
        initial = aes(self._keys.mac2, aes(self._keys.mac1, cryptogram))
        self._mac_in = self._mac_out = initial
        self._secure = True
        said = inverted(initial) if self.wrong_initial_mac else initial
        return self._clear(control, bytes([3, 0x14, self.status]), 0x78, said)

    def _secured(self, frame: bytes, control: int, block: bytes, body: bytes) -> bytes:
        keys = self._keys
        assert keys is not None
        covered, mac = frame[: -(6 if control & 4 else 5)], body[-4:]
        self._mac_in = reckon_mac(keys, self._mac_out, covered)
        assert mac == self._mac_in[:4]
        code, data = body[0], body[1:-4]
        assert block == (b"\x02\x17" if data else b"\x02\x15")
        if data:
            data = reckon_decrypted(keys, self._mac_out, data)
        self.commands.append((code, data))
        if code in self.naks:
            return self._clear(control, b"", 0x41, self.naks[code])
        if code in self.in_clear:
            reply = self._clear(control, b"", *self.in_clear[code])
        else:
            reply = self._sealed(keys, control, *self._reply(code))
        if code == 0x75:
            self.key, self._secure = data[2:], False
        return reply

    def _sealed(self, keys: Keys, control: int, code: int, data: bytes) -> bytes:
        encrypted = bool(data) and not self.plain_data
        if encrypted:
            data = reckon_encrypted(keys, self._mac_in, data)
            data = data[:-1] if self.spoilt_encryption else data
        block = self.block or (b"\x02\x18" if encrypted else b"\x02\x16")
        body = block + bytes([code]) + data
        begin = inverted(self._mac_in) if self.wrong_mac else self._mac_in
        frame, self._mac_out = reckon_frame(self.address | 0x80, control, body, keys, begin)
        return frame
