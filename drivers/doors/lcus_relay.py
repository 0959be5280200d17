"""The driver `lcus-relay`: USB relay boards of the LCUS type, which take orders and never answer.
Owns telling the board again what it was told; must not know what a relay is for.

Nothing confirms an order: what counts as done is that the bytes went out. So every relay is told
its state again and again, and a byte that got lost, or a board that lost its supply for a moment,
is put right within `refresh_ms`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Annotated, ClassVar, assert_never

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from drivers.protocols import lcus
from drivers.transport import Connected, Disconnected, Line, LineEvent, Received, check_url
from gatewayd.domain.model import NS_PER_MS, NS_PER_S
from gatewayd.domain.ports import (
    ControllerEvent,
    DeviceError,
    Driver,
    DriverContext,
    DriverKind,
    Malformed,
    Offline,
    Online,
)

SWITCH_DEADLINE_S = 1.5  # GB 50396: card to actuator within 2 s; the rest is the card's
BITS_A_BYTE = 10  # 8N1

Emit = Callable[[ControllerEvent], None]


class LcusRelayOptions(BaseModel):
    """Settings of a USB relay board of the LCUS type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    inputs: ClassVar[int] = 0  # the board has none, and check-config asks

    port: Annotated[str, AfterValidator(check_url)] = Field(
        description="'/dev/serial/by-id/…', 'socket://host:port' or 'rfc2217://host:port'.",
        json_schema_extra={"line": True},
    )
    baud_rate: int = Field(
        default=9600, ge=1200, le=115_200, description="Bits a second; 8 data bits, no parity."
    )
    relays: int = Field(
        default=1, ge=1, le=lcus.MAX_RELAYS, description="Relay terminals on the board."
    )
    refresh_ms: int = Field(
        default=1000,
        ge=100,
        le=60_000,
        description="Each relay is told its state again this often: the board confirms nothing.",
    )


class LcusRelayBoard:
    """Implements `gatewayd.domain.ports.DoorController`. Online means that its port is open."""

    def __init__(self, options: LcusRelayOptions, context: DriverContext) -> None:
        self._options = options
        self._name = f"{context.device_id} at {options.port}"
        self._clock = context.clock
        self._line = Line(options.port, options.baud_rate, context.clock)
        self._turn = asyncio.Lock()
        self._free_ns = 0  # the next frame may not start before this
        self._told: dict[int, bool] = {}  # what the open line took; what failed is not said again

    async def run(self, emit: Emit) -> None:
        """Until cancelled, through every outage of the port."""
        refresh: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as tg, aclosing(self._line.events()) as events:
            try:
                async for event in events:
                    if refresh is not None and not isinstance(event, Received):
                        refresh.cancel()
                    if isinstance(event, Connected):
                        refresh = tg.create_task(self._refresh(), name=f"refresh {self._name}")
                    self._heed(event, emit)
            finally:
                if refresh is not None:
                    refresh.cancel()

    def expect_order(self) -> None:
        """Nothing to keep back: a refresh is four bytes."""

    async def set_relay(
        self, relay: int, energised: bool, for_s: float | None = None, *, shut: bool = False
    ) -> None:
        """Returns once the line took the order: the board can't be asked. Raises DeviceError."""
        if not 1 <= relay <= self._options.relays:
            raise DeviceError(
                f"{self._name}: there is no relay {relay}; the settings say 1 to"
                f" {self._options.relays}"
            )
        try:
            async with asyncio.timeout(SWITCH_DEADLINE_S), self._turn:
                self._told.pop(relay, None)
                await self._send(relay, energised)
                self._told[relay] = energised
        except TimeoutError as error:
            raise DeviceError(
                f"{self._name}: relay {relay} was not told within {SWITCH_DEADLINE_S:g} s"
            ) from error

    async def _refresh(self) -> None:
        """Tell every relay again what it was told, one by one, so that an order comes between."""
        while True:
            wait_ns = self._options.refresh_ms * NS_PER_MS
            await self._clock.sleep_until(self._clock.monotonic_ns() + wait_ns)
            for relay in tuple(self._told):
                try:
                    async with self._turn:
                        if relay in self._told:
                            await self._send(relay, self._told[relay])
                except DeviceError:  # the line is going: its own event follows
                    return

    async def _send(self, relay: int, energised: bool) -> None:
        """One frame, and as long a silence after it: no maker says how fast a board can read."""
        await self._clock.sleep_until(self._free_ns)
        frame = lcus.switch(relay, energised)
        wire_s = 2 * len(frame) * BITS_A_BYTE / self._options.baud_rate
        self._free_ns = self._clock.monotonic_ns() + round(wire_s * NS_PER_S)
        await self._line.write(frame)

    def _heed(self, event: LineEvent, emit: Emit) -> None:
        match event:
            case Connected():
                # The core says at Online how each door must be; nothing from before is repeated.
                self._told.clear()
                emit(Online(f"{self._name}, whose relays can't be read back"))
            case Received():
                emit(Malformed("bytes from a board that has nothing to say: is it the right port?"))
            case Disconnected(reason):
                self._told.clear()
                emit(Offline(reason))
            case _:
                assert_never(event)


def build(options: LcusRelayOptions, context: DriverContext) -> LcusRelayBoard:
    """A board that opens its line when it runs."""
    return LcusRelayBoard(options, context)


def port_of(options: LcusRelayOptions) -> str:
    """What no second driver may use."""
    return options.port


DRIVER = Driver(
    kind=DriverKind.CONTROLLER,
    name="lcus-relay",
    options=LcusRelayOptions,
    build=build,
    port_of=port_of,
)
