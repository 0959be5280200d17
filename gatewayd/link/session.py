"""The line to the centre, kept up for ever: connect, say hello, send, listen, connect again.

Owns the connection's life and its status. What is sent is the outbox's, what comes is handed to
whitelist_sync, commands and desired. Doors never wait for anything here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from random import Random
from typing import Any

from gatewayd.domain.events import DeviceOffline, DeviceOnline, Event, Stream
from gatewayd.domain.model import NS_PER_MS, NS_PER_S, DeviceId, Stamp
from gatewayd.domain.ports import Clock, JournalError
from gatewayd.link.commands import DISK_S, Commands
from gatewayd.link.contract import Ack, Topics
from gatewayd.link.desired import DesiredState
from gatewayd.link.mqtt import (
    Broker,
    Connection,
    Incoming,
    LinkLostError,
    ProtocolRefusedError,
    Will,
    connect,
)
from gatewayd.link.outbox import OutboxJournal, StreamOutbox
from gatewayd.link.whitelist_sync import WhitelistSync
from gatewayd.signed import Refused, parse, to_json
from gatewayd.supervisor import why_of

log = logging.getLogger(__name__)

DOWN_TOPICS = ("ack", "wl-chunk", "cmd", "desired")
MAX_INBOX = 64  # messages waiting on one of them; past it one is dropped, and comes again
FIRST_BACKOFF_NS = 500 * NS_PER_MS
MAX_BACKOFF_NS = 30 * NS_PER_S
STEADY_NS = 30 * NS_PER_S  # a line that held for so long is tried at once when it breaks
TICK_NS = NS_PER_S
FAREWELL_S = 1.0
LINK = DeviceId("link")


class LinkState(StrEnum):
    """Where the connection stands; the values are in the API."""

    CONNECTING = "connecting"  # looking for the broker, or waiting to try again
    ONLINE = "online"  # subscribed; events go out
    STOPPED = "stopped"  # the gateway is ending


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """For the console. `detail` says why it is not online; `protocol` is 5 or 4 (3.1.1)."""

    state: LinkState
    since_wall_ms: int
    protocol: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """What presence tells: docs/reference/mqtt.md, up/state."""

    gateway: str
    boot: str
    epoch: str
    nonce: str
    version: str


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """`protocols` are tried in turn: (5, 4), (5,) or (4,)."""

    protocols: tuple[int, ...] = (5, 4)
    window: int = 20
    resend_s: float = 10.0


@dataclass(slots=True)
class _Lockdown:
    """One of the centre's; its `turn` has come when the commands before it are done."""

    payload: bytes
    arrived: Stamp
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Link:
    """One for the box. `run` never ends by itself and fails only by a bug."""

    def __init__(
        self,
        broker: Broker,
        topics: Topics,
        identity: Identity,
        options: LinkOptions,
        journal: OutboxJournal,
        whitelist_revision: Callable[[], int],
        clock: Clock,
        record: Callable[[Event], None],
        random: Random,
    ) -> None:
        """`record` keeps an event without waiting; `random` spreads reconnects of many gateways."""
        self._broker = broker
        self._topics = topics
        self._identity = identity
        self._options = options
        self._journal = journal
        self._whitelist_revision = whitelist_revision
        self._clock = clock
        self._record = record
        self._random = random
        self._connection: Connection | None = None
        self._outboxes: dict[str, StreamOutbox] = {}
        # One inbox a topic: a command must not wait until a whitelist is built.
        self._inboxes = {
            name: asyncio.Queue[tuple[bytes, Stamp]](MAX_INBOX) for name in DOWN_TOPICS
        }
        self._lockdowns = asyncio.Queue[_Lockdown](MAX_INBOX)
        self._turns = deque[_Lockdown]()  # of those that stand in the inbox too, as they stand
        self._told_offline = False
        self._online_ns = 0
        self.status = LinkStatus(LinkState.CONNECTING, clock.now().wall_ms)

    def handle_with(self, sync: WhitelistSync, commands: Commands, desired: DesiredState) -> None:
        """Who takes what comes down; set once, before `run`."""
        self._sync, self._commands, self._desired = sync, commands, desired

    def sender(self, name: str) -> Callable[[dict[str, Any]], None]:
        """A way to send on `up/<name>` now. Without a line the message is dropped: everything that
        is sent this way is said again on the next connect, or asked again."""
        topic = self._topics.up(name)

        def send(message: dict[str, Any]) -> None:
            if self._connection is not None:
                message = {"gw": self._identity.gateway, **message}
                self._connection.publish(topic, to_json(message))  # its loss is the line's

        return send

    # ------------------------------------------------------------------------ the connection

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for name in DOWN_TOPICS:
                group.create_task(self._take_messages(name), name=f"link {name}")
            group.create_task(self._sync.run(), name="link whitelist")
            group.create_task(self._commands.run(), name="link late commands")
            group.create_task(self._take_lockdowns(), name="link lockdowns")
            await self._commands.resume()
            await self._sync.resume()
            await self._keep_up()

    async def _keep_up(self) -> None:
        backoff_ns, attempt = FIRST_BACKOFF_NS, 0
        try:
            while True:
                version = self._options.protocols[attempt % len(self._options.protocols)]
                try:
                    await self._session(version)
                except* ProtocolRefusedError as errors:
                    attempt += 1
                    self._offline(errors)
                except* LinkLostError as errors:
                    if self.status.state is not LinkState.ONLINE:
                        attempt = 0  # the first protocol again: it may be another broker now
                    elif self._clock.monotonic_ns() - self._online_ns >= STEADY_NS:
                        backoff_ns = FIRST_BACKOFF_NS
                    self._offline(errors)
                except* JournalError as errors:
                    self._offline(errors)
                jittered_ns = round(backoff_ns * self._random.uniform(0.5, 1.0))
                await self._clock.sleep_until(self._clock.monotonic_ns() + jittered_ns)
                backoff_ns = min(2 * backoff_ns, MAX_BACKOFF_NS)
        finally:
            self.status = LinkStatus(LinkState.STOPPED, self._clock.now().wall_ms)

    async def _session(self, version: int) -> None:
        """One connection from CONNECT to its end, which raises LinkLostError."""
        will = Will(self._topics.up("state"), self._presence("offline"))
        downs = [self._topics.down(name) for name in DOWN_TOPICS]
        connection = await connect(self._broker, version, will, downs, self._arrived)
        try:
            await connection.delivered(
                self._topics.up("state"), self._presence("online"), retain=True
            )
            self._online(connection)
            async with asyncio.TaskGroup() as group:
                for outbox in self._outboxes.values():
                    group.create_task(outbox.run(connection), name="outbox")
                group.create_task(self._until_lost(connection), name="link watch")
                self._sync.connected()
                await self._desired.report()
        except asyncio.CancelledError:
            await self._farewell(connection)
            raise
        finally:
            self._connection = None
            self._outboxes = {}
            connection.close()

    async def _until_lost(self, connection: Connection) -> None:
        async with asyncio.TaskGroup() as group:
            ticking = group.create_task(self._tick(connection), name="link tick")
            why = await connection.lost()
            ticking.cancel()
        raise LinkLostError(why)

    async def _tick(self, connection: Connection) -> None:
        while True:
            await self._clock.sleep_until(self._clock.monotonic_ns() + TICK_NS)
            connection.tick()

    async def _farewell(self, connection: Connection) -> None:
        """An orderly end says offline itself: the will is for the other kind."""
        topic, offline = self._topics.up("state"), self._presence("offline")
        try:  # not asyncio.timeout, which is no bound in a cancelled task of Python 3.11.2
            await asyncio.wait_for(connection.delivered(topic, offline, retain=True), FAREWELL_S)
        except (LinkLostError, TimeoutError):
            log.info("the line was gone before the farewell")

    def _presence(self, state: str) -> bytes:
        who = self._identity
        return to_json(
            {
                "gw": who.gateway,
                "state": state,
                "boot": who.boot,
                "epoch": who.epoch,
                "nonce": who.nonce,
                "version": who.version,
                "whitelist_rev": self._whitelist_revision(),
                "wall_ms": self._clock.now().wall_ms,
            }
        )

    def _online(self, connection: Connection) -> None:
        window = min(self._options.window, connection.receive_maximum)
        self._outboxes = {
            stream.value: StreamOutbox(
                stream, self._journal, self._topics, self._clock, window, self._options.resend_s
            )
            for stream in (Stream.ALARMS, Stream.EVENTS)
        }
        self._connection = connection
        now = self._clock.now()
        self._online_ns = now.monotonic_ns
        self.status = LinkStatus(LinkState.ONLINE, now.wall_ms, connection.version)
        self._told_offline = False
        self._record(DeviceOnline(LINK, f"MQTT {'5' if connection.version == 5 else '3.1.1'}"))

    def _offline(self, errors: BaseExceptionGroup[Exception]) -> None:
        why = why_of(errors)
        log.warning("no line to the centre: %s", why)
        since = self.status.since_wall_ms
        if self.status.state is LinkState.ONLINE or since == 0:
            since = self._clock.now().wall_ms
        self.status = replace(
            self.status, state=LinkState.CONNECTING, since_wall_ms=since, detail=why, protocol=None
        )
        if not self._told_offline:
            self._told_offline = True
            self._record(DeviceOffline(LINK, why))

    # -------------------------------------------------------------------------- what comes down

    def _arrived(self, message: Incoming) -> None:
        """On the loop's thread, from paho: hand over and return."""
        inbox = self._inboxes.get(self._topics.name_of(message.topic) or "")
        if message.retained or inbox is None:
            log.warning("a message on %s is ignored: retained, or not for us", message.topic)
            return
        if inbox is self._inboxes["cmd"] and self._commands.is_lockdown(message.payload):
            self._lockdown_arrived(message.payload)
            return
        if inbox.full():
            log.error("too many messages from the centre at once, one on %s lost", message.topic)
            if inbox is not self._inboxes["ack"]:
                return
            inbox.get_nowait()  # of acknowledgements the newest says it all
        inbox.put_nowait((message.payload, self._clock.now()))

    def _lockdown_arrived(self, payload: bytes) -> None:
        """It has its place among the commands, but waits for it no longer than it must."""
        if self._lockdowns.full():
            log.error("too many lockdowns from the centre at once, one lost")
            return
        lockdown, inbox = _Lockdown(payload, self._clock.now()), self._inboxes["cmd"]
        self._lockdowns.put_nowait(lockdown)
        if not inbox.full():
            self._turns.append(lockdown)
            inbox.put_nowait((payload, lockdown.arrived))

    async def _take_messages(self, name: str) -> None:
        while True:
            payload, arrived = await self._inboxes[name].get()
            match name:
                case "ack":
                    await self._acknowledge([payload, *_drained(self._inboxes[name])])
                case "wl-chunk":
                    await self._sync.handle(payload)
                case "cmd" if self._turns and self._turns[0].payload is payload:
                    lockdown = self._turns.popleft()
                    lockdown.turn.set()
                    await lockdown.done.wait()
                case "cmd":
                    await self._commands.handle(payload, arrived)
                case _:
                    await self._desired.handle(payload)

    async def _take_lockdowns(self) -> None:
        """A command before it may hang at the disk: past a moment a lockdown overtakes it."""
        while True:
            lockdown = await self._lockdowns.get()
            with suppress(TimeoutError):
                async with asyncio.timeout(DISK_S):
                    await lockdown.turn.wait()
            await self._commands.handle(lockdown.payload, lockdown.arrived)
            lockdown.done.set()

    async def _acknowledge(self, payloads: list[bytes]) -> None:
        """Of all that wait only the furthest of each stream is kept: one commit for many."""
        furthest: dict[str, Ack] = {}
        for payload in payloads:
            ack = parse(Ack, payload)
            if isinstance(ack, Refused):
                log.warning("an acknowledgement is not understood: %s", ack.reason)
                continue
            outbox = self._outboxes.get(ack.stream)
            if outbox is not None and outbox.believes(ack):
                furthest[ack.stream] = max(furthest.get(ack.stream, ack), ack, key=lambda a: a.upto)
        for stream, ack in furthest.items():
            outbox = self._outboxes.get(stream)
            if outbox is not None:
                await outbox.acknowledge(ack)


def _drained(inbox: asyncio.Queue[tuple[bytes, Stamp]]) -> list[bytes]:
    """What waits there now."""
    return [inbox.get_nowait()[0] for _ in range(inbox.qsize())]
