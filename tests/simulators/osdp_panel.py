"""A panel small enough to be checked by eye, for the tests of the OSDP simulator. Written from the
wire's rules with other means than the simulator's: binascii's CRC, whole CBC runs for the MACs.
"""

from __future__ import annotations

import binascii
import dataclasses
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from simulators.osdp_device import SimulatedOsdpDevice
from simulators.osdp_line import SimulatedOsdpLine
from tests.simulators.waiting import Tty, until

KEY = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
NONCE = bytes.fromhex("B0B1B2B3B4B5B6B7")
POLL, ID, CAP, LSTAT, ISTAT, OSTAT, RSTAT = 0x60, 0x61, 0x62, 0x64, 0x65, 0x66, 0x67
OUT, LED, BUZ, TEXT, COMSET, KEYSET, CHLNG, SCRYPT = 0x68, 0x69, 0x6A, 0x6B, 0x6E, 0x75, 0x76, 0x77
ACK, NAK, PDID, PDCAP, LSTATR, ISTATR, OSTATR, RSTATR = 64, 65, 0x45, 0x46, 0x48, 0x49, 0x4A, 0x4B
RAW, KEYPAD, COM, CCRYPT, RMAC_I, BUSY, FTSTAT, MFGREP = 80, 0x53, 84, 0x76, 0x78, 0x79, 0x7A, 0x90


class PanelError(Exception):
    """The panel would not believe this reply."""


@dataclasses.dataclass(frozen=True)
class Reply:
    code: int
    data: bytes
    block: bytes
    sequence: int
    sealed: bool


def cbc(key: bytes, iv: bytes, data: bytes) -> bytes:
    encryptor = Cipher(AES(key), CBC(iv)).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def unpad(data: bytes) -> bytes:
    return data[: data.rindex(b"\x80")]


def pad(data: bytes) -> bytes:
    data += b"\x80"
    while len(data) % 16:
        data += b"\0"
    return data


def invert(data: bytes) -> bytes:
    return bytes(255 - byte for byte in data)


def check(body: bytes, crc: bool = True) -> bytes:
    if crc:
        return binascii.crc_hqx(body, 0x1D0F).to_bytes(2, "little")
    return bytes([(256 - sum(body) % 256) % 256])


class Panel:
    """One device's link, seen from the panel. `crc` False: the checksum."""

    def __init__(self, address: int = 0, *, crc: bool = True) -> None:
        self.address = address
        self.crc = crc
        self.sequence = 0
        self.enc = self.mac1 = self.mac2 = b""
        self.command_mac = self.reply_mac = bytes(16)
        self.secure = False
        self.last = b""

    def derive(self, key: bytes, nonce: bytes) -> None:
        for name, number in (("enc", 0x82), ("mac1", 1), ("mac2", 2)):
            block = bytes([1, number]) + nonce[:6] + bytes(8)
            setattr(self, name, cbc(key, bytes(16), block))

    def mac(self, body: bytes, iv: bytes) -> bytes:
        if len(body) % 16:
            body = pad(body)
        if len(body) > 16:
            iv = cbc(self.mac1, iv, body[:-16])[-16:]
        return cbc(self.mac2, iv, body[-16:])

    def build(self, code: int, data: bytes = b"", block: bytes = b"") -> bytes:
        """The next command's bytes, in the session where there is one."""
        mac_size = 0
        if self.secure:
            block = b"\x02\x17" if data else b"\x02\x15"
            data = cbc(self.enc, invert(self.reply_mac), pad(data)) if data else b""
            mac_size = 4
        body = block + bytes([code]) + data
        size = 5 + len(body) + mac_size + (2 if self.crc else 1)
        control = self.sequence + (4 if self.crc else 0) + (8 if block else 0)
        head = bytes([0x53, self.address]) + size.to_bytes(2, "little") + bytes([control])
        frame = head + body
        if self.secure:
            self.command_mac = self.mac(frame, self.reply_mac)
            frame += self.command_mac[:4]
        self.last = frame + check(frame, self.crc)
        return self.last

    def read(self, raw: bytes) -> Reply:
        """A reply, believed; the sequence moves on. Raises PanelError."""
        reply = self._parse(raw)
        if reply.code == BUSY and reply.sequence == 0 and not reply.sealed:
            return reply  # the same bytes have to go out again
        if reply.sequence != self.sequence:
            raise PanelError("sequence")
        if self.secure and not reply.sealed:
            raise PanelError("clear text in a session")
        if reply.sealed:
            reply = self._open(raw, reply)
        self.sequence = self.sequence % 3 + 1
        return reply

    def _parse(self, raw: bytes) -> Reply:
        end = len(raw) - (2 if self.crc else 1)
        if len(raw) < 7 or raw[0] != 0x53 or int.from_bytes(raw[2:4], "little") != len(raw):
            raise PanelError("length")
        if raw[end:] != check(raw[:end], self.crc):
            raise PanelError("check")
        if raw[1] != self.address | 0x80:
            raise PanelError("address")
        block = raw[5 : 5 + raw[5]] if raw[4] & 8 else b""
        sealed = block[1:2] in {b"\x16", b"\x18"}
        at = 5 + len(block)
        data = raw[at + 1 : end - (4 if sealed else 0)]
        return Reply(raw[at], data, block, raw[4] & 3, sealed)

    def _open(self, raw: bytes, reply: Reply) -> Reply:
        end = len(raw) - (2 if self.crc else 1)
        reply_mac = self.mac(raw[: end - 4], self.command_mac)
        if reply_mac[:4] != raw[end - 4 : end]:
            raise PanelError("MAC")
        self.reply_mac = reply_mac
        data = reply.data
        if data:
            decryptor = Cipher(AES(self.enc), CBC(invert(self.command_mac))).decryptor()
            data = unpad(decryptor.update(data) + decryptor.finalize())
        return dataclasses.replace(reply, data=data)

    def restart(self) -> None:
        """As after an error: sequence 0, no session."""
        self.sequence, self.secure = 0, False


