"""The driver `uhppote`: a UHPPOTE UT0311-L01/02/04 board on the network, as a line that its doors
and readers share.

Owns the socket, whose question is out, the board's clock and the order of its events. Must not know
what a door or a card is for. The board leaves every card to us while it hears from us; 30 s after
the last word it decides by its own list. Nothing on this wire is authenticated.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from ipaddress import AddressValueError, IPv4Address
from typing import Annotated, Any, Protocol
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from drivers.buses.turns import Turns
from drivers.buses.uhppote_events import BoardEvents
from drivers.buses.uhppote_list import BoardList
from drivers.protocols import uhppote
from drivers.protocols.uhppote import BoardEvent, Packet, Question, Status
from gatewayd.domain.model import NS_PER_MS, NS_PER_S, Stamp
from gatewayd.domain.ports import (
    BoardActed,
    BusEvent,
    ClockDrifted,
    DeviceError,
    Driver,
    DriverContext,
    DriverKind,
    Malformed,
    Offline,
    Online,
)

PORT = 60_000
ATTEMPTS = 3  # a question that is lost on the way is asked again
FIRST_RETRY_S, MAX_RETRY_S = 0.25, 5.0
PC_CONTROL_EVERY_S = 10  # the board decides by itself after 30 s
LOOK_EVERY_S = 60  # at the clock; and the listener, which another program may have set
SET_CLOCK_AT_S = 2  # the board counts whole seconds

_log = logging.getLogger(__name__)
Emit = Callable[[BusEvent], None]


def check_address(text: str) -> str:
    """The address with its port. Raises ValueError that says what to write instead."""
    host, _, port = text.partition(":")
    port = port or str(PORT)
    try:
        one_machine = not IPv4Address(host).is_unspecified
    except AddressValueError:
        one_machine = False
    if not one_machine or not port.isdecimal() or not 1 <= int(port) <= 65_535:
        raise ValueError(
            f"{text!r} is no address of one machine: write it as '192.168.1.100:{PORT}'"
        )
    return f"{host}:{port}"


def check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"unknown time zone {name!r}: write e.g. 'Asia/Shanghai'") from None
    return name


class UhppoteOptions(BaseModel):
    """Settings of a UHPPOTE board."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    address: Annotated[str, AfterValidator(check_address)] = Field(
        description="The board's IPv4 address, '192.168.1.100' or with a port (60000)."
    )
    serial: int = Field(ge=1, lt=0xFFFFFFFF, description="The board's serial number, as printed.")
    listen: Annotated[str, AfterValidator(check_address)] = Field(
        description="This box's own address on the board's network, and a free port: where the "
        "board sends its events, e.g. '192.168.1.10:60001'."
    )
    time_zone: Annotated[str, AfterValidator(check_zone)] = Field(
        default="Asia/Shanghai", description="The board's clock is set to the time of this zone."
    )
    poll_ms: int = Field(
        default=150, ge=20, le=200, description="Doors and buttons are asked for this often."
    )
    timeout_ms: int = Field(
        default=250, ge=20, le=2_000, description="The board answers within this time."
    )
    max_drift_s: int = Field(
        default=10, ge=2, le=3_600, description="A clock that is further off raises an alarm."
    )


class DoorsPart(Protocol):
    """The doors of the board, as the board tells of them."""

    listening: asyncio.Event

    def heard(self, status: Status, stamp: Stamp) -> None: ...

    def told(self, event: Online | Offline | Malformed | ClockDrifted | BoardActed) -> None: ...


class ReaderPart(Protocol):
    """A reader of the board."""

    def told(self, event: Online | Offline) -> None: ...

    def present(self, event: BoardEvent, stamp: Stamp) -> None:
        """A card that the board left to us."""


