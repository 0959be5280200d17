"""The driver `modbus`: one serial line with Modbus RTU boards on it, as their only master.

Owns the line, whose turn it is on it, and how long each board is waited for. Must not know what a
relay or an input is. One question is out at a time; a relay to be switched comes before inputs to
be read, and a board that does not answer gets short probes, so that the others lose little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Annotated, assert_never

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from drivers.buses.turns import Turns
from drivers.protocols.modbus_rtu import Answer, AnswerDecoder, Refused, Request
from drivers.transport import Connected, Disconnected, Line, LineEvent, Received, check_url
from gatewayd.domain.model import NS_PER_MS, NS_PER_S, Stamp
from gatewayd.domain.ports import (
    BusEvent,
    DeviceError,
    Driver,
    DriverContext,
    DriverKind,
    Offline,
    Online,
)

AWAY_AFTER = 3  # questions in a row without an answer: the board is away
PROBE_S = 0.03  # for a board that is away, or twice its slowest answer, where it gave any
LONG_PROBE_EVERY = 4  # then all of its time, for one that came back slower than it was
GIVE_WAY_MS = 50  # after a reader's last bytes: a tag of 17 ms, the decision, a slow disk
BITS_A_BYTE = 10  # 8N1
_BUSY = frozenset({5, 6})  # exceptions that say "ask again"

BaudRate = Annotated[int, Field(ge=1200, le=921_600)]


class ModbusBusOptions(BaseModel):
    """Settings of a line with several Modbus RTU boards."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    port: Annotated[str, AfterValidator(check_url)] = Field(
        description="'/dev/serial/by-id/…', 'socket://host:port' or 'rfc2217://host:port'.",
        json_schema_extra={"line": True},
    )
    baud_rate: BaudRate = Field(
        default=9600, description="Bits a second of every board on it; 8 data bits, no parity."
    )


class UnansweredError(DeviceError):
    """Nothing, noise or "busy" came back: the same question may be asked again."""

    def __init__(self, message: str, noise: int = 0) -> None:
        super().__init__(message)
        self.noise = noise  # bytes that came and are no answer


@dataclass(slots=True)
class Station:
    """One board on the line, as far as the line must know it."""

    name: str
    timeout_ms: int
    misses: int = 0  # questions in a row that it did not answer
    slowest_s: float = 0.0  # what it once took to begin an answer

    @property
    def away(self) -> bool:
        return self.misses >= AWAY_AFTER

    def patience_s(self, *, shared: bool) -> float:
        """How long to wait for its answer to begin."""
        whole_s = self.timeout_ms / 1000
        if not shared or not self.away or (self.misses - AWAY_AFTER) % LONG_PROBE_EVERY == 3:
            return whole_s
        return min(whole_s, max(PROBE_S, 2 * self.slowest_s))


@dataclass(slots=True)
class _Waiting:
    """The one question that is on the line."""

    decoder: AnswerDecoder
    answered: asyncio.Future[tuple[Answer, Stamp]]


