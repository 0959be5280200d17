"""How far a device's pairing has come, and what came of it. Owns which ways lead to the new key;
speaks with nobody, and writes no file.

Each way is tried once. The first that the device itself refuses for good ends the pairing; one that
is silent, busy or loses its power is tried on until the window is over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from drivers.protocols.osdp.replies import Nak, NakCode
from drivers.protocols.osdp.session import State
from gatewayd.domain.ports import DeviceError

# A device that lost its session, as after a power-up, says one of these: KEYSET goes once more.
_LOST = {NakCode.SEQUENCE, NakCode.SECURITY_BLOCK_UNSUPPORTED, NakCode.SECURITY_NOT_MET}


@dataclass(frozen=True, slots=True)
class Way:
    """A session `under` a key (None: the default key) in which `install` is set, if it is given."""

    under: bytes | None = field(repr=False)
    install: bytes | None = field(repr=False)


class Pairing:
    """One device's. `done` is what came of it, or a DeviceError."""

    def __init__(self, key: bytes, under: bytes | None, *, left_over: bytes | None) -> None:
        """`left_over`: `key` was sent in an earlier window, and perhaps taken."""
        self.key = key
        self.ways = deque([Way(under, key)])
        if left_over is not None:
            self.ways.appendleft(Way(key, None))
        self.done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.told = left_over is not None  # the device may have the key
        self.acknowledged = False
        self._default = under is None
        self._asked: State | None = None

    @property
    def succeeded(self) -> bool:
        return self.done.done() and not self.done.cancelled() and self.done.exception() is None

    def asks(self, state: State) -> None:
        """The session's own command goes out. Once the new key does, its acknowledgement may be
        lost: then the new key leads on."""
        self._asked = state
        if state is State.INSTALL:
            self.told = True
            if Way(self.key, None) not in self.ways:
                self.ways.append(Way(self.key, None))

    def refused(self, nak: Nak) -> None:
        if self._asked is State.INSTALL and nak.code not in _LOST:
            self.fail(f"it refuses to take a key ({nak.reason})")

    def why_not(self, reason: str) -> str:
        """Why no session opens, for whoever stands before the device."""
        if self.acknowledged:
            return f"it acknowledged the new key and does not use it ({reason})"
        if self._default:
            return (
                f"it does not open under the default key ({reason}): it has a key already; set it"
                " back to its delivery state as its maker says, or write its key into key_file"
            )
        return (
            f"it does not know the key in key_file ({reason}): if it was replaced or reset, pair"
            " it as a new device"
        )

    def succeed(self, detail: str) -> None:
        if not self.done.done():
            self.done.set_result(detail)

    def fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(DeviceError(reason))
