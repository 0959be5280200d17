"""One OSDP device on its bus: its session, what it is still to be told, and who listens to it.

Owns no line and no time: `drivers.buses.osdp` gives it its turns. A reader and a board of the same
address share one. Which key it is spoken to under is `osdp_sessions`'s to say.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from drivers.buses.osdp_keys import KeyFile
from drivers.buses.osdp_sessions import SessionChoice
from drivers.protocols.osdp.commands import LOCAL_STATUS, POLL, Command
from drivers.protocols.osdp.frame import REPLY_DELAY_S
from drivers.protocols.osdp.outcome import Attack, AttackKind, KeyInstalled, Opened, Progress
from drivers.protocols.osdp.replies import Capabilities, DeviceId, LocalStatus, Nak, Reply
from drivers.protocols.osdp.session import Session, State
from gatewayd.domain.model import NS_PER_S, Stamp
from gatewayd.domain.ports import (
    DeviceError,
    Malformed,
    Offline,
    Online,
    PowerChanged,
    SecurityFailed,
    TamperChanged,
)

MAX_ORDERS = 64  # waiting for a turn; a device that takes none of them loses the oldest signs
ATTEMPTS = 3  # of one frame, always the same bytes, before the session is given up
MAX_BUSY_S = 8.0  # with one frame: a reader may think for seconds, not for ever
PROBE_EVERY_S = 1.0  # back within 1.5 s, and the others on the bus hardly notice
PROBE_PATIENCE_S = 0.025  # for the first byte of one that is away, unless it is known to be slower
LONG_PROBE_EVERY = 10  # each tenth probe waits as long as the standard allows
SLOWNESS_KEPT = 0.99  # of the slowest answer, at each answer: one slow moment is forgotten
ATTACKED_PAUSE_S = 3.0

# Where the device must prove that it has the key; three silent tries there are no lost byte.
_PROOFS = frozenset({State.CHALLENGE, State.CRYPT})

# What comes of another key than the device has, and of none.
UNPROVED = frozenset(
    {AttackKind.WRONG_CRYPTOGRAM, AttackKind.DEFAULT_KEY, AttackKind.RMAC_STATUS}
    | {AttackKind.DOWNGRADE}
)

DeviceEvent = Online | Offline | Malformed | TamperChanged | PowerChanged | SecurityFailed


class RefusedError(DeviceError):
    """The device is there, and will not."""


class Part(Protocol):
    """A reader or a board at the device's address. All methods return at once."""

    def heard(self, reply: Reply, stamp: Stamp) -> None:
        """What the device says of cards, keys, inputs and outputs."""

    def told(self, event: DeviceEvent) -> None:
        """What becomes of the device itself."""

    def opened(self) -> None:
        """Its session is new: it may know nothing of what it was told before."""


class Standing:
    """What a part was last told of its device, once of each kind: the bus may run before anybody
    listens to the part, and whoever begins to listen must know how things stand."""

    def __init__(self) -> None:
        self._events: dict[type, DeviceEvent] = {}

    def __iter__(self) -> Iterator[DeviceEvent]:
        return iter(tuple(self._events.values()))

    def note(self, event: DeviceEvent) -> None:
        match event:
            case Online():  # what held before it is over
                self._events = {Online: event}
            case Offline():
                self._events.pop(Online, None)
                self._events[Offline] = event
            case Malformed():
                pass
            case _:
                self._events[type(event)] = event


@dataclass(frozen=True, slots=True)
class Order:
    """A command that waits for its turn; `answered` is whoever waits for the device's word."""

    command: Command
    answered: asyncio.Future[Reply] | None = None

    @property
    def given_up(self) -> bool:
        """Whoever waited for it waits no more."""
        return self.answered is not None and self.answered.done()

    def settle(self, reply: Reply | DeviceError) -> None:
        if self.answered is None or self.answered.done():
            return
        if isinstance(reply, DeviceError):
            self.answered.set_exception(reply)
        else:
            self.answered.set_result(reply)


