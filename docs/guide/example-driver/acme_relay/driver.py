"""The driver `acme-relay`: an Acme network relay as a door controller.

Owns the connection and the polling. Must not know what a relay or an input is for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field

from acme_relay import protocol
from gatewayd.domain.model import NS_PER_MS, NS_PER_S
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

T_REPLY_S = 0.5
SWITCH_DEADLINE_S = 1.5  # card to lock within 2 s, and the card has its part of them
FIRST_RETRY_S, MAX_RETRY_S = 0.25, 5.0

Emit = Callable[[ControllerEvent], None]


class AcmeRelayOptions(BaseModel):
    """Settings of an Acme network relay. `gatewayd check-config` checks them, and the descriptions
    become the reference and the editor's JSON Schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    host: str = Field(min_length=1, description="The relay's address on the network.")
    port: int = Field(default=4001, ge=1, le=65_535, description="Its TCP port.")
    # check-config compares a door's `relay` and `contact_input` with these two, by their names.
    relays: int = Field(default=4, ge=1, le=16, description="Relay terminals.")
    inputs: int = Field(default=4, ge=1, le=16, description="Input terminals.")
    poll_ms: int = Field(
        default=100, ge=20, le=150, description="Inputs are read this often; 400 ms must be seen."
    )


class AcmeRelay:
    """Implements `gatewayd.domain.ports.DoorController`."""

    def __init__(self, options: AcmeRelayOptions, context: DriverContext) -> None:
        """Touches no device: `run` does."""
        self._options = options
        self._clock = context.clock
        self._name = f"{context.device_id} at {options.host}:{options.port}"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()  # one question at a time
        self._inputs: tuple[bool, ...] | None = None  # as last emitted

    async def run(self, emit: Emit) -> None:
        """Poll until cancelled, through every outage: each is told once, then tried again with a
        back-off."""
        retry_s, told = FIRST_RETRY_S, False
        while True:
            try:
                await self._connect()
                await self._question(protocol.get_inputs())  # it is there once it has answered
                emit(Online(self._name))
                retry_s, told = FIRST_RETRY_S, False
                await self._poll(emit)
            except OSError as error:  # DeviceError is one
                if not told:
                    emit(Offline(str(error)))
                    told = True
            finally:
                self._disconnect()
            await self._clock.sleep_until(self._clock.monotonic_ns() + round(retry_s * NS_PER_S))
            retry_s = min(retry_s * 2, MAX_RETRY_S)

    def expect_order(self) -> None:
        """Nothing to keep back: a question takes a millisecond."""

    async def set_relay(
        self, relay: int, energised: bool, for_s: float | None = None, *, shut: bool = False
    ) -> None:
        """Switch and read back. Raises DeviceError unless the relay says that it moved. It can't
        time a pulse and decides nothing by itself, so both hints are left."""
        if not 1 <= relay <= self._options.relays:
            raise DeviceError(f"{self._name} has relays 1 to {self._options.relays}, no {relay}")
        try:
            async with asyncio.timeout(SWITCH_DEADLINE_S):
                await self._question(protocol.set_relay(relay, energised))
                line = await self._question(protocol.get_relay(relay))
            moved = protocol.read_relay(line, relay) is energised
        except TimeoutError as error:
            raise DeviceError(f"{self._name}: relay {relay} was not confirmed in time") from error
        except protocol.ProtocolError as error:
            raise DeviceError(f"{self._name}: {error}") from error
        if not moved:
            raise DeviceError(f"{self._name}: relay {relay} did not move: check the board")

    async def _poll(self, emit: Emit) -> None:
        self._inputs = None
        while True:
            began_ns = self._clock.monotonic_ns()
            line = await self._question(protocol.get_inputs())
            try:
                self._tell(protocol.read_inputs(line, self._options.inputs), emit)
            except protocol.ProtocolError as error:
                emit(Malformed(str(error)))
            await self._clock.sleep_until(began_ns + self._options.poll_ms * NS_PER_MS)

    def _tell(self, states: tuple[bool, ...], emit: Emit) -> None:
        """Inputs that changed; all of them after Online. Terminals count from 1."""
        before, self._inputs = self._inputs, states
        for index, active in enumerate(states):
            if before is None or before[index] != active:
                emit(InputChanged(index + 1, active, self._clock.now()))

    # ----------------------------------------------------------------------- the connection

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(MAX_RETRY_S):
                self._streams = await asyncio.open_connection(
                    self._options.host, self._options.port, limit=protocol.MAX_LINE
                )
        except (OSError, TimeoutError) as error:
            raise DeviceError(
                f"{self._name}: no connection ({error}): check cable and address"
            ) from error

    def _disconnect(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].transport.abort()  # what is unsent must not reach it after a reconnect

    async def _question(self, line: bytes) -> bytes:
        """The answer's line. Raises DeviceError where none comes."""
        async with self._turn:
            streams = self._streams
            if streams is None:
                raise DeviceError(f"{self._name} is not connected")
            reader, writer = streams
            try:
                async with asyncio.timeout(T_REPLY_S):
                    writer.write(line)
                    await writer.drain()
                    answer = await reader.readline()
            except (OSError, TimeoutError, ValueError) as error:
                self._disconnect()  # an answer that comes late must not be taken for the next
                raise DeviceError(f"{self._name} did not answer: {error or 'in time'}") from error
        if not answer.endswith(b"\n"):
            raise DeviceError(f"{self._name} hung up")
        return answer


def build(options: AcmeRelayOptions, context: DriverContext) -> AcmeRelay:
    """What gatewayd calls for each [[controller]] with this driver."""
    return AcmeRelay(options, context)


def port_of(options: AcmeRelayOptions) -> str:
    """What no second driver may use: check-config finds two tables for one device."""
    return f"{options.host}:{options.port}"


DRIVER = Driver(
    kind=DriverKind.CONTROLLER,
    name="acme-relay",
    options=AcmeRelayOptions,
    build=build,
    port_of=port_of,
)
