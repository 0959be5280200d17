"""The simulated central system: receives, commits, acknowledges, sends the list and orders.

Owns what the centre does with each message. Its files: central_store (events), central_directory
(residents), central_orders (commands), central_signing (keys), central_line (MQTT), central_desk
(what can be asked and ordered). Written from docs/reference/mqtt.md, without the gateway's code.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewayd.clock import SystemClock
from gatewayd.domain.ports import Clock
from simulators.central_desk import CentralDesk
from simulators.central_directory import Directory, Package
from simulators.central_faults import Faults
from simulators.central_line import Address, Line
from simulators.central_messages import (
    CommandResult,
    EventMessage,
    GatewayMessage,
    ListRequest,
    ReportedMessage,
    StateMessage,
    WireError,
    parse,
)
from simulators.central_orders import Order, OrderBook
from simulators.central_signing import Signer
from simulators.central_store import Ack, EventStore, Presence, open_database
from simulators.compound import DOORS, make_compound, utc_today
from simulators.compound_records import records
from simulators.control import ControlTable
from simulators.device import Device, run_device

NAME = "central"
HELP = "the central system: keeps events, acknowledges, sends the whitelist and signed orders"

log = logging.getLogger(__name__)

MAX_WAITING = 10_000  # messages; past it they are dropped and counted: gateways send again
MAX_BATCH = 200  # messages in one commit
MAX_PACKAGES = 8  # lists that chunks may be asked of
REPEAT_S = 2.0  # a command is sent again this often until its result or its end
NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class CentralOptions:
    """Where the centre lives: its folder holds `central.db`, its key and the keys file."""

    directory: Path
    address: Address
    site: str = "demo"
    seed: int | None = None  # enter the compound of this seed where nobody is entered yet
    doors: tuple[str, ...] = DOORS
    pin_key_file: Path | None = None  # the site's key for PINs; without it nobody has one

    @property
    def keys_file(self) -> Path:
        """What the gateway's `link.central_keys_file` must name."""
        return self.directory / "central-keys.json"

    def pin_key(self) -> bytes | None:
        """As the gateway reads it. Raises OSError."""
        return self.pin_key_file.read_bytes().strip() if self.pin_key_file else None


