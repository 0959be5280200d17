"""The driver `osdp`: an OSDP 2.2 control panel for the devices of one RS-485 line.

Owns the line and whose turn it is on it; each device's session is `drivers.buses.osdp_device`'s.
Must not know what a card, a light or an output is for. One frame is out at a time; whoever has
something to be told comes first, then all in turn; one that is away gets a short probe a second.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Literal, assert_never

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from drivers.buses.osdp_device import OsdpDevice
from drivers.buses.osdp_keys import KeyFile
from drivers.protocols.osdp.capture import Direction, Record, encode_record
from drivers.protocols.osdp.frame import MAX_FRAME, REPLY_DELAY_S, Frame, FrameDecoder
from drivers.protocols.osdp.outcome import (
    Attack,
    Busy,
    Ignored,
    KeyInstalled,
    Opened,
    Outcome,
    Progress,
    Refused,
    Replied,
)
from drivers.transport import Connected, Disconnected, Line, LineEvent, Received, check_url
from gatewayd.domain.model import NS_PER_S, Stamp
from gatewayd.domain.ports import (
    BusEvent,
    DeviceError,
    Driver,
    DriverContext,
    DriverKind,
    LineTools,
    Malformed,
    Offline,
    Online,
)

NS_PER_MS = 1_000_000
MAX_DEVICES = 32  # unit loads of an RS-485 line
BITS_A_BYTE = 10  # 8N1
MANY_DEVICES, ENOUGH_BAUD = 5, 38_400  # up to four are polled fast enough at any rate
EXCHANGE_BYTES, USUAL_DELAY_S = 30, 0.003  # a poll and its answer in the secure channel
IDLE_CHARACTERS = 2  # OSDP 2.2 §5.7: between a reply and the next command
GAP_S = 0.04  # in a frame: 20 ms of §5.7, and an USB adapter that hands over every 16 ms
MAX_FRAMES = 64  # kept of one answer: a line that babbles is not listened to for ever

Emit = Callable[[BusEvent], None]


class OsdpBusOptions(BaseModel):
    """Settings of an OSDP line."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    port: Annotated[str, AfterValidator(check_url)] = Field(
        description="'/dev/serial/by-id/…', 'socket://host:port' or 'rfc2217://host:port'.",
        json_schema_extra={"line": True},
    )
    baud_rate: Literal[9600, 19200, 38400, 57600, 115200, 230400] = Field(
        default=9600,
        description="Bits a second, as set in every device of the line; 8 data bits, no parity.",
    )