class UhppoteBoard:
    """Implements `gatewayd.domain.ports.Bus`."""

    def __init__(self, options: UhppoteOptions, context: DriverContext) -> None:
        self.serial = options.serial
        self.name = f"{context.device_id} at {options.address}, UHPPOTE board {options.serial}"
        self.clock = context.clock
        self.online = False
        self.status: Status | None = None  # as last heard, while it is online
        self.doors: DoorsPart | None = None
        self.readers: dict[tuple[int, int], ReaderPart] = {}  # by door and direction
        self._options = options
        self._at = _host_and_port(options.address)
        self._listen = _host_and_port(options.listen)
        self._zone = ZoneInfo(options.time_zone)
        self._transport: asyncio.DatagramTransport | None = None
        self._turns = Turns()
        self._waiting: tuple[Question, asyncio.Future[Packet]] | None = None
        self._events = BoardEvents(self)
        self.own_list = BoardList(self, self._zone)
        self._emit: Emit = lambda _event: None
        self._told_offline = False
        self._drifted = False
        self._control_due_ns = self._look_due_ns = 0

    async def run(self, emit: Emit) -> None:
        """Until cancelled, through every outage. Offline and Online are the board's."""
        self._emit = emit
        while True:
            try:
                self._transport = await self._open(self._listen)
                async with asyncio.TaskGroup() as tg:
                    tg.create_task(self._poll(), name=f"poll {self.name}")
                    tg.create_task(self._events.run(), name=f"events of {self.name}")
                    tg.create_task(self.own_list.run(), name=f"own list of {self.name}")
            except OSError as error:  # no such address here, or the port is another program's
                self._lost(f"{self._options.listen}: {error}")
                wait_ns = round(MAX_RETRY_S * NS_PER_S)
                await self.clock.sleep_until(self.clock.monotonic_ns() + wait_ns)
            finally:
                self._let_go()
                self._close()

    def _let_go(self) -> None:
        """At our end the board need not wait 30 s before it decides by itself. Nobody is left to
        wait for its answer."""
        if self.online and self._transport is not None:
            self._send(uhppote.pc_control(self.serial, on=False).packet)

    @asynccontextmanager
    async def visited(self) -> AsyncIterator[UhppoteBoard]:
        """Asked by another process than the one that has it, from a port of our own; it is told
        nothing. Raises DeviceError."""
        try:
            self._transport = await self._open((self._listen[0], 0))
        except OSError as error:
            raise DeviceError(f"{self._listen[0]}: {error}") from error
        try:
            yield self
        finally:
            self._close()

    async def _open(self, here: tuple[str, int]) -> asyncio.DatagramTransport:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Socket(self._received), local_addr=here
        )
        return transport

    def _close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    # ------------------------------------------------------------------------------- asking

    async def ask(self, question: Question, *, order: bool = False) -> Packet:
        """The answer; orders go before all else. Raises DeviceError where none comes in time."""
        attempts = ATTEMPTS if self.online else 1
        for _ in range(attempts):
            try:
                async with self._turns.taken(order=order):
                    return await self._ask_once(question)
            except TimeoutError:
                _log.debug("asking a board again", extra={"function": question.function})
        raise DeviceError(
            f"{self.name} did not answer within {self._options.timeout_ms} ms: check its supply,"
            " the network, address and serial"
        )

    async def _ask_once(self, question: Question) -> Packet:
        """Raises TimeoutError where no answer comes."""
        answered: asyncio.Future[Packet] = asyncio.get_running_loop().create_future()
        self._waiting = question, answered
        try:
            self._send(question.packet)
            async with asyncio.timeout(self._options.timeout_ms / 1000):
                return await answered
        finally:
            self._waiting = None

    async def tell(self, question: Question, what: str) -> None:
        """Ask for something to be done. Raises DeviceError where the board says no."""
        if not (await self.ask(question)).done:
            raise DeviceError(f"{self.name} refuses {what}")

    def _send(self, packet: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise DeviceError(f"{self.name}: {self._options.listen} is not open")
        self._transport.sendto(packet, self._at)

    def _received(self, data: bytes, sender: str) -> None:
        if sender != self._at[0]:
            self._emit(Malformed(f"a packet of {sender}, which is not the board"))
            return
        packet = uhppote.read(data)
        if isinstance(packet, Malformed):
            self._emit(packet)
        elif packet.serial != self.serial:
            self._emit(Malformed(f"a packet of the board {packet.serial}"))
        else:
            self._take(packet)

    def _take(self, packet: Packet) -> None:
        """A status may be an answer, or come by itself: it says the same."""
        if packet.function == uhppote.Function.STATUS:
            self._heard(uhppote.read_status(packet), self.clock.now())
        if self._waiting is not None:
            question, answered = self._waiting
            if uhppote.answers(packet, question) and not answered.done():
                answered.set_result(packet)

    def _heard(self, status: Status, stamp: Stamp) -> None:
        self.status = status
        if not self.online:
            return
        if self.doors is not None:
            self.doors.heard(status, stamp)
        self._events.heard(status, stamp)

    # ----------------------------------------------------------------------------- the round

    async def _poll(self) -> None:
        """Ask how it stands, for ever; an outage is told once and probed with a back-off."""
        retry_s = FIRST_RETRY_S
        while True:
            began_ns = self.clock.monotonic_ns()
            try:
                if self.online:
                    await self._look()
                else:
                    await self._begin()
            except DeviceError as error:
                self._lost(str(error))
                wait_ns = round(retry_s * NS_PER_S)
                retry_s = min(retry_s * 2, MAX_RETRY_S)
            else:
                wait_ns = self._options.poll_ms * NS_PER_MS
                retry_s = FIRST_RETRY_S
            await self.clock.sleep_until(began_ns + wait_ns)

    async def _begin(self) -> None:
        """From here on the board leaves its cards to us and tells us everything."""
        await self.ask(uhppote.status(self.serial))
        self._control_due_ns = self._look_due_ns = 0
        await self.tell(uhppote.record_all(self.serial, on=True), "to record doors and buttons")
        await self._keep_up()
        await self._events.begin()
        await self.ask(uhppote.status(self.serial))
        self.online, self._told_offline = True, False
        self.own_list.look_again()
        self._tell_all(Online(self.name))
        if self.status is not None:
            self._heard(self.status, self.clock.now())

    async def _look(self) -> None:
        await self.ask(uhppote.status(self.serial))
        await self._keep_up()

    def control_lapsed(self) -> None:
        """The board began anew, and decides by itself until it is told again."""
        self.own_list.look_again()
        self._control_due_ns = self._look_due_ns = 0

    async def _keep_up(self) -> None:
        """What must be said again and again."""
        now_ns = self.clock.monotonic_ns()
        if now_ns >= self._control_due_ns:
            await self.tell(uhppote.pc_control(self.serial, on=True), "to leave cards to us")
            self._control_due_ns = now_ns + PC_CONTROL_EVERY_S * NS_PER_S
        if now_ns >= self._look_due_ns:
            listener = uhppote.set_listener(self.serial, *self._listen)
            await self.tell(listener, "to send events here")
            await self._set_clock()
            self._look_due_ns = now_ns + LOOK_EVERY_S * NS_PER_S

    async def _set_clock(self) -> None:
        """Look, tell, and set it where it is off; by a clock of ours that can be trusted only."""
        now = self.clock.now()
        if not now.wall_trusted or self.status is None:
            return
        local = datetime.fromtimestamp(now.wall_ms / 1000, self._zone).replace(tzinfo=None)
        theirs = self.status.now
        by_s = (theirs - local).total_seconds() if theirs is not None else float("inf")
        beyond = abs(by_s) > self._options.max_drift_s
        if beyond is not self._drifted and self.doors is not None:
            self.doors.told(ClockDrifted(by_s, beyond))
        self._drifted = beyond
        if abs(by_s) >= SET_CLOCK_AT_S:
            answer = await self.ask(uhppote.set_time(self.serial, local.replace(microsecond=0)))
            _log.info("%s: its clock was off by %.0f s and is set", self.name, by_s)
            if uhppote.read_time(answer) is None:
                raise DeviceError(f"{self.name} took no time for its clock")

    def local_to_ms(self, at: datetime | None) -> int | None:
        """A moment of the board's clock as milliseconds since 1970 UTC."""
        return None if at is None else round(at.replace(tzinfo=self._zone).timestamp() * 1000)

    def _lost(self, reason: str) -> None:
        self.online, self.status = False, None
        if not self._told_offline:
            self._told_offline = True
            self._tell_all(Offline(reason))

    def _tell_all(self, event: Online | Offline) -> None:
        self._emit(event)
        for part in (self.doors, *self.readers.values()):
            if part is not None:
                part.told(event)


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.partition(":")
    return host, int(port)


class _Socket(asyncio.DatagramProtocol):
    """Hands on what comes, with the sender's address. An ICMP error says no more than silence."""

    def __init__(self, received: Callable[[bytes, str], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401  # asyncio's own
        self._received(data, addr[0])


def build(options: UhppoteOptions, context: DriverContext) -> UhppoteBoard:
    """A board that is spoken to when it runs."""
    return UhppoteBoard(options, context)


def port_of(options: UhppoteOptions) -> str:
    """What no second driver may use."""
    return f"UHPPOTE board {options.serial}"


DRIVER = Driver(
    kind=DriverKind.BUS,
    name="uhppote",
    options=UhppoteOptions,
    build=build,
    port_of=port_of,
)