class SimulatedCentral(Device):
    """`async with SimulatedCentral(options) as central:` serves until the block ends."""

    def __init__(
        self, options: CentralOptions, control: Path | None = None, clock: Clock | None = None
    ) -> None:
        super().__init__(control)
        self.options = options
        self.clock = clock or SystemClock()
        self.faults = Faults()
        self.refused = 0  # messages that were not as the page says
        self.dropped = 0  # messages that found the queue full
        self.news = asyncio.Condition()  # notified after every batch
        self.line = Line(
            options.address, f"gw/v1/{options.site}/+/up/#", self._arrived, self._connected
        )
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MAX_WAITING)
        self._packages: OrderedDict[tuple[int, int | None], Package] = OrderedDict()
        self._replayable: tuple[str, bytes] | None = None
        self._retained: set[str] = set()  # topics with a command left at the broker by a fault

    async def open(self) -> None:
        """Open the database and the key, enter the residents, begin to connect."""
        options = self.options
        self.signer = Signer.load_or_make(options.directory / "central-key")
        self.signer.write_keys_file(options.keys_file)
        self._db = open_database(options.directory / "central.db")
        self.store, self.orders = EventStore(self._db), OrderBook(self._db)
        self.directory = Directory(self._db)
        if options.seed is not None and self.directory.revision == 0:
            today = utc_today(self.clock.now().wall_ms)
            compound = make_compound(options.seed, today, options.doors)
            self.directory.change(records(compound, options.pin_key()))
        self.start(self.line.run(), "line to the broker")
        self.start(self._work(), "messages")
        self.start(self._repeat_commands(), "commands")

    def close(self) -> None:
        if hasattr(self, "_db"):
            self._db.close()

    def controls(self) -> ControlTable:
        return CentralDesk(self).table()

    def ready(self) -> Mapping[str, Any]:
        return {
            "keys_file": str(self.options.keys_file),
            "database": str(self.options.directory / "central.db"),
            "revision": self.directory.revision,
        }

    # ------------------------------------------------------------------------- receiving

    def _connected(self) -> None:
        """Acknowledge anew: what was said as the last connection died may have reached nobody."""
        log.info("connected to the broker with MQTT %s", self.line.protocol)
        for ack in self.store.acks():
            self._acknowledge(ack)

    def _arrived(self, topic: str, payload: bytes, retained: bool) -> None:
        if retained and not topic.endswith("/up/state"):
            return  # only presence may be kept by a broker; anything else is somebody's mistake
        try:
            self._waiting.put_nowait((topic, payload))
        except asyncio.QueueFull:
            self.dropped += 1

    async def _work(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < MAX_BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            self._handle([message for raw in batch if (message := self._parsed(*raw))])
            async with self.news:
                self.news.notify_all()

    def _parsed(self, topic: str, payload: bytes) -> GatewayMessage | None:
        try:
            return parse(self.options.site, topic, payload)
        except WireError as error:
            self.refused += 1
            log.warning("refused: %s", error)
            return None

    def _handle(self, messages: Sequence[GatewayMessage]) -> None:
        """Events are committed together; then each other message in its order."""
        self._commit([m for m in messages if isinstance(m, EventMessage)])
        for message in messages:
            match message:
                case StateMessage():
                    self._introduced(message)
                case ListRequest():
                    self._asked_for_list(message)
                case CommandResult():
                    self.orders.result(message)
                case ReportedMessage():
                    self.store.reported(message)
                case EventMessage():
                    pass  # committed above

    def _commit(self, events: Sequence[EventMessage]) -> None:
        """Keep, then acknowledge; what can't be kept is not acknowledged and comes again."""
        if not events:
            return
        try:
            acks = self.store.receive(events, self.clock.now().wall_ms)
        except sqlite3.Error as error:
            log.error("%d events not kept, not acknowledged: %s", len(events), error)
            return
        for ack in acks:
            self._acknowledge(ack)

    def _acknowledge(self, ack: Ack) -> None:
        if ack.upto == 0 or self.faults.take("no_ack"):
            return
        if delay_s := self.faults.take("late_ack"):
            self.start(self._acknowledge_late(ack, delay_s), "late acknowledgement")
            return
        for _ in range(1 + bool(self.faults.take("duplicate_ack"))):
            self.send_ack(ack)

    async def _acknowledge_late(self, ack: Ack, delay_s: float) -> None:
        await self._sleep(delay_s)
        self.send_ack(ack)

    def send_ack(self, ack: Ack) -> None:
        self._send(
            *(ack.gw, "ack"),
            {"v": 1, "stream": ack.stream, "epoch": ack.epoch, "upto": ack.upto},
        )

    def _introduced(self, state: StateMessage) -> None:
        if not self.store.introduce(state) or state.state == "offline":
            return
        if body := self.orders.wanted(state.gw):
            self.send_desired(body)

    # ------------------------------------------------------------------------- whitelist

    def _asked_for_list(self, request: ListRequest) -> None:
        if request.ask == "manifest":
            self.store.holds(request.gw, request.have)
            self.offer_list(request.gw, request.have)
            return
        package = self._packages.get((request.rev, request.base))
        if package is None or request.index >= len(package.chunks):
            self.offer_list(request.gw, request.base or 0)  # the list has moved on
        elif not self.faults.take("missing_chunk"):
            self._send(request.gw, "wl-chunk", self._chunk(package, request.index))

    def _chunk(self, package: Package, index: int) -> dict[str, Any]:
        raw = package.chunks[index]
        if self.faults.take("wrong_chunk"):
            raw = raw[:-2] + b" \n"
        return {
            "v": 1,
            "type": "chunk",
            "rev": package.rev,
            "base": package.base,
            "index": index,
            "data": base64.b64encode(raw).decode(),
        }

    def offer_list(self, gw: str, have: int) -> None:
        """Send the manifest that leads from revision `have` to ours, if there is anything to do."""
        package = self.directory.package(have)
        if package is None:
            return
        self._packages[package.rev, package.base] = package
        while len(self._packages) > MAX_PACKAGES:
            self._packages.popitem(last=False)
        forged = bool(self.faults.take("forged_manifest"))
        envelope = self.signer.envelope("manifest", package.manifest(gw), forged=forged)
        self._send(gw, "wl-chunk", {"type": "manifest", **envelope})

    def push_list(self) -> None:
        """After an edit: a delta to every gateway that is there."""
        for gateway in self.store.gateways():
            if gateway.online:
                self.offer_list(gateway.gw, gateway.whitelist_rev)

    # ---------------------------------------------------------------------------- orders

    def command(self, to: Presence, action: str, target: str, reason: str, ttl_s: float) -> Order:
        """Enter a command and send it; it is repeated until its result or its end."""
        now_ms = self.clock.now().wall_ms
        order = self.orders.command(to, action, target, reason, now_ms, ttl_s)
        self._send_command(order)
        return order

    def _send_command(self, order: Order) -> None:
        forged = bool(self.faults.take("forged_command"))
        envelope = self.signer.envelope("command", order.body, forged=forged)
        topic, payload = self._topic(order.gw, "cmd"), _encode(envelope)
        self._replayable = (topic, payload)
        retain = bool(self.faults.take("retained_command"))
        if retain:
            self._retained.add(topic)
        self.line.publish(topic, payload, retain=retain)

    def clear_faults(self) -> None:
        """No faults any more, and what was left at the broker is taken out of it."""
        self.faults.clear()
        for topic in self._retained:
            self.line.publish(topic, b"", retain=True)
        self._retained.clear()

    def replay(self) -> bool:
        """Send the bytes of the last command once more, however old; False where there is none."""
        return self._replayable is not None and self.line.publish(*self._replayable)

    async def _repeat_commands(self) -> None:
        while True:
            await self._sleep(REPEAT_S)
            for order in self.orders.pending(self.clock.now().wall_ms):
                self._send_command(order)

    def send_desired(self, body: dict[str, Any]) -> None:
        forged = bool(self.faults.take("forged_desired"))
        self._send(body["aud"], "desired", self.signer.envelope("desired", body, forged=forged))

    # --------------------------------------------------------------------------- sending

    def _send(self, gw: str, what: str, message: dict[str, Any]) -> None:
        self.line.publish(self._topic(gw, what), _encode(message))

    def _topic(self, gw: str, what: str) -> str:
        return f"gw/v1/{self.options.site}/{gw}/dn/{what}"

    async def _sleep(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.monotonic_ns() + round(seconds * NS_PER_S))


def _encode(message: dict[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


# --------------------------------------------------------------------------- command line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--directory", type=Path, required=True, help="folder of the centre's files"
    )
    parser.add_argument("--host", default="127.0.0.1", help="the broker's address")
    parser.add_argument("--port", type=int, required=True, help="the broker's port")
    parser.add_argument("--username", default="", help="the centre's user at the broker")
    parser.add_argument("--password-file", type=Path, help="file with that user's password")
    parser.add_argument("--client-id", default="centre", help="its MQTT session's name")
    parser.add_argument("--protocol", choices=("auto", "5", "3.1.1"), default="auto")
    parser.add_argument("--site", default="demo", help="the site's id, as in the topics")
    parser.add_argument("--seed", type=int, help="enter the residents of this seed")
    parser.add_argument("--door", action="append", help="a door of the compound; repeatable")
    parser.add_argument("--pin-key-file", type=Path, help="the site's key: gives people their PINs")
    parser.add_argument("--control", type=Path, help="Unix socket for questions and orders")


async def run(args: argparse.Namespace) -> int:
    password = args.password_file.read_text().strip() if args.password_file else ""
    address = Address(
        *(args.host, args.port, args.username, password, args.client_id, args.protocol)
    )
    doors = tuple(args.door or DOORS)
    options = CentralOptions(
        args.directory, address, args.site, args.seed, doors, args.pin_key_file
    )
    return await run_device(SimulatedCentral(options, args.control))