class DirectPanel(Panel):
    """Asks a device without a line; the test says what time it is."""

    def __init__(self, device: SimulatedOsdpDevice, *, crc: bool = True) -> None:
        super().__init__(device.address, crc=crc)
        self.device = device
        self.now_s = 1000.0

    def ask(self, code: int, data: bytes = b"", block: bytes = b"") -> Reply:
        return self.again(self.build(code, data, block))

    def again(self, raw: bytes) -> Reply:
        reply = self.device.handle(raw, self.now_s)
        if reply is None:
            raise PanelError("silence")
        return self.read(reply)

    def refused(self, code: int, data: bytes = b"", block: bytes = b"") -> int:
        """The code of the NAK; it must be one."""
        reply = self.ask(code, data, block)
        assert reply.code == NAK
        return reply.data[0]

    def open_session(self, key: bytes = KEY, number: int = 1) -> None:
        """The whole handshake, each step checked. Raises PanelError."""
        self.restart()
        assert self.ask(POLL).code == ACK
        reply = self.ask(CHLNG, NONCE, bytes([3, 0x11, number]))
        cryptogram = self.believe_challenge(reply, key, number)
        reply = self.ask(SCRYPT, cryptogram, bytes([3, 0x13, number]))
        self.believe_rmac(reply, cryptogram)

    def believe_challenge(self, reply: Reply, key: bytes, number: int) -> bytes:
        if reply.code != CCRYPT:
            raise PanelError("refused")
        if reply.block != bytes([3, 0x12, number]):
            raise PanelError("another key than asked for")
        self.derive(key, NONCE)
        device_nonce = reply.data[8:16]
        if reply.data[16:] != cbc(self.enc, bytes(16), NONCE + device_nonce):
            raise PanelError("cryptogram")
        return cbc(self.enc, bytes(16), device_nonce + NONCE)

    def believe_rmac(self, reply: Reply, cryptogram: bytes) -> None:
        if reply.block != b"\x03\x14\x01":
            raise PanelError("RMAC_I status")
        self.reply_mac = cbc(self.mac2, bytes(16), cbc(self.mac1, bytes(16), cryptogram))
        if reply.code != RMAC_I or reply.data != self.reply_mac:
            raise PanelError("RMAC_I")
        self.secure = True


class LinePanel(Tty):
    """The panel's end of a line."""

    def __init__(self, link: Path, line: SimulatedOsdpLine) -> None:
        super().__init__(link)
        self.line = line

    async def ask(self, panel: Panel, code: int, data: bytes = b"") -> Reply:
        self.write(panel.build(code, data))
        return panel.read(await self.frame())

    async def frame(self) -> bytes:
        head = await self.read(4)
        return head + await self.read(int.from_bytes(head[2:4], "little") - 4)

    async def all_of_reply(self, sent: bytes) -> bytes:
        """Whatever the line sent back, as soon as it has done with the reply."""
        replies, bytes_sent = self.line.replies, self.line.pty.bytes_sent
        self.write(sent)
        data = bytearray()

        def whole() -> bool:
            data.extend(self.read_some())
            due = self.line.pty.bytes_sent - bytes_sent
            return self.line.replies > replies and len(data) == due

        await until(whole)
        return bytes(data)
