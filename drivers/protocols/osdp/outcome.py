"""What a frame that came in means to the panel. Must not decide it: that is `session`'s."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from drivers.protocols.osdp.replies import Capabilities, DeviceId, Nak, Reply
from gatewayd.domain.ports import Malformed


class AttackKind(StrEnum):
    """What can't be noise, because the check was right, and is no device of ours either."""

    CLEAR_TEXT = "clear_text"  # a reply without security inside a secure session
    WRONG_MAC = "wrong_mac"
    REPLAY = "replay"  # the MAC of an earlier reply
    WRONG_CRYPTOGRAM = "wrong_cryptogram"  # the device does not know the key
    DEFAULT_KEY = "default_key"  # SCBK-D offered where the device's own key was asked for
    RMAC_STATUS = "rmac_status"  # the device says that the panel's proof is wrong
    DOWNGRADE = "downgrade"  # no secure channel, though a key is set
    FOREIGN_KEYSET = "foreign_keyset"  # somebody else on the bus sets this device's key


@dataclass(frozen=True, slots=True)
class Opened:
    """The session is open: commands may go out."""

    device_id: DeviceId
    capabilities: Capabilities
    secure: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """The opening goes on: send `next_frame`."""


@dataclass(frozen=True, slots=True)
class KeyInstalled:
    """KEYSET was acknowledged. The session is closed; to open under the new key is the proof."""


@dataclass(frozen=True, slots=True)
class Replied:
    """The command is answered; Malformed where the answer, though genuine, makes no sense."""

    reply: Reply | Malformed


@dataclass(frozen=True, slots=True)
class Refused:
    """The device will not. `needs_opening` tells whether the session ended with it."""

    nak: Nak


@dataclass(frozen=True, slots=True)
class Busy:
    """The command was not taken (BUSY, or spoilt on its way): send `again`, a few times."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Not the answer: go on waiting for it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Attack:
    """The session is closed and nothing of the frame was used. Raise an alarm."""

    kind: AttackKind
    detail: str


Outcome = Opened | Progress | KeyInstalled | Replied | Refused | Busy | Ignored | Attack
