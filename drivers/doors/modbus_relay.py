"""The driver `modbus-relay`: relay and input boards that speak Modbus RTU, alone on a line or
several on a [[bus]]. Owns a board's polling and retries; the line is `drivers.buses.modbus`'s. Must
not know what a relay or an input is for.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from drivers.buses.modbus import BaudRate, ModbusBus, ModbusBusOptions, UnansweredError
from drivers.protocols import modbus_rtu
from drivers.protocols.modbus_rtu import Answer, Bits, Request
from drivers.transport import Connected, check_url
from gatewayd.domain.model import NS_PER_MS, NS_PER_S, Stamp
from gatewayd.domain.ports import (
    ControllerEvent,
    DeviceError,
    Driver,
    DriverContext,
    DriverKind,
    InputChanged,
    Malformed,
    Offline,
    Online,
)

ATTEMPTS = 3  # a lost or spoilt answer is asked for again before it is a failure
SWITCH_DEADLINE_S = 1.5  # GB 50396: card to actuator within 2 s; the rest is the card's
FIRST_RETRY_S = 0.25
MAX_RETRY_S = 5.0
MAX_POLL_MS = 150  # even with one lost answer, 400 ms are met at 9600 baud
PULSE_MARGIN_S = 1.0  # the core ends a pulse in time; the board does where the core can't any more
SETTLED_S = 0.3  # after the end of a board's pulse, for one whose clock is slow

_log = logging.getLogger(__name__)
Emit = Callable[[ControllerEvent], None]


class ModbusRelayOptions(BaseModel):
    """Settings of a Modbus RTU relay board: on a line of its own, or on a [[bus]]."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    port: Annotated[str, AfterValidator(check_url)] | None = Field(
        default=None,
        description="'/dev/serial/by-id/…', 'socket://host:port' or 'rfc2217://host:port'; for a "
        "board that is alone on its line.",
        json_schema_extra={"line": True},
    )
    bus: str | None = Field(
        default=None, description="The id of the [[bus]] of the driver 'modbus', instead of port."
    )
    baud_rate: BaudRate | None = Field(
        default=None,
        description="Bits a second, 9600 if left out; 8 data bits, no parity. On a [[bus]]: there.",
    )
    device_id: int = Field(default=1, ge=1, le=247, description="The board's Modbus address.")
    relays: int = Field(default=8, ge=1, le=64, description="Relay terminals on the board.")
    inputs: int = Field(default=8, ge=0, le=64, description="Input terminals on the board.")
    poll_ms: int = Field(
        default=100,
        ge=20,
        le=MAX_POLL_MS,
        description="Inputs are read this often; those active for 400 ms must be seen.",
    )
    timeout_ms: int = Field(
        default=200,
        ge=20,
        le=2_000,
        description="The board begins its answer within this time, wire time not counted.",
    )
    pulse: Literal["none", "flash-0200"] = Field(
        default="none",
        description="'flash-0200': the board ends an unlocking by itself, should the box die "
        "meanwhile (function 05 at 0x0200 and 0x0400).",
    )

    @model_validator(mode="after")
    def _one_line(self) -> ModbusRelayOptions:
        if (self.port is None) == (self.bus is None):
            raise ValueError("needs a port, or the bus it is on: one of the two")
        if self.bus is not None and self.baud_rate is not None:
            raise ValueError("baud_rate is set in the [[bus]], once for all that is on it")
        return self


@dataclass(frozen=True, slots=True)
class _Pulse:
    """What the board ends by itself, when it surely has, and what the relay was told since."""

    energised: bool
    over_ns: int
    wanted: bool | None = None


