"""One OSDP device as the panel sees it: what to send next, what an answer means. No I/O, no clock.

The caller owns the line and the time: it sends `next_frame()`, hands the frames that come to
`receive()`, sends `again()` when no answer came in `answer_within_s`, and after a few silent
tries calls `restart()`. With a key the session is secure or closed, never clear.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, StrEnum

from drivers.protocols.osdp.commands import (
    CAPABILITIES,
    CHLNG_CODE,
    IDENTIFY,
    KEY_LENGTH,
    KEYSET_CODE,
    POLL,
    SCRYPT_CODE,
    Command,
    answer_challenge,
    challenge,
    set_key,
)
from drivers.protocols.osdp.frame import (
    BROADCAST,
    SCS_11,
    SCS_12,
    SCS_13,
    SCS_14,
    SCS_15,
    SCS_16,
    SCS_17,
    SCS_18,
    Frame,
    SecurityBlock,
    encode_frame,
)
from drivers.protocols.osdp.outcome import (
    Attack,
    AttackKind,
    Busy,
    Ignored,
    KeyInstalled,
    Opened,
    Outcome,
    Progress,
    Refused,
    Replied,
)
from drivers.protocols.osdp.replies import (
    ACK_CODE,
    BUSY_CODE,
    Ack,
    Capabilities,
    ClientCryptogram,
    DeviceId,
    InitialMac,
    Nak,
    NakCode,
    decode_reply,
)
from drivers.protocols.osdp.secure_channel import DEFAULT_KEY, SecureChannel
from gatewayd.domain.ports import Malformed

_NOBODY = DeviceId(bytes(3), 0, 0, 0, (0, 0, 0))
_RANDOM_LENGTH = 8
_RECENT_MACS = 8  # a sequence number comes back after three frames, so these cover it twice
_STATUS_GOOD = b"\x01"
_SPOILT = {NakCode.CRC, NakCode.LENGTH}  # the device could not read the frame: repeat it
_LOST = {NakCode.SEQUENCE, NakCode.SECURITY_BLOCK_UNSUPPORTED, NakCode.SECURITY_NOT_MET}
_OWN_CODES = {KEYSET_CODE, CHLNG_CODE, SCRYPT_CODE}


class State(StrEnum):
    """Where a session stands; each but CLOSED and OPEN awaits the answer to its own command."""

    CLOSED = "closed"  # nothing is trusted; the next frame has sequence 0
    IDENTIFY = "identify"  # ID
    CAPABILITIES = "capabilities"  # CAP
    CHALLENGE = "challenge"  # CHLNG: the device must prove that it has the key
    CRYPT = "crypt"  # SCRYPT: the panel proves it
    INSTALL = "install"  # KEYSET, in a session made for that
    OPEN = "open"  # the caller's commands


class _Event(Enum):
    STARTED = "the first frame goes out"
    ANSWERED = "the answer is right"
    ANSWERED_CLEAR = "the answer is right, and clear text is the setting"
    ANSWERED_INSTALLING = "the answer is right, and there is a key to install"
    FAILED = "refused, attacked, or restarted"


TRANSITIONS: dict[tuple[State, _Event], State] = {
    (State.CLOSED, _Event.STARTED): State.IDENTIFY,
    (State.IDENTIFY, _Event.ANSWERED): State.CAPABILITIES,
    (State.CAPABILITIES, _Event.ANSWERED): State.CHALLENGE,
    (State.CAPABILITIES, _Event.ANSWERED_CLEAR): State.OPEN,
    (State.CHALLENGE, _Event.ANSWERED): State.CRYPT,
    (State.CRYPT, _Event.ANSWERED): State.OPEN,
    (State.CRYPT, _Event.ANSWERED_INSTALLING): State.INSTALL,
    (State.INSTALL, _Event.ANSWERED): State.CLOSED,  # to open again, under the new key
    **{(state, _Event.FAILED): State.CLOSED for state in State},
}


class Session:
    """One device. Not for two tasks at once."""

    def __init__(
        self,
        address: int,
        key: bytes | None,
        *,
        random_bytes: Callable[[int], bytes],
        use_crc: bool = True,
        install_key: bytes | None = None,
    ) -> None:
        """`key` None is clear text by setting. ValueError for keys and addresses that are none.

        `install_key` makes a session for the journaled install window, and nothing else does: it
        opens under `key`, or under SCBK-D without one, sends KEYSET, and opens under the new key.
        """
        if not 0 <= address < BROADCAST:
            raise ValueError(f"an OSDP address is 0 to 126, not {address}")
        for given in (key, install_key):
            if given is not None and (len(given) != KEY_LENGTH or given == DEFAULT_KEY):
                raise ValueError(f"an OSDP key has {KEY_LENGTH} bytes and is not the default key")
        self.address = address
        self._key = key
        self._install_key = install_key
        self._random_bytes = random_bytes
        self._use_crc = use_crc
        self._state = State.CLOSED
        self._sequence = 0
        self._sent = b""  # the last frame, for repeats and echoes
        self._waiting = False  # for its answer
        self._channel: SecureChannel | None = None
        self._recent_macs: deque[bytes] = deque(maxlen=_RECENT_MACS)
        self._device_id = _NOBODY
        self._capabilities = Capabilities()

    @property
    def state(self) -> State:
        return self._state

    @property
    def needs_opening(self) -> bool:
        """`next_frame` would send the session's own command, not the caller's."""
        return self._state is not State.OPEN

    @property
    def secure(self) -> bool:
        """By setting: this session is in a secure channel or it is not open."""
        return self._key is not None or self.pairing

    @property
    def pairing(self) -> bool:
        """There is a key to install yet."""
        return self._install_key is not None

    def restart(self) -> None:
        """Close: forget the secure channel, and begin anew with sequence 0."""
        self._move(_Event.FAILED)
        self._close()

    def next_frame(self, command: Command | None = None) -> bytes:
        """The bytes to send: while opening the session's own command, else `command` or a POLL.

        ValueError for a command that the session alone may send, or that is too long for a frame:
        nothing has changed then. RuntimeError while the last frame is unanswered.
        """
        if self._waiting:
            raise RuntimeError("the last OSDP frame is unanswered: again() or restart() first")
        if command is not None and command.code in _OWN_CODES:
            raise ValueError("KEYSET, CHLNG and SCRYPT are the OSDP session's own commands")
        if self._state is State.CLOSED:
            self._move(_Event.STARTED)
        self._sent = self._encode(self._own_command() or command or POLL)
        self._waiting = True
        return self._sent

    def again(self) -> bytes:
        """The same bytes again, with the same number: the device repeats the answer it gave."""
        if not self._waiting:
            raise RuntimeError("no OSDP frame is unanswered")
        return self._sent

    def reveal(self, data: bytes) -> bytes | None:
        """What a captured command of this very session says: `data` under SCS_17, before the
        session goes on to say it again. None outside a secure channel, or where it is none."""
        return None if self._channel is None else self._channel.unseal(data)

    def receive(self, frame: Frame) -> Outcome:
        """What a frame means. After an Attack the session is closed."""
        if not frame.is_reply:
            return self._overhear(frame)
        if frame.address != self.address:
            return Ignored("another device's reply")
        if not self._waiting:
            return Ignored("reply to nothing")
        if frame.block is None and frame.code == BUSY_CODE:
            return Busy()  # in clear and with sequence 0, always: it tells nothing but "repeat"
        nak = _clear_nak(frame)
        # A device that lost count, or its power, may answer with its first number.
        if nak is not None and (
            frame.sequence == self._sequence or (nak.code in _LOST and frame.sequence == 0)
        ):
            return self._refuse(nak)
        if frame.sequence != self._sequence:
            return Ignored("reply to an earlier frame")
        if self._state is State.CHALLENGE:
            return self._take_cryptogram(frame)
        if self._state is State.CRYPT:
            return self._take_initial_mac(frame)
        if self._channel is not None:
            return self._take_secured(frame, self._channel)
        return self._take_clear(frame)

    def _own_command(self) -> Command | None:
        if self._state is State.IDENTIFY:
            return IDENTIFY
        if self._state is State.CAPABILITIES:
            return CAPABILITIES
        if self._state is State.CHALLENGE:
            random_a = self._random_bytes(_RANDOM_LENGTH)
            self._channel = SecureChannel(self._key or DEFAULT_KEY, random_a)
            return challenge(random_a)
        if self._state is State.CRYPT and self._channel is not None:
            return answer_challenge(self._channel.cryptogram)
        if self._state is State.INSTALL and self._install_key is not None:
            return set_key(self._install_key)
        return None

    def _encode(self, command: Command) -> bytes:
        data, block, sign = command.data, None, None
        if self._state is State.CHALLENGE:
            block = SecurityBlock(SCS_11, self._key_byte)
        elif self._state is State.CRYPT:
            block = SecurityBlock(SCS_13, self._key_byte)
        elif self._channel is not None:
            block, sign = SecurityBlock(SCS_17 if data else SCS_15), self._channel.sign
            data = self._channel.seal(data) if data else data
        return encode_frame(
            self.address,
            command.code,
            data,
            sequence=self._sequence,
            use_crc=self._use_crc,
            block=block,
            sign=sign,
        )

    @property
    def _key_byte(self) -> bytes:
        return b"\x00" if self._key is None else b"\x01"

    def _overhear(self, frame: Frame) -> Outcome:
        """A command: our own, as an adapter echoes it, or somebody else's."""
        if frame.raw == self._sent:
            return Ignored("echo")
        ours = frame.address in (self.address, BROADCAST)
        if ours and frame.code == KEYSET_CODE and self.secure:
            return self._attack(AttackKind.FOREIGN_KEYSET, "KEYSET that this panel did not send")
        return Ignored("a command, not a reply")

    def _refuse(self, nak: Nak) -> Outcome:
        """A NAK in clear. It proves nothing, so the most it can do is to end the session."""
        if nak.code in _SPOILT:
            return Busy()
        handshake = self._state in (State.CHALLENGE, State.CRYPT)
        if handshake and nak.code != NakCode.SEQUENCE:
            return self._attack(AttackKind.DOWNGRADE, f"handshake refused: {nak.reason}")
        if self._state is State.CAPABILITIES and nak.code not in _LOST:
            return self._go_on(Capabilities())  # a request for status takes no reader offline
        if self._state is State.OPEN and self._channel is None and nak.code not in _LOST:
            self._answered()
        else:
            self.restart()
        return Refused(nak)

    def _take_clear(self, frame: Frame) -> Outcome:
        if frame.block is not None:
            return Ignored("security block outside a secure channel")
        reply = decode_reply(frame.code, frame.data)
        if self._state is State.OPEN:
            self._answered()
            return Replied(reply)
        if self._state is State.IDENTIFY and isinstance(reply, DeviceId):
            self._device_id = reply
            self._move(_Event.ANSWERED)
            self._answered()
            return Progress()
        if self._state is State.CAPABILITIES and isinstance(reply, Capabilities):
            return self._go_on(reply)
        return Ignored(f"reply {frame.code:#04x} is not what was asked for")

    def _go_on(self, capabilities: Capabilities) -> Outcome:
        """What the device can do is told: now the secure channel, or clear text by setting."""
        if self.secure and capabilities.denies_secure_channel:
            return self._attack(AttackKind.DOWNGRADE, "the device denies having a secure channel")
        self._capabilities = capabilities
        self._move(_Event.ANSWERED if self.secure else _Event.ANSWERED_CLEAR)
        self._answered()
        return Progress() if self.secure else self._opened()

    def _take_cryptogram(self, frame: Frame) -> Outcome:
        block, channel = frame.block, self._channel
        reply = decode_reply(frame.code, frame.data)
        if block is None or block.type != SCS_12 or channel is None:
            return self._attack(AttackKind.DOWNGRADE, "the challenge was answered without SCS_12")
        if block.data != self._key_byte:
            default = block.data == b"\x00"
            kind = AttackKind.DEFAULT_KEY if default else AttackKind.WRONG_CRYPTOGRAM
            return self._attack(kind, "the challenge was answered under another key than asked for")
        if not isinstance(reply, ClientCryptogram) or not channel.check_device(
            reply.random_b, reply.cryptogram
        ):
            return self._attack(AttackKind.WRONG_CRYPTOGRAM, "the device does not know the key")
        self._move(_Event.ANSWERED)
        self._answered()
        return Progress()

    def _take_initial_mac(self, frame: Frame) -> Outcome:
        block, channel = frame.block, self._channel
        reply = decode_reply(frame.code, frame.data)
        if block is None or block.type != SCS_14 or channel is None:
            return self._attack(AttackKind.CLEAR_TEXT, "SCRYPT was answered without SCS_14")
        if block.data != _STATUS_GOOD:
            return self._attack(AttackKind.RMAC_STATUS, "the device rejects the panel's proof")
        if not isinstance(reply, InitialMac) or not channel.check_initial_mac(reply.mac):
            return self._attack(AttackKind.WRONG_MAC, "initial MAC")
        self._move(_Event.ANSWERED_INSTALLING if self.pairing else _Event.ANSWERED)
        self._answered()
        return Progress() if self.pairing else self._opened()

    def _take_secured(self, frame: Frame, channel: SecureChannel) -> Outcome:
        if frame.block is None:
            # Some readers acknowledge KEYSET in clear: exactly that passes, since the session then
            # closes, and only a device that has the new key gets any further.
            if self._state is State.INSTALL and frame.code == ACK_CODE and not frame.data:
                return self._installed()
            return self._attack(AttackKind.CLEAR_TEXT, f"reply {frame.code:#04x} in clear text")
        if frame.block.type not in (SCS_16, SCS_18) or not channel.verify(frame.covered, frame.mac):
            replayed = frame.mac in self._recent_macs
            kind = AttackKind.REPLAY if replayed else AttackKind.WRONG_MAC
            return self._attack(kind, f"reply {frame.code:#04x}")
        self._recent_macs.append(frame.mac)
        return self._take_genuine(frame, channel)

    def _take_genuine(self, frame: Frame, channel: SecureChannel) -> Outcome:
        """The MAC is right. SCS_16 with data is not secret, yet no less genuine: it passes."""
        encrypted = frame.block is not None and frame.block.type == SCS_18
        data = channel.open(frame.data) if encrypted else frame.data
        reply = Malformed("encryption") if data is None else decode_reply(frame.code, data)
        if self._state is State.INSTALL and isinstance(reply, Ack):
            return self._installed()
        self._answered()
        if self._state is State.INSTALL or (isinstance(reply, Nak) and reply.code in _LOST):
            self.restart()
        return Refused(reply) if isinstance(reply, Nak) else Replied(reply)

    def _installed(self) -> Outcome:
        self._key, self._install_key = self._install_key, None
        self._move(_Event.ANSWERED)
        self._close()
        return KeyInstalled()

    def _opened(self) -> Outcome:
        return Opened(self._device_id, self._capabilities, self.secure)

    def _attack(self, kind: AttackKind, detail: str) -> Attack:
        self.restart()
        return Attack(kind, detail)

    def _answered(self) -> None:
        self._waiting = False
        self._sequence = self._sequence % 3 + 1  # 0, 1, 2, 3, 1: nought only begins

    def _close(self) -> None:
        self._sequence = 0
        self._waiting = False
        self._channel = None

    def _move(self, event: _Event) -> None:
        self._state = TRANSITIONS[self._state, event]


def _clear_nak(frame: Frame) -> Nak | None:
    """The NAK that a frame without security is."""
    reply = decode_reply(frame.code, frame.data) if frame.block is None else None
    return reply if isinstance(reply, Nak) else None
