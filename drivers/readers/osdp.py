"""The driver `osdp-reader`: a reader on an OSDP bus, with its keypad, light, buzzer and display.

Owns what a reader's replies mean and what it was told to show. The bus speaks for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from pydantic import Field

from drivers.buses.osdp import OsdpBus, OsdpPlace, alike_of, faults_of
from drivers.buses.osdp_device import DeviceEvent, Standing
from drivers.protocols import bit_order
from drivers.protocols.bit_order import Order
from drivers.protocols.osdp.commands import READER_STATUS, Command
from drivers.protocols.osdp.replies import (
    FormattedCard,
    KeypadKeys,
    RawCard,
    ReaderStatus,
    Reply,
)
from drivers.readers import osdp_signs
from drivers.readers.presentation import Presentations
from gatewayd.domain.model import NS_PER_S, Credential, Stamp
from gatewayd.domain.ports import (
    Driver,
    DriverContext,
    DriverKind,
    KeyPressed,
    Malformed,
    Offline,
    Online,
    Presented,
    ReaderEvent,
    TamperChanged,
)
from gatewayd.domain.signs import Sign, Tone

log = logging.getLogger(__name__)

# Of a reader that is attached to its device (OSDP 2.2, osdp_RSTATR).
HEAD_NORMAL, HEAD_AWAY, HEAD_TAMPERED = 0, 1, 2


class OsdpReaderOptions(OsdpPlace):
    """Settings of a reader on an OSDP bus."""

    reader: int = Field(
        default=0, ge=0, le=3, description="Which reader of the device, where it has several."
    )
    accept_unknown_lengths: bool = Field(
        default=False,
        description="Take cards of a length that no known format has, without a parity check.",
    )
    reversed_bits: bool = Field(
        default=False, description="The device sends a card's bits the other way round."
    )
    debounce_ms: int = Field(
        default=1_000,
        ge=0,
        le=60_000,
        description="The same card again this soon after it was last seen is the same tap.",
    )


class OsdpReader:
    """Implements `gatewayd.domain.ports.SignedReader`, and `Part` for its bus."""

    def __init__(self, options: OsdpReaderOptions, context: DriverContext) -> None:
        """Raises ValueError where the key file holds no key, or the place is taken otherwise."""
        bus: OsdpBus = context.bus
        self._options = options
        self._name = context.device_id
        self._clock = context.clock
        self._device = bus.device(options)
        self._device.parts.append(self)
        self._emit: Callable[[ReaderEvent], None] | None = None
        self._standing = Standing()
        self._presentations = Presentations(options.debounce_ms)
        self._online: Online | None = None  # as its device is
        self._opened_housing = False  # the device's own tamper switch
        self._head = HEAD_NORMAL
        self._rests = Sign()
        self._sound_again_ns: int | None = None  # a moment's tone has stopped the resting one
        self._sounded = asyncio.Event()

    async def run(self, emit: Callable[[ReaderEvent], None]) -> None:
        """Emit what the reader tells until cancelled; the bus does the talking."""
        self._emit = emit
        try:
            for event in self._standing:
                emit(event)
            while True:
                await self._sounded.wait()
                self._sounded.clear()
                await self._sound_again()
        finally:
            self._emit = None

    async def pair(self, *, new_device: bool) -> str:
        """As `gatewayd.domain.ports.Pairable`: of the whole device at this address."""
        return await self._device.pair(new_device=new_device)

    # -------------------------------------------------------------------- the bus's side: Part

    def heard(self, reply: Reply, stamp: Stamp) -> None:
        """Cards and keys of this reader; others at the same address have parts of their own."""
        match reply:
            case RawCard(reader=self._options.reader):
                self._present(self._card(reply), stamp)
            case KeypadKeys(reader=self._options.reader):
                for key in reply.keys:
                    self._tell(KeyPressed(key.key, stamp))
            case FormattedCard(reader=self._options.reader):
                self._tell(Malformed("a card as characters: set the reader to send raw bits"))
            case ReaderStatus(states=states) if len(states) > self._options.reader:
                self._heed_head(states[self._options.reader])
            case _:
                pass  # the device's own state comes through `told`; the rest is the board's

    def told(self, event: DeviceEvent) -> None:
        """What becomes of the device, and of this reader with it."""
        match event:
            case Online():
                self._online, self._head = event, HEAD_NORMAL
                self._opened_housing = False
            case Offline():
                self._online = None
                if self._head == HEAD_AWAY:  # it is known to be away
                    return
            case TamperChanged(active):
                before, self._opened_housing = self._tampered, active
                if before and self._tampered:
                    return
                event = TamperChanged(self._tampered)
            case _:
                pass
        self._note(event)

    @property
    def _tampered(self) -> bool:
        return self._opened_housing or self._head == HEAD_TAMPERED

    def _heed_head(self, state: int) -> None:
        """A reader that is wired to its device may be cut off while the device goes on answering:
        nobody gets in there, and it looks like all is well."""
        if self._online is None or state == self._head:
            return
        was_away, was_tampered = self._head == HEAD_AWAY, self._tampered
        self._head = state
        if was_away:
            self._note(self._online)
        elif state == HEAD_AWAY:
            self._note(Offline("its device answers, and says that the reader is not connected"))
        if self._tampered is not was_tampered:
            self._note(TamperChanged(self._tampered))

    def _note(self, event: DeviceEvent) -> None:
        self._standing.note(event)
        self._tell(event)

    def opened(self) -> None:
        """It may know nothing of how it should rest; and how is the reader itself?"""
        self._device.tell(READER_STATUS)
        for command in osdp_signs.resting(self._rests, None, self._options.reader):
            self._say(command)

    def _card(self, raw: RawCard) -> Credential | Malformed:
        order: Order = "bits" if self._options.reversed_bits else "none"
        unknown = self._options.accept_unknown_lengths
        return bit_order.identify(raw.bits, raw.bit_count, unknown, order)

    def _present(self, found: Credential | Malformed, stamp: Stamp) -> None:
        if isinstance(found, Malformed):
            self._tell(found)
        elif self._presentations.is_new(found, stamp.monotonic_ns):
            self._tell(Presented(found, stamp))

    def _tell(self, event: ReaderEvent) -> None:
        if self._emit is not None:
            self._emit(event)

    # --------------------------------------------------------- the core's side: SignedReader

    def rest(self, sign: Sign) -> None:
        """Show this until told otherwise, and again whenever the reader comes back."""
        before, self._rests = self._rests, self._legible(sign)
        self._sound_again_ns = None
        if self._device.online:
            for command in osdp_signs.resting(self._rests, before, self._options.reader):
                self._say(command)

    def flash(self, sign: Sign, for_s: float) -> None:
        """Show this for so many seconds. A reader that is away has missed it."""
        if not self._device.online:
            return
        for command in osdp_signs.flashing(self._legible(sign), for_s, self._options.reader):
            self._say(command)
        if sign.tone is not Tone.SILENT and self._rests.tone is Tone.REPEATED:
            self._sound_again_ns = self._clock.monotonic_ns() + round(for_s * NS_PER_S)
            self._sounded.set()

    async def _sound_again(self) -> None:
        """The buzzer has one pattern: a moment's ends the resting one, which then begins anew."""
        while self._sound_again_ns is not None:
            due_ns = self._sound_again_ns
            await self._clock.sleep_until(due_ns)
            if self._sound_again_ns == due_ns:
                self._sound_again_ns = None
                if self._device.online:  # else it is told all once it is back
                    self._say(osdp_signs.sound(self._rests.tone, self._options.reader))

    def _say(self, command: Command) -> None:
        """Unless the device says that it has nothing to show or sound this with: it would refuse
        each time, and keep its line busy with that."""
        if self._device.capabilities.level(osdp_signs.needs(command)) != 0:
            self._device.tell(command)

    def _legible(self, sign: Sign) -> Sign:
        """Without a text that an OSDP display, which knows printable ASCII, can't show."""
        if _is_legible(sign.text):
            return sign
        log.warning("reader %s: an OSDP display shows ASCII only, no %r", self._name, sign.text)
        return replace(sign, text="")


def _is_legible(text: str) -> bool:
    return text.isascii() and text.isprintable()


def build(options: OsdpReaderOptions, context: DriverContext) -> OsdpReader:
    """A reader on the bus of its context. Raises ValueError as the class does."""
    return OsdpReader(options, context)


def port_of(options: OsdpReaderOptions) -> str:
    """What no second driver may use: its place on its bus."""
    return f"{options.bus}, address {options.address}, reader {options.reader}"


DRIVER = Driver(
    kind=DriverKind.READER,
    name="osdp-reader",
    options=OsdpReaderOptions,
    build=build,
    port_of=port_of,
    bus="osdp",
    alike_of=alike_of,
    faults_of=faults_of,
    pairs=True,
    signs=True,
    shows=_is_legible,
    keypad=True,
)