class ModbusRelayBoard:
    """Implements `gatewayd.domain.ports.DoorController`.

    A poll takes the line for one question; a relay keeps it from the write to the read-back, and
    goes before polls. A poll that is due lets an expected order go first, as far as MAX_POLL_MS
    allows.
    """

    def __init__(self, options: ModbusRelayOptions, context: DriverContext) -> None:
        """Raises ValueError where its address on the bus is taken."""
        self._options = options
        self._own_line = context.bus is None
        self._bus: ModbusBus = context.bus or _line_of(options, context)
        self._name = f"{context.device_id} at {self._bus.port}, Modbus device {options.device_id}"
        self._station = self._bus.station(options.device_id, self._name, options.timeout_ms)
        self._clock = context.clock
        self._ordering = asyncio.Lock()  # one order of this board at a time waits for the line
        self._pulses: dict[int, _Pulse] = {}
        self._online: bool | None = None  # None: nothing was said yet
        self._inputs: tuple[bool, ...] | None = None  # as last emitted

    # ---------------------------------------------------------------------- the core's side

    async def run(self, emit: Emit) -> None:
        """Poll until cancelled, through every outage of the line and of the board."""
        async with asyncio.TaskGroup() as tg:
            if self._own_line:
                tg.create_task(self._bus.run(lambda _event: None), name=f"line of {self._name}")
            poll: asyncio.Task[None] | None = None
            standing = None
            while True:
                standing = await self._bus.next_standing(standing)
                if poll is not None:
                    poll.cancel()
                if isinstance(standing, Connected):
                    poll = tg.create_task(self._poll(emit), name=f"poll {self._name}")
                else:
                    self._went_offline(standing.reason, emit)

    def expect_order(self) -> None:
        """For a moment, a poll that is due waits."""
        self._bus.expect_order()

    async def set_relay(
        self, relay: int, energised: bool, for_s: float | None = None, *, shut: bool = False
    ) -> None:
        """Switch and read back. Raises DeviceError unless the board confirmed the new state."""
        if not 1 <= relay <= self._options.relays:
            raise DeviceError(
                f"{self._name}: there is no relay {relay}; the settings say 1 to"
                f" {self._options.relays}"
            )
        self._bus.order_has_come()
        try:
            async with asyncio.timeout(SWITCH_DEADLINE_S), self._ordering:
                await self._switch(relay, energised, for_s)
        except TimeoutError as error:
            raise DeviceError(
                f"{self._name}: relay {relay} was not confirmed within {SWITCH_DEADLINE_S:g} s"
            ) from error

    async def _switch(self, relay: int, energised: bool, for_s: float | None) -> None:
        write = self._write(relay, energised, for_s)
        read = modbus_rtu.read_coils(self._options.device_id, relay - 1, 1)
        attempts = 1 if self._station.away else ATTEMPTS
        while True:
            attempts -= 1
            try:
                async with self._bus.turn(order=True):
                    await self._bus.ask(self._station, write)
                    answer, _ = await self._bus.ask(self._station, read)
                break
            except UnansweredError as failure:
                _log.debug("asking a board again", extra={"reason": str(failure)})
                if not attempts:
                    raise
        if answer != Bits((energised,)):
            state = "energised" if energised else "released"
            raise DeviceError(
                f"{self._name}: relay {relay} was told to be {state} and reads back otherwise:"
                " check the board and its supply"
            )

    def _write(self, relay: int, energised: bool, for_s: float | None) -> Request:
        """The order, timed by the board where it can and is wanted to."""
        device_id, address, now_ns = self._options.device_id, relay - 1, self._clock.monotonic_ns()
        tenths = None if for_s is None else math.ceil((for_s + PULSE_MARGIN_S) * 10)
        if self._options.pulse == "none" or tenths is None or tenths > modbus_rtu.MAX_FLASH:
            if relay in self._pulses:
                self._pulses[relay] = replace(self._pulses[relay], wanted=energised)
            return modbus_rtu.write_coil(device_id, address, energised)
        over_ns = now_ns + round((tenths / 10 + SETTLED_S) * NS_PER_S)
        self._pulses[relay] = _Pulse(energised, over_ns)
        return modbus_rtu.flash_coil(device_id, address, energised, tenths)

    # -------------------------------------------------------------------------- the polling

    async def _poll(self, emit: Emit) -> None:
        """Read the inputs for ever; an outage is told once and probed with a back-off."""
        retry_s = FIRST_RETRY_S
        while True:
            began_ns = self._clock.monotonic_ns()
            try:
                states, stamp = await self._read_inputs(emit)
                await self._mend_pulses(began_ns)
            except DeviceError as error:
                self._went_offline(str(error), emit)
                wait_ns = round(retry_s * NS_PER_S)
                retry_s = min(retry_s * 2, MAX_RETRY_S)
            else:
                self._heard(states, stamp, emit)
                wait_ns = self._options.poll_ms * NS_PER_MS
                retry_s = FIRST_RETRY_S
            await self._clock.sleep_until(began_ns + wait_ns)
            await self._bus.give_way(began_ns + MAX_POLL_MS * NS_PER_MS)

    async def _mend_pulses(self, now_ns: int) -> None:
        """A relay that was told to stay as it is while the board timed it is told once more when
        that time is over: no maker says whether a plain order ends it. Raises DeviceError."""
        for relay, pulse in tuple(self._pulses.items()):
            if pulse.over_ns <= now_ns:
                del self._pulses[relay]
                if pulse.wanted is pulse.energised:
                    await self.set_relay(relay, pulse.energised)

    async def _read_inputs(self, emit: Emit) -> tuple[tuple[bool, ...], Stamp]:
        """The inputs' states; a board without inputs is asked for a relay, to know it is there."""
        device_id, inputs = self._options.device_id, self._options.inputs
        if inputs:
            request = modbus_rtu.read_inputs(device_id, 0, inputs)
        else:
            request = modbus_rtu.read_coils(device_id, 0, 1)
        answer, stamp = await self._ask_in_turns(request, emit)
        states = answer.states if isinstance(answer, Bits) else ()
        return states[:inputs], stamp

    async def _ask_in_turns(self, request: Request, emit: Emit) -> tuple[Answer, Stamp]:
        """Ask up to ATTEMPTS times, giving the line to a relay in between.

        A board that is known to be away gets one probe.
        """
        attempts = ATTEMPTS if self._online else 1
        while True:
            attempts -= 1
            try:
                async with self._bus.turn(order=False):
                    return await self._bus.ask(self._station, request)
            except UnansweredError as failure:
                if failure.noise:
                    emit(Malformed("bytes that are no answer of the board"))
                if not attempts:
                    raise

    def _heard(self, states: tuple[bool, ...], stamp: Stamp, emit: Emit) -> None:
        if not self._online:
            self._online, self._inputs = True, None
            emit(Online(self._name))
        before, self._inputs = self._inputs, states
        for index, active in enumerate(states):
            if before is None or before[index] != active:
                emit(InputChanged(index + 1, active, stamp))

    def _went_offline(self, reason: str, emit: Emit) -> None:
        if self._online is not False:
            self._online = False
            emit(Offline(reason))


def _line_of(options: ModbusRelayOptions, context: DriverContext) -> ModbusBus:
    """The line of a board that is alone on it."""
    assert options.port is not None  # noqa: S101  # the model says so
    baud_rate = 9600 if options.baud_rate is None else options.baud_rate
    return ModbusBus(ModbusBusOptions(port=options.port, baud_rate=baud_rate), context)


def build(options: ModbusRelayOptions, context: DriverContext) -> ModbusRelayBoard:
    """A board that is spoken to when it runs. Raises ValueError as the class does."""
    return ModbusRelayBoard(options, context)


def port_of(options: ModbusRelayOptions) -> str:
    """What no second driver may use: its line, or its place on its bus."""
    return options.port or f"{options.bus}, Modbus device {options.device_id}"


DRIVER = Driver(
    kind=DriverKind.CONTROLLER,
    name="modbus-relay",
    options=ModbusRelayOptions,
    build=build,
    port_of=port_of,
    bus="modbus",
)
