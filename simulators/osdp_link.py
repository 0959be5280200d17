"""The device's end of an OSDP link: sequence, the cached reply, the session, what is refused before
it is carried out. Owns no state of the device itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from simulators.line_faults import LineFaults
from simulators.osdp_faults import MiddleMan, OsdpFault
from simulators.osdp_secure import PdSession, SecurityError
from simulators.osdp_wire import REPLY, Cmd, Frame, FrameError, Nak, Rep, decode, encode


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply before it has a sequence and, in a session, a MAC."""

    code: int
    data: bytes = field(default=b"", repr=False)
    block: bytes = b""


class RefusedError(Exception):
    """The command gets a NAK."""

    def __init__(self, nak: Nak) -> None:
        super().__init__(f"refused: {nak.name.lower()}")
        self.nak = nak


CarryOut = Callable[[Frame, bytes, bool], Answer]  # command, data in clear, whether it was sealed


class PdLink:
    """Turns frames into replies. `carry_out` may raise RefusedError."""

    def __init__(self, faults: LineFaults, source: random.Random, carry_out: CarryOut) -> None:
        self.session: PdSession | None = None
        self.commands = 0  # carried out, none refused
        self.retries = 0  # answered from the cache
        self.refused = 0
        self.security_errors = 0
        self._faults = faults
        self._carry_out = carry_out
        self._middle = MiddleMan(faults, source)
        self._sequence: int | None = None  # None: only 0 may come
        self._last: tuple[bytes, bytes] = b"", b""  # a command and its honest reply

    @property
    def in_sequence(self) -> bool:
        """Whether a panel has begun."""
        return self._sequence is not None

    @property
    def secure(self) -> bool:
        return self.session is not None and self.session.established

    def drop(self) -> None:
        """The panel is gone, or the power was."""
        self.session = None
        self._sequence = None
        self._last = b"", b""

    def reply(self, raw: bytes, *, naks_bad_check: bool) -> bytes | None:
        """What the panel gets, if need be forged on the way; None for silence."""
        try:
            command = decode(raw)
        except FrameError as error:
            if not naks_bad_check:
                return None
            at = Frame(raw[1], raw[4] & 3, 0, crc=bool(raw[4] & 4))
            return self._clear(at, self._nak(error.nak))
        if self._faults.take(OsdpFault.BUSY) is not None:
            at = Frame(command.address, 0, 0, crc=command.crc)
            return self._clear(at, Answer(Rep.BUSY))  # the sequence stands: the panel repeats
        if command.sequence == 0:
            self.drop()
        elif command.sequence == self._sequence and raw == self._last[0]:
            self.retries += 1
            return self._middle.forge(self._last[1], command.code)
        elif self._sequence is None or command.sequence != self._sequence % 3 + 1:
            return self._clear(command, self._nak(Nak.SEQUENCE))
        self._sequence = command.sequence
        honest = self._honest(raw, command)
        self._last = raw, honest
        return self._middle.forge(honest, command.code)

    def _honest(self, raw: bytes, command: Frame) -> bytes:
        """As secure as the command was."""
        if not command.sealed:
            return self._clear(command, self._answer(command, command.data, sealed=False))
        session = self.session
        if session is None or not session.established:
            return self._clear(command, self._nak(Nak.SECURITY))
        try:
            data = session.open(raw, command)
        except SecurityError:
            self.session = None
            return self._clear(command, self._nak(Nak.SECURITY))
        answer = self._answer(command, data, sealed=True)
        keyset = command.code == Cmd.KEYSET and answer.code == Rep.ACK
        if keyset and self._faults.take(OsdpFault.CLEAR_KEYSET_ACK) is not None:
            return self._clear(command, answer)
        address, sequence = command.address | REPLY, command.sequence
        return session.seal(Frame(address, sequence, answer.code, answer.data, crc=command.crc))

    def _answer(self, command: Frame, data: bytes, *, sealed: bool) -> Answer:
        try:
            if (code := self._faults.take(OsdpFault.NAK)) is not None:
                self.refused += 1
                return Answer(Rep.NAK, bytes([int(code)]))
            answer = self._carry_out(command, data, sealed)
        except RefusedError as refusal:
            return self._nak(refusal.nak)
        self.commands += 1
        return answer

    def _nak(self, code: Nak) -> Answer:
        self.refused += 1
        self.security_errors += code in {Nak.SECURITY, Nak.BLOCK}
        return Answer(Rep.NAK, bytes([code]))

    @staticmethod
    def _clear(command: Frame, answer: Answer) -> bytes:
        address, sequence = command.address | REPLY, command.sequence
        return encode(
            Frame(address, sequence, answer.code, answer.data, answer.block, crc=command.crc)
        )