class ModbusBus:
    """Implements `gatewayd.domain.ports.Bus`. Whoever asks holds the `turn`."""

    def __init__(self, options: ModbusBusOptions, context: DriverContext) -> None:
        self.port = options.port
        self._baud_rate = options.baud_rate
        self._clock = context.clock
        self._line = Line(options.port, options.baud_rate, context.clock)
        self._turns = Turns()
        self._stations: dict[int, Station] = {}
        self._waiting: _Waiting | None = None
        self._free_ns = 0  # the next frame may not start before this
        self._expecting_until_ns = 0
        self._giving_way: set[asyncio.Task[None]] = set()  # polls that let an order go first
        self._standing: Connected | Disconnected | None = None
        self._stands_anew = asyncio.Event()

    def station(self, device_id: int, name: str, timeout_ms: int) -> Station:
        """A place for one board. Raises ValueError where the address is another board's."""
        if device_id in self._stations:
            taken = self._stations[device_id].name
            raise ValueError(f"{name}: Modbus device {device_id} is {taken} on this line")
        self._stations[device_id] = Station(name, timeout_ms)
        return self._stations[device_id]

    async def run(self, emit: Callable[[BusEvent], None]) -> None:
        """Keep the line open until cancelled; its boards ask when they like."""
        async with aclosing(self._line.events()) as events:
            async for event in events:
                self._heed(event, emit)

    async def next_standing(
        self, before: Connected | Disconnected | None
    ) -> Connected | Disconnected:
        """How the line stands, once that is not as `before`."""
        while self._standing is None or self._standing is before:
            await self._stands_anew.wait()
        return self._standing

    # --------------------------------------------------------------------------- whose turn

    def turn(self, *, order: bool) -> AbstractAsyncContextManager[None]:
        """The line, for the length of the block."""
        return self._turns.taken(order=order)

    def expect_order(self) -> None:
        """For GIVE_WAY_MS, polls that are due wait, whichever board the order is for."""
        self._expecting_until_ns = self._clock.monotonic_ns() + GIVE_WAY_MS * NS_PER_MS

    def order_has_come(self) -> None:
        """Polls need not wait for it any more: they get their turn behind it."""
        self._expecting_until_ns = 0
        for task in self._giving_way:
            task.cancel()

    async def give_way(self, latest_ns: int) -> None:
        """Wait while an order is expected, until it has come, but never beyond `latest_ns`: noise
        on a reader's line must not keep an input of 400 ms from being seen."""
        while (until_ns := min(self._expecting_until_ns, latest_ns)) > self._clock.monotonic_ns():
            async with asyncio.TaskGroup() as tg:
                task = tg.create_task(self._clock.sleep_until(until_ns), name="poll gives way")
                self._giving_way.add(task)
                task.add_done_callback(self._giving_way.discard)

    # ------------------------------------------------------------------------------- asking

    async def ask(self, station: Station, request: Request) -> tuple[Answer, Stamp]:
        """One question and its answer; whoever asks has the turn.

        Raises UnansweredError, or DeviceError where asking again is of no use.
        """
        await self._clock.sleep_until(self._free_ns)
        answered = asyncio.get_running_loop().create_future()
        self._waiting = waiting = _Waiting(AnswerDecoder(request), answered)
        wire_s = (len(request.frame) + request.answer_length) * BITS_A_BYTE / self._baud_rate
        patience_s = station.patience_s(shared=len(self._stations) > 1)
        try:
            await self._line.write(request.frame)
            asked_ns = self._clock.monotonic_ns()
            async with asyncio.timeout(wire_s + patience_s):
                answer, stamp = await answered
        except TimeoutError as error:
            station.misses += 1
            raise _unanswered(station, patience_s, waiting.decoder.unanswering) from error
        finally:
            self._waiting = None
            self._free_ns = self._clock.monotonic_ns() + self.silence_ns
        station.misses = 0
        took_s = (stamp.monotonic_ns - asked_ns) / NS_PER_S - wire_s
        station.slowest_s = max(station.slowest_s, took_s)
        if isinstance(answer, Refused):
            failure = UnansweredError if answer.code in _BUSY else DeviceError
            raise failure(
                f"{station.name} refuses function {request.frame[1]:02d}: {answer.reason}; check"
                " `relays` and `inputs` (and `pulse`, where it is set) against the board"
            )
        return answer, stamp

    @property
    def silence_ns(self) -> int:
        """The 3.5 characters between frames, 1.75 ms above 19200 baud (Serial Line V1.02 §2.5)."""
        if self._baud_rate > 19_200:
            return 1_750_000
        return round(3.5 * 11 / self._baud_rate * NS_PER_S)

    def _heed(self, event: LineEvent, emit: Callable[[BusEvent], None]) -> None:
        """What the line says goes to whoever waits for an answer."""
        waiting = self._waiting
        match event:
            case Connected():
                emit(Online())
                self._stand(event)
            case Received(data, stamp):
                if waiting is not None and not waiting.answered.done():
                    answer = waiting.decoder.feed(data)
                    if answer is not None:
                        waiting.answered.set_result((answer, stamp))
            case Disconnected(reason):
                if waiting is not None and not waiting.answered.done():
                    waiting.answered.set_exception(DeviceError(reason))
                emit(Offline(reason))
                self._stand(event)
            case _:
                assert_never(event)

    def _stand(self, event: Connected | Disconnected) -> None:
        self._standing = event
        self._stands_anew.set()
        self._stands_anew = asyncio.Event()


def _unanswered(station: Station, patience_s: float, noise: int) -> UnansweredError:
    came = f"{noise} bytes that are no answer came" if noise else "nothing came"
    return UnansweredError(
        f"{station.name} did not answer within {patience_s * 1000:.0f} ms ({came}): check"
        " its supply, wiring, baud_rate and device_id",
        noise,
    )


def build(options: ModbusBusOptions, context: DriverContext) -> ModbusBus:
    """A line that is opened when it runs."""
    return ModbusBus(options, context)


def port_of(options: ModbusBusOptions) -> str:
    """What no second driver may use."""
    return options.port


DRIVER = Driver(
    kind=DriverKind.BUS,
    name="modbus",
    options=ModbusBusOptions,
    build=build,
    port_of=port_of,
)
