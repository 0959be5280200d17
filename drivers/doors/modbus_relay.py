"""The driver `modbus-relay`: relay and input boards that speak Modbus RTU. Owns the polling, the
retries and whose turn the line is; must not know what a relay or an input is for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, assert_never

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from drivers.protocols import modbus_rtu
from drivers.protocols.modbus_rtu import Answer, AnswerDecoder, Bits, Refused, Request
from drivers.transport import Connected, Disconnected, Line, LineEvent, Received, check_url
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
GIVE_WAY_MS = 50  # after a reader's last bytes: a tag of 17 ms, the decision, a slow disk
BITS_A_BYTE = 10  # 8N1
_BUSY = frozenset({5, 6})  # exceptions that say "ask again"

_log = logging.getLogger(__name__)
Emit = Callable[[ControllerEvent], None]


class ModbusRelayOptions(BaseModel):
    """Settings of a Modbus RTU relay board."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    port: Annotated[str, AfterValidator(check_url)] = Field(
        description="'/dev/serial/by-id/…', 'socket://host:port' or 'rfc2217://host:port'.",
        json_schema_extra={"line": True},
    )
    baud_rate: int = Field(
        default=9600, ge=1200, le=921_600, description="Bits a second; 8 data bits, no parity."
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


@dataclass(slots=True)
class _Waiting:
    """The one question that is on the line."""

    decoder: AnswerDecoder
    answered: asyncio.Future[tuple[Answer, Stamp]]


class _UnansweredError(DeviceError):
    """Nothing, noise or "busy" came back: the same question may be asked again."""

    def __init__(self, message: str, noise: int = 0) -> None:
        super().__init__(message)
        self.noise = noise  # bytes that came and are no answer


class ModbusRelayBoard:
    """Implements `gatewayd.domain.ports.DoorController`.

    `_turn` is whose turn it is on the line. A poll takes it for one question, so a relay waits for
    at most that one; a relay keeps it from the write to the end of the read-back. A poll that is
    due lets an expected order go first, as far as MAX_POLL_MS allows.
    """

    def __init__(self, options: ModbusRelayOptions, context: DriverContext) -> None:
        self._options = options
        self._name = f"{context.device_id} at {options.port}, Modbus device {options.device_id}"
        self._clock = context.clock
        self._line = Line(options.port, options.baud_rate, context.clock)
        self._turn = asyncio.Lock()
        self._waiting: _Waiting | None = None
        self._free_ns = 0  # the next frame may not start before this
        self._expecting_until_ns = 0
        self._giving_way: asyncio.Task[None] | None = None  # a poll that lets an order go first
        self._online: bool | None = None  # None: nothing was said yet
        self._inputs: tuple[bool, ...] | None = None  # as last emitted

    # ---------------------------------------------------------------------- the core's side

    async def run(self, emit: Emit) -> None:
        """Poll until cancelled, through every outage of the line and of the board."""
        poll: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as tg, aclosing(self._line.events()) as events:
            try:
                async for event in events:
                    if isinstance(event, Connected):
                        poll = tg.create_task(self._poll(emit), name=f"poll {self._name}")
                    elif poll is not None and isinstance(event, Disconnected):
                        poll.cancel()
                    self._heed(event, emit)
            finally:
                if poll is not None:
                    poll.cancel()

    def expect_order(self) -> None:
        """For GIVE_WAY_MS, a poll that is due waits."""
        self._expecting_until_ns = self._clock.monotonic_ns() + GIVE_WAY_MS * NS_PER_MS

    async def set_relay(self, relay: int, energised: bool) -> None:
        """Switch and read back. Raises DeviceError unless the board confirmed the new state."""
        if not 1 <= relay <= self._options.relays:
            raise DeviceError(
                f"{self._name}: there is no relay {relay}; the settings say 1 to"
                f" {self._options.relays}"
            )
        self._expecting_until_ns = 0
        if self._giving_way is not None:
            self._giving_way.cancel()  # it gets the turn after us
        try:
            async with asyncio.timeout(SWITCH_DEADLINE_S), self._turn:
                await self._switch(relay, energised)
        except TimeoutError as error:
            raise DeviceError(
                f"{self._name}: relay {relay} was not confirmed within {SWITCH_DEADLINE_S:g} s"
            ) from error

    async def _switch(self, relay: int, energised: bool) -> None:
        device_id, address = self._options.device_id, relay - 1
        await self._insist(modbus_rtu.write_coil(device_id, address, energised))
        answer, _ = await self._insist(modbus_rtu.read_coils(device_id, address, 1))
        if answer != Bits((energised,)):
            state = "energised" if energised else "released"
            raise DeviceError(
                f"{self._name}: relay {relay} was told to be {state} and reads back otherwise:"
                " check the board and its supply"
            )

    async def _insist(self, request: Request) -> tuple[Answer, Stamp]:
        """Ask up to ATTEMPTS times without giving the turn away in between."""
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._ask(request)
            except _UnansweredError as failure:
                _log.debug("asking a board again", extra={"reason": str(failure)})
        return await self._ask(request)

    # -------------------------------------------------------------------------- the polling

    async def _poll(self, emit: Emit) -> None:
        """Read the inputs for ever; an outage is told once and probed with a back-off."""
        retry_s = FIRST_RETRY_S
        while True:
            began_ns = self._clock.monotonic_ns()
            try:
                states, stamp = await self._read_inputs(emit)
            except DeviceError as error:
                self._went_offline(str(error), emit)
                wait_ns = round(retry_s * NS_PER_S)
                retry_s = min(retry_s * 2, MAX_RETRY_S)
            else:
                self._heard(states, stamp, emit)
                wait_ns = self._options.poll_ms * NS_PER_MS
                retry_s = FIRST_RETRY_S
            await self._clock.sleep_until(began_ns + wait_ns)
            await self._give_way(began_ns + MAX_POLL_MS * NS_PER_MS)

    async def _give_way(self, latest_ns: int) -> None:
        """Wait while an order is expected, until it has come, but never beyond `latest_ns`: noise
        on a reader's line must not keep an input of 400 ms from being seen."""
        while (until_ns := min(self._expecting_until_ns, latest_ns)) > self._clock.monotonic_ns():
            async with asyncio.TaskGroup() as tg:
                self._giving_way = tg.create_task(
                    self._clock.sleep_until(until_ns), name=f"poll gives way {self._name}"
                )

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
                async with self._turn:
                    return await self._ask(request)
            except _UnansweredError as failure:
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

    # ----------------------------------------------------------------------------- the line

    async def _ask(self, request: Request) -> tuple[Answer, Stamp]:
        """One question and its answer; whoever asks has the turn.

        Raises _UnansweredError, or DeviceError where asking again is of no use.
        """
        await self._clock.sleep_until(self._free_ns)
        answered = asyncio.get_running_loop().create_future()
        self._waiting = waiting = _Waiting(AnswerDecoder(request), answered)
        try:
            await self._line.write(request.frame)
            async with asyncio.timeout(self._answer_within_s(request)):
                answer, stamp = await answered
        except TimeoutError as error:
            raise self._unanswered(waiting.decoder.unanswering) from error
        finally:
            self._waiting = None
            self._free_ns = self._clock.monotonic_ns() + self._silence_ns()
        if isinstance(answer, Refused):
            failure = _UnansweredError if answer.code in _BUSY else DeviceError
            raise failure(
                f"{self._name} refuses function {request.frame[1]:02d}: {answer.reason}; check"
                " `relays` and `inputs` against the board"
            )
        return answer, stamp

    def _heed(self, event: LineEvent, emit: Emit) -> None:
        """What the line says goes to whoever waits for an answer."""
        waiting = self._waiting
        match event:
            case Connected():
                pass  # a board is online once it has answered
            case Received(data, stamp):
                if waiting is not None and not waiting.answered.done():
                    answer = waiting.decoder.feed(data)
                    if answer is not None:
                        waiting.answered.set_result((answer, stamp))
            case Disconnected(reason):
                if waiting is not None and not waiting.answered.done():
                    waiting.answered.set_exception(DeviceError(reason))
                self._went_offline(reason, emit)
            case _:
                assert_never(event)

    def _unanswered(self, noise: int) -> _UnansweredError:
        came = f"{noise} bytes that are no answer came" if noise else "nothing came"
        return _UnansweredError(
            f"{self._name} did not answer within {self._options.timeout_ms} ms ({came}): check"
            " its supply, wiring, baud_rate and device_id",
            noise,
        )

    def _answer_within_s(self, request: Request) -> float:
        """The wire time of question and answer, and the board's time to begin."""
        wire_bytes = len(request.frame) + request.answer_length
        wire_s = wire_bytes * BITS_A_BYTE / self._options.baud_rate
        return wire_s + self._options.timeout_ms / 1000

    def _silence_ns(self) -> int:
        """The 3.5 characters between frames, 1.75 ms above 19200 baud (Serial Line V1.02 §2.5)."""
        if self._options.baud_rate > 19_200:
            return 1_750_000
        return round(3.5 * 11 / self._options.baud_rate * NS_PER_S)


def build(options: ModbusRelayOptions, context: DriverContext) -> ModbusRelayBoard:
    """A board that opens its line when it runs."""
    return ModbusRelayBoard(options, context)


def port_of(options: ModbusRelayOptions) -> str:
    """What no second driver may use."""
    return options.port


DRIVER = Driver(
    kind=DriverKind.CONTROLLER,
    name="modbus-relay",
    options=ModbusRelayOptions,
    build=build,
    port_of=port_of,
)
