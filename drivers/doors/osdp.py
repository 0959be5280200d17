"""The driver `osdp-io`: outputs and inputs of a device on an OSDP bus, as relays and inputs of a
door. Owns what they mean; must not know what hangs on them. The bus speaks for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from math import ceil

from pydantic import Field

from drivers.buses.osdp import OsdpBus, OsdpPlace, alike_of, faults_of
from drivers.buses.osdp_device import DeviceEvent, RefusedError, Standing
from drivers.protocols.osdp import commands
from drivers.protocols.osdp.commands import Output, OutputControl
from drivers.protocols.osdp.replies import (
    OUTPUTS,
    TIMED_OUTPUTS,
    InputStatus,
    OutputStatus,
    Reply,
)
from gatewayd.domain.model import Stamp
from gatewayd.domain.ports import (
    ControllerEvent,
    DeviceError,
    Driver,
    DriverContext,
    DriverKind,
    InputChanged,
    Malformed,
    Online,
)

log = logging.getLogger(__name__)

PULSE_MARGIN_S = 1.0  # the core ends a state in time; the device does where the core can't any more
MOST_100MS = 0xFFFF  # what the wire can say: nearly two hours
SWITCH_DEADLINE_S = 1.5  # GB 50396: card to actuator within 2 s; the rest is the card's


class OsdpIoOptions(OsdpPlace):
    """Settings of the outputs and inputs of a device on an OSDP bus."""

    relays: int = Field(default=1, ge=1, le=32, description="Outputs of the device.")
    inputs: int = Field(default=2, ge=0, le=32, description="Inputs of the device.")


class OsdpIo:
    """Implements `gatewayd.domain.ports.DoorController`, and `Part` for its bus."""

    def __init__(self, options: OsdpIoOptions, context: DriverContext) -> None:
        """Raises ValueError where the key file holds no key, or the place is taken otherwise."""
        bus: OsdpBus = context.bus
        self._options = options
        self._name = f"{context.device_id}, OSDP address {options.address} of {options.bus}"
        self._device = bus.device(options)
        self._device.parts.append(self)
        self._emit: Callable[[ControllerEvent], None] | None = None
        self._standing = Standing()
        self._inputs: tuple[bool, ...] | None = None  # as last told, None: not since it is online

    async def run(self, emit: Callable[[ControllerEvent], None]) -> None:
        """Emit what the device tells until cancelled; the bus does the talking."""
        self._emit = emit
        try:
            for event in self._standing:
                emit(event)
            if self._device.online:
                self._inputs = None
                self._device.tell(commands.INPUT_STATUS)
            await asyncio.Event().wait()
        finally:
            self._emit = None

    def expect_order(self) -> None:
        """Nothing to keep back: a poll is the shortest frame there is."""

    async def set_relay(
        self, relay: int, energised: bool, for_s: float | None = None, *, shut: bool = False
    ) -> None:
        """Switch and read back. Raises DeviceError unless the device confirmed the new state.

        With `for_s` a device that can time its outputs goes back by itself a little later, should
        the line be cut or the box die meanwhile."""
        if not 1 <= relay <= self._options.relays:
            raise DeviceError(
                f"{self._name}: there is no relay {relay}; the settings say 1 to"
                f" {self._options.relays}"
            )
        try:
            async with asyncio.timeout(SWITCH_DEADLINE_S):
                await self._switch(relay, energised, for_s)
        except TimeoutError as error:
            raise DeviceError(
                f"{self._name}: relay {relay} was not confirmed within {SWITCH_DEADLINE_S:g} s"
            ) from error

    async def _switch(self, relay: int, energised: bool, for_s: float | None) -> None:
        reply = await self._order(relay, energised, for_s)
        if not isinstance(reply, OutputStatus):  # some acknowledge, and tell only when asked
            reply = await self._device.ask(commands.OUTPUT_STATUS)
        on = reply.on[relay - 1 : relay] if isinstance(reply, OutputStatus) else ()
        if on != (energised,):
            state = "energised" if energised else "released"
            raise DeviceError(
                f"{self._name}: relay {relay} was told to be {state} and reads back otherwise:"
                " check the device and its supply"
            )

    async def _order(self, relay: int, energised: bool, for_s: float | None) -> Reply:
        """The device's answer. One that says it could time its outputs and refuses is told plainly:
        a door that does not open is worse than a state that only the box ends."""
        timed = self._timed(relay, energised, for_s)
        if timed is not None:
            try:
                return await self._device.ask(commands.control_outputs(timed))
            except RefusedError as error:
                log.warning("%s: relay %d can't be timed: %s", self._name, relay, error)
        action = Output.ON if energised else Output.OFF
        return await self._device.ask(commands.control_outputs(OutputControl(relay - 1, action)))

    def _timed(self, relay: int, energised: bool, for_s: float | None) -> OutputControl | None:
        """None where it is not to end, can't be said, or the device does not say that it can."""
        level = self._device.capabilities.level(OUTPUTS)
        if for_s is None or level is None or level < TIMED_OUTPUTS:
            return None
        tenths = ceil((for_s + PULSE_MARGIN_S) * 10)
        action = Output.TIMED_ON if energised else Output.TIMED_OFF
        return OutputControl(relay - 1, action, tenths) if tenths <= MOST_100MS else None

    async def pair(self, *, new_device: bool) -> str:
        """As `gatewayd.domain.ports.Pairable`: of the whole device at this address."""
        return await self._device.pair(new_device=new_device)

    # -------------------------------------------------------------------- the bus's side: Part

    def heard(self, reply: Reply, stamp: Stamp) -> None:
        """Inputs that changed; all of them, the first time since it is online."""
        if not isinstance(reply, InputStatus) or self._emit is None:
            return
        if len(reply.active) < self._options.inputs and self._inputs is None:
            # A contact that the device does not have would be a door that is never seen open.
            missing = f"{len(reply.active)} inputs, and the settings say {self._options.inputs}"
            self._emit(Malformed(f"the device has {missing}"))
        before, self._inputs = self._inputs, reply.active[: self._options.inputs]
        for index, active in enumerate(self._inputs):
            if before is None or before[index : index + 1] != (active,):
                self._emit(InputChanged(index + 1, active, stamp))

    def told(self, event: DeviceEvent) -> None:
        """What becomes of the device."""
        self._standing.note(event)
        if isinstance(event, Online):
            self._inputs = None
        if self._emit is not None:
            self._emit(event)

    def opened(self) -> None:
        """How do the inputs stand?"""
        if self._options.inputs:
            self._device.tell(commands.INPUT_STATUS)


def build(options: OsdpIoOptions, context: DriverContext) -> OsdpIo:
    """A board on the bus of its context. Raises ValueError as the class does."""
    return OsdpIo(options, context)


def port_of(options: OsdpIoOptions) -> str:
    """What no second driver may use: its place on its bus."""
    return f"{options.bus}, address {options.address}, outputs and inputs"


DRIVER = Driver(
    kind=DriverKind.CONTROLLER,
    name="osdp-io",
    options=OsdpIoOptions,
    build=build,
    port_of=port_of,
    bus="osdp",
    alike_of=alike_of,
    faults_of=faults_of,
    pairs=True,
)
