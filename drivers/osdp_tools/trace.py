"""Frames of a line as lines for people, and its secure channels where the key is known. No I/O.

Follows each address from its handshake on as a listener does: it can't tell what was said before.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from drivers.osdp_tools.words import command_name, command_says, reply_name, reply_says
from drivers.protocols.osdp.frame import (
    BROADCAST,
    SCS_11,
    SCS_12,
    SCS_13,
    SCS_14,
    SCS_17,
    SCS_18,
    Frame,
)
from drivers.protocols.osdp.pieces import Piece
from drivers.protocols.osdp.replies import ClientCryptogram, InitialMac, decode_reply
from drivers.protocols.osdp.secure_channel import DEFAULT_KEY, SecureChannel
from gatewayd.domain.ports import Malformed

MAX_SHOWN = 16  # bytes of what is no frame
_HANDSHAKE = (SCS_11, SCS_12, SCS_13, SCS_14)


@dataclass(slots=True)
class _Talk:
    """With one address."""

    channel: SecureChannel | None = None
    default: bool = False  # under the key that everybody has
    command: bytes = b""  # the last one, to know a repeat
    reply: bytes = b""


@dataclass(slots=True)
class Trace:
    """`key`: of the devices whose secure channel is to be opened; the default key is known."""

    key: bytes | None = field(default=None, repr=False)
    personal: bool = False
    _talks: dict[int, _Talk] = field(default_factory=dict)

    def tell(self, piece: Piece) -> str:
        """The piece in one line. What is encrypted and can't be opened is told as that."""
        frame = piece.found
        if isinstance(frame, Malformed):
            shown = piece.raw[:MAX_SHOWN].hex(" ")
            more = " …" if len(piece.raw) > MAX_SHOWN else ""
            return f"  ?   malformed: {frame.reason}: {len(piece.raw)} bytes, {shown}{more}"
        talk = self._talks.setdefault(frame.address, _Talk())
        repeated = frame.raw == (talk.reply if frame.is_reply else talk.command)
        if frame.is_reply:
            told = self._reply(frame, talk, repeated=repeated)
            talk.reply = frame.raw
        else:
            told = self._command(frame, talk, repeated=repeated)
            talk.command, talk.reply = frame.raw, talk.reply if repeated else b""
        return told

    def _command(self, frame: Frame, talk: _Talk, *, repeated: bool) -> str:
        if frame.sequence == 0:
            talk.channel = None  # OSDP 2.2: it begins anew, in clear
        name = command_name(frame.code)
        if repeated:
            return _line(frame, name, "", "the same again")
        if frame.block is None:
            return _line(frame, name, "clear", command_says(frame.code, frame.data))
        if frame.block.type in _HANDSHAKE:
            return _line(frame, name, self._handshake(frame, talk), command_says(frame.code, b""))
        channel = talk.channel
        if channel is None:
            return _line(frame, name, "secure, not opened", _hidden(frame))
        sealed = frame.block.type == SCS_17
        data = channel.unseal(frame.data) if sealed else frame.data
        if channel.sign(frame.covered) != frame.mac:
            return self._lost(frame, talk, name)
        says = "malformed: encryption" if data is None else command_says(frame.code, data)
        return _line(frame, name, _secure(talk), says)

    def _reply(self, frame: Frame, talk: _Talk, *, repeated: bool) -> str:
        name = reply_name(frame.code)
        if repeated:
            return _line(frame, name, "", "the same again")
        if frame.block is None:
            return _line(frame, name, "clear", self._says(frame, frame.data))
        if frame.block.type in _HANDSHAKE:
            return _line(frame, name, self._handshake(frame, talk), self._says(frame, frame.data))
        channel = talk.channel
        if channel is None:
            return _line(frame, name, "secure, not opened", _hidden(frame))
        if not channel.verify(frame.covered, frame.mac):
            return self._lost(frame, talk, name)
        data = channel.open(frame.data) if frame.block.type == SCS_18 else frame.data
        says = "malformed: encryption" if data is None else self._says(frame, data)
        return _line(frame, name, _secure(talk), says)

    def _says(self, frame: Frame, data: bytes) -> str:
        return reply_says(decode_reply(frame.code, data), personal=self.personal)

    def _lost(self, frame: Frame, talk: _Talk, name: str) -> str:
        """Forged, or one before it was missed: what follows can't be told either."""
        talk.channel = None
        return _line(frame, name, "secure, MAC WRONG", "nothing after it can be opened")

    def _handshake(self, frame: Frame, talk: _Talk) -> str:
        """Follow it; what it says of the key."""
        assert frame.block is not None  # noqa: S101  # the caller looked
        default = frame.block.data == b"\x00"
        which = "default key" if default else "own key"
        reply = decode_reply(frame.code, frame.data) if frame.is_reply else None
        match frame.block.type:
            case 0x11:
                talk.default = default
                key = DEFAULT_KEY if default else self.key
                known = key is not None and len(frame.data) == 8
                talk.channel = SecureChannel(key, frame.data) if key is not None and known else None
            case 0x12 if isinstance(reply, ClientCryptogram) and talk.channel is not None:
                if not talk.channel.check_device(reply.random_b, reply.cryptogram):
                    talk.channel = None
                    return f"handshake, {which}: PROOF WRONG under the key that was given"
            case 0x14:
                if isinstance(reply, InitialMac) and talk.channel is not None:
                    right = talk.channel.check_initial_mac(reply.mac)
                    talk.channel = talk.channel if right else None
                good = frame.block.data == b"\x01"
                return "handshake, done" if good else "handshake, THE PANEL'S PROOF IS REJECTED"
            case _:
                pass
        return f"handshake, {which}"


def _secure(talk: _Talk) -> str:
    return "secure, DEFAULT KEY" if talk.default else "secure"


def _hidden(frame: Frame) -> str:
    return f"{len(frame.data)} bytes, encrypted" if frame.data else ""


def _line(frame: Frame, name: str, how: str, says: str) -> str:
    address = "all" if frame.address == BROADCAST else f"{frame.address:3}"
    way = "<" if frame.is_reply else ">"
    check = "" if frame.has_crc else ", checksum"
    said = f" {says}" if says else ""
    return f"{address} {way} {frame.sequence} {name:<8} [{how or 'repeat'}{check}]{said}"