class OsdpDevice:
    """Made by the bus, one for each address. `keys` None is clear text, by setting."""

    def __init__(self, address: int, keys: KeyFile | None, *, use_crc: bool = True) -> None:
        """Raises ValueError for an address or a key that is none."""
        self.address = address
        self.use_crc = use_crc
        self._choice = SessionChoice(address, keys, use_crc=use_crc)
        self.session = self._choice.first()
        self.parts: list[Part] = []
        self.online: bool | None = None  # None: nothing was said yet
        self.capabilities = Capabilities()  # as it said when its session was opened last
        self.probe_at_ns = 0
        self._orders: deque[Order] = deque()  # those that somebody waits for come first
        self._on_line: Order | None = None  # sent, and not answered yet
        self._unanswered = False  # a frame is out; it goes again as it was
        self._poll_next = False  # after an order a poll: no card is kept waiting by lights
        self._tries = 0
        self._busy_since_ns: int | None = None
        self._alarmed = False  # SecurityFailed was told, and the device is not online again
        self._status: LocalStatus | None = None  # as told since it is online
        self._probes = 0
        self._slowest_s = 0.0  # from the command's end to the answer's first byte

    def __repr__(self) -> str:
        return f"OsdpDevice({self.address})"

    # --------------------------------------------------------------------------- its key

    @property
    def key_path(self) -> Path | None:
        return self._choice.key_path

    @property
    def unpaired(self) -> bool:
        """It has no key yet, and nobody gives it one now: it is not spoken to."""
        return self._choice.unpaired

    @property
    def pairing(self) -> bool:
        """A key is being given to it."""
        return self._choice.pairing is not None

    def renew(self) -> None:
        """Open its session anew at its next turn, as at a start; nobody is told of it."""
        self._begin_anew("its session begins anew")
        self._poll_next = False
        # Its parts say again how it should rest; what nobody waits for must not come in between.
        self._orders = deque(order for order in self._orders if order.answered is not None)

    def begin(self, now_ns: int) -> None:
        """The bus begins, or begins anew."""
        if self.unpaired:
            self.lost(self._choice.without_key, now_ns, 0.0)
        elif self.online:  # from before a restart of the bus
            self.lost("its bus begins anew", now_ns, 0.0)

    async def pair(self, *, new_device: bool) -> str:
        """Give it a new key, as `gatewayd.domain.ports.Pairable` tells: under the key it has, or
        under the default key where it has none or is a `new_device`. Raises DeviceError."""
        pairing = await self._choice.begin_pairing(new_device=new_device)
        self._use(self._choice.another())
        try:
            return await pairing.done
        finally:
            self._use(await self._choice.end_pairing())
            if self.unpaired:
                self._say_offline(self._choice.without_key)

    async def settle_key(self) -> None:
        """The bus calls this after each turn: an opened session may tell which key is right."""
        await self._choice.settle()

    def _use(self, session: Session | None) -> None:
        """From the next turn on; None: as before."""
        if session is not None:
            self._begin_anew("its key changes")
            self.session = session
            self.probe_at_ns = 0

    # --------------------------------------------------------------------------- its turns

    @property
    def urgent(self) -> bool:
        """Something waits to be said to a device that can be spoken to."""
        waits = bool(self._orders) and not self._poll_next
        return waits and self.online is True and not self._unanswered

    def next_frame(self) -> bytes:
        """The bytes of this turn: those without an answer again, an order, or a poll.

        An order that was given up is not repeated: it would come true when nobody expects it. What
        the device has of it is not known, so the session begins anew."""
        if self._on_line is not None and self._on_line.given_up:
            self._begin_anew("the order was given up")
        if self._unanswered:
            return self.session.again()
        self._unanswered = True
        if self.session.needs_opening:
            frame = self.session.next_frame()
            if self._choice.pairing is not None:
                self._choice.pairing.asks(self.session.state)
            return frame
        take = bool(self._orders) and not self._poll_next
        self._poll_next = take
        self._on_line = self._orders.popleft() if take else None
        return self.session.next_frame(POLL if self._on_line is None else self._on_line.command)

    def patience_s(self) -> float:
        """How long to wait for the first byte. One that is away gets little, and now and then
        what the standard allows: a slow one must be able to come back."""
        known = self.online or self._choice.pairing is not None
        if known or self.session.state is not State.IDENTIFY:
            return REPLY_DELAY_S
        self._probes += 1
        if not self._probes % LONG_PROBE_EVERY:
            return REPLY_DELAY_S
        return min(REPLY_DELAY_S, max(PROBE_PATIENCE_S, 2 * self._slowest_s))

    def answered_after(self, seconds: float) -> None:
        self._slowest_s = max(SLOWNESS_KEPT * self._slowest_s, seconds)

    def tell(self, command: Command) -> None:
        """Say it in a coming turn. Past the cap the oldest that nobody waits for is dropped."""
        if self._has_room():
            self._orders.append(Order(command))

    async def ask(self, command: Command) -> Reply:
        """Say it before all that nobody waits for, and what the device answered. Raises DeviceError
        where it is away or goes away, refuses, or has too much to do. Given up by the caller, it is
        not said any more."""
        if self.online is not True:
            raise DeviceError(f"OSDP device {self.address} is not online")
        if not self._has_room():
            raise DeviceError(f"OSDP device {self.address} has {MAX_ORDERS} orders to carry out")
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        order = Order(command, answered)
        self._orders.insert(sum(each.answered is not None for each in self._orders), order)
        try:
            reply = await answered
        finally:
            if order in self._orders:
                self._orders.remove(order)
        if isinstance(reply, Nak):
            raise RefusedError(f"OSDP device {self.address} refuses: {reply.reason}")
        return reply

    def _has_room(self) -> bool:
        """For one more order, if need be instead of the oldest that nobody waits for."""
        if len(self._orders) < MAX_ORDERS:
            return True
        oldest = next((order for order in self._orders if order.answered is None), None)
        if oldest is not None:
            self._orders.remove(oldest)
        return oldest is not None

    # -------------------------------------------------------------------------- what comes

    def was_silent(self, now_ns: int) -> None:
        """No answer, or a spoilt one. An open session that is given up is opened anew before the
        device counts as away: one bad frame never takes it offline. One that says who it is and
        then nothing of its key can't make a secure channel: that is told as such."""
        self._tries += 1
        state = self.session.state
        if state is State.IDENTIFY and not self.online:
            self.lost("it does not answer", now_ns)
        elif self._tries < ATTEMPTS:
            return
        elif state in _PROOFS:
            self._unproved("it answers, and is silent when it is asked for its key", now_ns)
        elif state is State.OPEN:
            self._begin_anew("no answer to an order")
        else:
            self.lost("it does not answer", now_ns)

    def was_busy(self, now_ns: int) -> None:
        if self._busy_since_ns is None:
            self._busy_since_ns = now_ns
        if now_ns - self._busy_since_ns > MAX_BUSY_S * NS_PER_S:
            self.lost("it has been busy for too long", now_ns)

    def went_on(self, outcome: Progress | KeyInstalled) -> None:
        """The opening goes on."""
        self._answered()
        if self._choice.pairing is not None and isinstance(outcome, KeyInstalled):
            self._choice.pairing.acknowledged = True

    def has_opened(self, opened: Opened) -> None:
        """The session is open: the device is online, and asked how it is."""
        self._answered()
        self._choice.opened()
        self.capabilities = opened.capabilities
        if self.online is not True:
            self.online, self._alarmed, self._status = True, False, None
            self._say(Online(_described(opened.device_id, secure=opened.secure)))
        self.tell(LOCAL_STATUS)
        for part in self.parts:
            part.opened()

    def replied(self, reply: Reply | Malformed, stamp: Stamp) -> None:
        """A genuine reply, to a poll or to an order."""
        order = self._on_line
        self._answered()
        if isinstance(reply, Malformed):
            self._say(reply)
            if order is not None:
                order.settle(DeviceError(f"OSDP device {self.address}: {reply.reason}"))
            return
        if order is not None:
            order.settle(reply)
        if isinstance(reply, LocalStatus):
            self._tell_status(reply)
        for part in self.parts:
            part.heard(reply, stamp)

    def _tell_status(self, status: LocalStatus) -> None:
        """What has changed of it; all of it, the first time since the device is online."""
        before, self._status = self._status, status
        if before is None or before.tamper != status.tamper:
            self._say(TamperChanged(status.tamper))
        if before is None or before.power_failed != status.power_failed:
            self._say(PowerChanged(status.power_failed))

    def refused(self, nak: Nak, now_ns: int) -> None:
        """A NAK fails the command, not the link. One that ends the session is a device that has
        forgotten it, as after a power-up: that is told, and it is opened anew at once."""
        order = self._on_line
        self._answered()
        if order is not None:
            order.settle(nak)
        if self._choice.pairing is not None:
            self._choice.pairing.refused(nak)
        if self.session.state is State.CLOSED:
            if self.online:
                reason = f"it lost its session, as after a power-up ({nak.reason})"
                self.lost(reason, now_ns, 0.0)
            else:
                self.lost(f"it refuses to open a session ({nak.reason})", now_ns)

    def heard_attack(self, attack: Attack, now_ns: int) -> None:
        """A frame that no device of ours sends. Before it has proved that it has the key, it may
        have another one that it could have as well."""
        reason = f"{attack.kind.value.replace('_', ' ')}: {attack.detail}"
        if attack.kind in UNPROVED:
            self._unproved(reason, now_ns)
        else:
            if self._choice.pairing is not None:
                self._choice.pairing.fail(reason)
            self.attacked(reason, now_ns)

    def _unproved(self, reason: str, now_ns: int) -> None:
        """It does not open under this key. In an install window that is an answer, no attack:
        nothing of it was believed."""
        another, pairing = self._choice.another(), self._choice.pairing
        if another is not None:
            self._use(another)
        elif pairing is not None:
            pairing.fail(pairing.why_not(reason))
            self.lost(reason, now_ns)
        elif self._choice.unfinished:
            reason = f"its pairing was not finished: run gatewayd osdp pair again ({reason})"
            self.lost(reason, now_ns, ATTACKED_PAUSE_S)
        else:
            self.attacked(reason, now_ns)

    def attacked(self, reason: str, now_ns: int) -> None:
        """Out of service, and told once until it is online again, even where it was away before:
        who takes a reader off the wall to put his own there makes it go away first."""
        if not self._alarmed:
            self._alarmed = True
            self._say(SecurityFailed(reason))
        self.lost(reason, now_ns, ATTACKED_PAUSE_S)
        if self._choice.pairing is None and self._choice.several:
            self.session = self._choice.first()  # each of its keys has its try again

    def lost(self, reason: str, now_ns: int, pause_s: float = PROBE_EVERY_S) -> None:
        """Away: whoever waits for its word learns so, and a probe follows."""
        self._begin_anew(reason)
        waiting, self._orders = self._orders, deque()
        for order in waiting:
            order.settle(DeviceError(f"OSDP device {self.address}: {reason}"))
        self.probe_at_ns = now_ns + round(pause_s * NS_PER_S)
        self._say_offline(reason)

    def _say_offline(self, reason: str) -> None:
        if self.online is not False:
            self.online = False
            self._say(Offline(reason))

    def _begin_anew(self, reason: str) -> None:
        order = self._on_line
        self._answered()
        self.session.restart()
        if order is not None:
            order.settle(DeviceError(f"OSDP device {self.address}: {reason}"))

    def _answered(self) -> None:
        self._unanswered, self._on_line = False, None
        self._tries, self._busy_since_ns = 0, None

    def _say(self, event: DeviceEvent) -> None:
        for part in self.parts:
            part.told(event)


def _described(device: DeviceId, *, secure: bool) -> str:
    """For people: who made it, and how it is spoken to."""
    firmware = ".".join(map(str, device.firmware))
    made = f"vendor {device.vendor.hex()} model {device.model}.{device.version}"
    channel = "secure channel" if secure else "clear text"
    return f"{made}, serial {device.serial}, firmware {firmware}, {channel}"