class OsdpPlace(BaseModel):
    """Where a device is on its bus, and how it is spoken to: the keys that all of them have."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    bus: str = Field(description="The id of the [[bus]] it is on.")
    address: int = Field(ge=0, le=126, description="The device's OSDP address.")
    key_file: Annotated[Path, Field(strict=False)] | None = Field(
        default=None,
        description="Its own secure channel key (SCBK): 32 hexadecimal digits. Only its owner may "
        "read it. While there is no such file the device is out of service, until "
        "'gatewayd osdp pair' gives it a key.",
        json_schema_extra={"secret_file": True, "made_later": True},
    )
    clear_text: bool = Field(
        default=False,
        description="Speak without the secure channel: whoever reaches the wires can open the "
        "door. For a device that has none.",
    )
    check: Literal["crc", "checksum"] = Field(
        default="crc", description="How frames end; 'checksum' for very old devices."
    )

    @model_validator(mode="after")
    def _one_way_to_speak(self) -> OsdpPlace:
        if self.key_file is None and not self.clear_text:
            raise ValueError(
                "needs a key_file, or clear_text = true: see docs/reference/drivers/osdp.md"
            )
        if self.key_file is not None and self.clear_text:
            raise ValueError("has a key_file and clear_text = true: remove one of the two")
        return self


def alike_of(place: OsdpPlace) -> tuple[str, object]:
    """The device, and how it must be spoken to whichever part of it a table is about."""
    return f"{place.bus}, address {place.address}", (place.key_file, place.clear_text, place.check)


def faults_of(place: OsdpPlace) -> list[tuple[str, str]]:
    """What is wrong with the key file, if anything."""
    if place.key_file is None:
        return []
    try:
        KeyFile(place.key_file)
    except ValueError as error:
        return [("key_file", str(error))]
    return []


class OsdpBus:
    """Implements `gatewayd.domain.ports.Bus`."""

    def __init__(self, options: OsdpBusOptions, context: DriverContext) -> None:
        self._name = context.device_id
        self._clock = context.clock
        self._line = Line(options.port, options.baud_rate, context.clock)
        self._byte_s = BITS_A_BYTE / options.baud_rate
        self._devices: dict[int, OsdpDevice] = {}
        self._round: deque[OsdpDevice] = deque()  # whoever had a turn goes to the end
        self._opening: OsdpDevice | None = None  # an opening is gone through at one go
        self._probed = False  # the last turn was a probe
        self._decoder = FrameDecoder()
        self._came: deque[tuple[Frame | Malformed, Stamp]] = deque(maxlen=MAX_FRAMES)
        self._first_ns: int | None = None  # when the first bytes after the command came
        self._bytes_ns = 0  # when the last did
        self._arrived: asyncio.Future[None] | None = None  # of whoever waits for it
        self._take: Callable[[str], None] | None = None  # of a capture
        self._captured_from: Stamp | None = None
        self._begin_anew: set[int] = set()  # addresses: a capture needs their first frames
        self._over_ns = 0  # whatever still comes: the exchange is over
        self._free_ns = 0  # the next frame may not start before this

    def device(self, place: OsdpPlace) -> OsdpDevice:
        """The device at this address; a reader and a board there are one. Raises ValueError where
        their settings differ, or there are too many."""
        use_crc = place.check == "crc"
        known = self._devices.get(place.address)
        if known is None:
            if len(self._devices) >= MAX_DEVICES:
                raise ValueError(f"bus {self._name} has more than {MAX_DEVICES} devices")
            keys = None if place.key_file is None else KeyFile(place.key_file)
            known = OsdpDevice(place.address, keys, use_crc=use_crc)
            self._devices[place.address] = known
            self._round.append(known)
        elif (known.key_path, known.use_crc) != (place.key_file, use_crc):
            raise ValueError(
                f"bus {self._name}: what is at address {place.address} must have the same key_file,"
                " clear_text and check"
            )
        return known

    def capture(self, take: Callable[[str], None] | None) -> None:
        """As `gatewayd.domain.ports.Capturable`. While a device is given its key nothing is."""
        self._take, self._captured_from = take, None
        self._begin_anew = set(self._devices) if take is not None else set()

    async def run(self, emit: Emit) -> None:
        """Poll until cancelled, through every outage of the line. The end says nothing: whoever
        ends the bus knows."""
        for device in self._devices.values():
            device.begin(self._clock.monotonic_ns())
        polling: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as tg, aclosing(self._line.events()) as events:
            try:
                async for event in events:
                    if polling is not None and not isinstance(event, Received):
                        polling.cancel()
                    if isinstance(event, Connected):
                        polling = tg.create_task(self._poll(emit), name=f"poll {self._name}")
                    self._heed(event, emit)
            finally:
                if polling is not None:
                    polling.cancel()

    # --------------------------------------------------------------------------- whose turn

    async def _poll(self, emit: Emit) -> None:
        while True:
            await self._silence()
            self._overhear()
            device = self._whose_turn()
            if device is None:
                await self._clock.sleep_until(self._next_probe_ns())
                continue
            try:
                await self._turn(device, emit)
            except DeviceError as error:  # the line is going: its own event follows
                self._opening = None
                device.lost(str(error), self._clock.monotonic_ns())

    def _whose_turn(self) -> OsdpDevice | None:
        """An opening that is under way, then who is to be told something, then one after another;
        of those that are away one that is due, but no two without somebody in between."""
        if self._opening is not None:
            return self._opening
        urgent = next((device for device in self._round if device.urgent), None)
        if urgent is not None:
            return urgent
        now_ns = self._clock.monotonic_ns()
        away = (d for d in self._spoken_to if not d.online and d.probe_at_ns <= now_ns)
        there = (device for device in self._round if device.online)
        probe, poll = next(away, None), next(there, None)
        if probe is not None and (poll is None or not self._probed):
            self._probed = True
            return probe
        self._probed = False
        return poll

    @property
    def _spoken_to(self) -> Iterator[OsdpDevice]:
        """All but those that have no key yet, in the order of their turns."""
        return (device for device in self._round if not device.unpaired)

    def _next_probe_ns(self) -> int:
        """With nobody online: when the next is to be tried. One may be paired meanwhile."""
        in_a_second_ns = self._clock.monotonic_ns() + NS_PER_S
        return min((device.probe_at_ns for device in self._spoken_to), default=in_a_second_ns)

    async def _turn(self, device: OsdpDevice, emit: Emit) -> None:
        self._round.remove(device)
        self._round.append(device)
        if device.address in self._begin_anew:
            self._begin_anew.discard(device.address)
            device.renew()
        frame = device.next_frame()
        outcome, stamp = await self._exchange(device, frame, emit)
        self._opening = None
        self._settle(device, outcome, stamp)
        await device.settle_key()

    def _settle(self, device: OsdpDevice, outcome: Outcome | None, stamp: Stamp) -> None:
        now_ns = self._clock.monotonic_ns()
        match outcome:
            case None | Ignored():
                device.was_silent(now_ns)
            case Busy():
                device.was_busy(now_ns)
            case Progress() | KeyInstalled():
                device.went_on(outcome)
                self._opening = device
            case Opened():
                device.has_opened(outcome)
            case Replied(reply):
                device.replied(reply, stamp)
            case Refused(nak):
                device.refused(nak, now_ns)
            case Attack():
                self._attacked(device, outcome)
            case _ as never:
                assert_never(never)

    # ----------------------------------------------------------------------------- the line

    async def _exchange(
        self, device: OsdpDevice, frame: bytes, emit: Emit
    ) -> tuple[Outcome | None, Stamp]:
        """One frame out, and what its answer means; None where there was none in its time."""
        self._forget()
        self._record(Direction.OUTPUT, frame, self._clock.now())
        await self._line.write(frame)
        sent_ns = self._clock.monotonic_ns() + round(len(frame) * self._byte_s * NS_PER_S)
        first_by_ns = sent_ns + round((device.patience_s() + self._byte_s) * NS_PER_S)
        self._over_ns = first_by_ns + round((MAX_FRAME * self._byte_s + GAP_S) * NS_PER_S)
        outcome, stamp = await self._answer(device, first_by_ns, emit)
        if outcome is not None and self._first_ns is not None:
            device.answered_after(max(0.0, (self._first_ns - sent_ns) / NS_PER_S))
        idle_s = IDLE_CHARACTERS * self._byte_s
        # From the last byte on: what was reckoned meanwhile is silence as well.
        self._free_ns = max(self._bytes_ns, sent_ns) + round(idle_s * NS_PER_S)
        return outcome, stamp

    async def _answer(
        self, device: OsdpDevice, first_by_ns: int, emit: Emit
    ) -> tuple[Outcome | None, Stamp]:
        while await self._comes(lambda: self._answer_ends_ns(first_by_ns)):
            outcome, stamp = self._understood(device, emit)
            if outcome is not None:
                return outcome, stamp
        return self._left_over(device, emit)

    def _left_over(self, device: OsdpDevice, emit: Emit) -> tuple[Outcome | None, Stamp]:
        """Nothing more comes: the answer may be inside what looked like a longer frame."""
        stamp = self._clock.now()
        for found in self._decoder.quiet():
            self._keep(found, stamp)
        return self._understood(device, emit)

    def _answer_ends_ns(self, first_by_ns: int) -> int:
        """What has begun ends with a gap; an echo of the command, or a stray byte as the line
        turns, leaves the device all its time."""
        by_ns = self._gap_ends_ns() if self._decoder.pending else first_by_ns
        return min(by_ns, self._over_ns)

    async def _silence(self) -> None:
        """Until the next frame may go out. Somebody else's that has begun, such as an answer that
        comes too late, or what another panel says, is heard to its end."""
        await self._clock.sleep_until(self._free_ns)
        over_ns = self._clock.monotonic_ns() + round(REPLY_DELAY_S * NS_PER_S)
        while self._decoder.pending and await self._comes(
            lambda: min(self._gap_ends_ns(), over_ns)
        ):
            pass

    def _gap_ends_ns(self) -> int:
        """When a frame that has begun is over, if no more of it comes."""
        return self._bytes_ns + round((GAP_S + self._byte_s) * NS_PER_S)

    async def _comes(self, by_ns: Callable[[], int]) -> bool:
        """Whether something whole comes before that moment, which each byte may put off."""
        while not self._came:
            left_s = (by_ns() - self._clock.monotonic_ns()) / NS_PER_S
            if left_s <= 0:
                return False
            await self._wait(left_s)
        return True

    async def _wait(self, most_s: float) -> None:
        """Until something whole has come, or so long. An answer comes in many pieces: none of them
        but the last wakes anybody."""
        loop = asyncio.get_running_loop()
        self._arrived = loop.create_future()
        timer = loop.call_later(most_s, _wake, self._arrived)
        try:
            await self._arrived
        finally:
            timer.cancel()
            self._arrived = None

    def _understood(self, device: OsdpDevice, emit: Emit) -> tuple[Outcome | None, Stamp]:
        """What has come so far means; None: not the answer, or not the whole of it."""
        stamp = self._clock.now()
        while self._came:
            found, stamp = self._came.popleft()
            if isinstance(found, Malformed):
                emit(found)
                continue
            self._overheard(found, besides=device)
            outcome = device.session.receive(found)
            if not isinstance(outcome, Ignored):
                return outcome, stamp
        return None, stamp

    def _overhear(self) -> None:
        """What came when nobody was asked."""
        while self._came:
            found, _ = self._came.popleft()
            if isinstance(found, Frame):
                self._overheard(found)

    def _overheard(self, frame: Frame, besides: OsdpDevice | None = None) -> None:
        """A command that is not this panel's own may be an attack on any of its devices."""
        if frame.is_reply:
            return
        for device in self._devices.values():
            if device is not besides and isinstance(
                outcome := device.session.receive(frame), Attack
            ):
                self._attacked(device, outcome)

    def _attacked(self, device: OsdpDevice, attack: Attack) -> None:
        if self._opening is device:
            self._opening = None
        device.heard_attack(attack, self._clock.monotonic_ns())

    def _heed(self, event: LineEvent, emit: Emit) -> None:
        match event:
            case Connected():
                self._forget()
                emit(Online())
            case Received(data, stamp):
                self._bytes_ns = stamp.monotonic_ns
                if self._first_ns is None:
                    self._first_ns = self._bytes_ns
                self._record(Direction.INPUT, data, stamp)
                for found in self._decoder.feed(data):
                    self._keep(found, stamp)
                if self._came and self._arrived is not None:
                    _wake(self._arrived)
            case Disconnected(reason):
                self._all_lost(reason)
                emit(Offline(reason))
            case _:
                assert_never(event)

    def _record(self, direction: Direction, data: bytes, stamp: Stamp) -> None:
        """Into the capture. A pairing can be read by everybody who knows the default key."""
        if self._take is None or any(device.pairing for device in self._devices.values()):
            return
        if self._captured_from is None:
            self._captured_from = stamp
        # The wall clock counts milliseconds, and may be set; the other one does neither.
        since_ns = stamp.monotonic_ns - self._captured_from.monotonic_ns
        time_ns = self._captured_from.wall_ms * NS_PER_MS + since_ns
        self._take(encode_record(Record(time_ns, direction, data)))

    def _keep(self, found: Frame | Malformed, stamp: Stamp) -> None:
        self._came.append((found, stamp))

    def _forget(self) -> None:
        """Nothing of what came before is an answer to what is said next."""
        self._decoder.clear()
        self._came.clear()
        self._first_ns = None

    def _all_lost(self, reason: str) -> None:
        self._opening = None
        now_ns = self._clock.monotonic_ns()
        for device in self._devices.values():
            device.lost(reason, now_ns, 0.0)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def build(options: OsdpBusOptions, context: DriverContext) -> OsdpBus:
    """A bus that opens its line when it runs."""
    return OsdpBus(options, context)


def tools() -> LineTools:
    """For whoever stands at the line; the daemon never loads them."""
    from drivers.osdp_tools.tools import OsdpTools

    return OsdpTools()


def advice_of(options: OsdpBusOptions, parts: Sequence[OsdpPlace]) -> list[tuple[str, str, str]]:
    """From five devices up a line of 9600 or 19200 baud takes longer than a hand is patient."""
    count = len({part.address for part in parts})
    if count < MANY_DEVICES or options.baud_rate >= ENOUGH_BAUD:
        return []
    cycle_s = count * (EXCHANGE_BYTES * BITS_A_BYTE / options.baud_rate + USUAL_DELAY_S)
    what = (
        f"{count} devices at {options.baud_rate} baud: a card may wait {cycle_s:.2f} s for its poll"
    )
    return [("baud_rate", what, f"set all of them to {ENOUGH_BAUD} or more, and this as well")]


def port_of(options: OsdpBusOptions) -> str:
    """What no second driver may use."""
    return options.port


DRIVER = Driver(
    kind=DriverKind.BUS,
    name="osdp",
    options=OsdpBusOptions,
    build=build,
    port_of=port_of,
    advice_of=advice_of,
    captures=True,
    tools=tools,
)
