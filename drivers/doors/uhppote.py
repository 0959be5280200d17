"""The driver `uhppote-doors`: the doors of a UHPPOTE board as relays and inputs. Owns what an order
means in the board's own words; must not know what hangs on them. The board speaks for it.

Relay N is the lock of door N. Input N is the contact of door N, active while it is shut; input
4 + N is its exit button.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from drivers.buses.uhppote import UhppoteBoard, UhppoteOptions
from drivers.buses.uhppote_list import BoardList, cards_of, compare
from drivers.protocols import uhppote
from drivers.protocols.uhppote import DOORS, Control, Status
from gatewayd.domain.model import NS_PER_MS, FallbackCard, Stamp
from gatewayd.domain.ports import (
    BoardActed,
    Clock,
    ClockDrifted,
    ControllerEvent,
    DeviceError,
    Driver,
    DriverContext,
    DriverKind,
    InputChanged,
    ListDifference,
    Malformed,
    Offline,
    Online,
)

SWITCH_DEADLINE_S = 1.5  # GB 50396: card to actuator within 2 s; the rest is the card's
LOOKS, LOOK_MS = 5, 50  # how often and how far apart a lock is looked at that has just been told
MARGIN_S = 1  # the core ends an unlocking; the board does where the core can't any more
MAX_OPEN_S = 255  # that a board can time
AT_FIRST_S = 5  # how long it unlocks by itself, until it was told otherwise


class UhppoteDoorsOptions(BaseModel):
    """Settings of the doors of a UHPPOTE board."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    inputs: ClassVar[int] = 2 * DOORS  # as the module says; check-config asks

    bus: str = Field(description="The id of the [[bus]] that is the board.")
    relays: Literal[1, 2, 4] = Field(default=4, description="Doors of the board: L01, L02, L04.")


class UhppoteDoors:
    """Implements `gatewayd.domain.ports.ListKeeper`, and `DoorsPart` for its board."""

    def __init__(self, options: UhppoteDoorsOptions, context: DriverContext) -> None:
        """Raises ValueError where another controller has the board's doors."""
        board: UhppoteBoard = context.bus
        if board.doors is not None:
            raise ValueError(f"{context.device_id}: the doors of {board.name} are taken")
        board.doors = self
        self.listening = asyncio.Event()
        self._board = board
        self._relays = options.relays
        self._clock = context.clock
        self._name = f"{context.device_id}, {board.name}"
        self._ordering = asyncio.Lock()
        self._known: dict[int, tuple[Control, int]] = {}  # as the board confirmed it
        self._emit: Callable[[ControllerEvent], None] | None = None
        self._standing: Online | Offline | None = None
        self._inputs: tuple[bool, ...] | None = None  # as last told, None: not since it is online

    async def run(self, emit: Callable[[ControllerEvent], None]) -> None:
        """Emit what the board tells until cancelled; the board does the talking."""
        self._emit = emit
        self.listening.set()
        try:
            if self._standing is not None:
                self.told(self._standing)
            if self._board.online and self._board.status is not None:
                self.heard(self._board.status, self._clock.now())
            await asyncio.Event().wait()
        finally:
            self._emit = None
            self.listening.clear()

    def expect_order(self) -> None:
        """Nothing to keep back: an exchange takes a millisecond."""

    # ------------------------------------------------------------------------- the core's side

    async def set_relay(
        self, relay: int, energised: bool, for_s: float | None = None, *, shut: bool = False
    ) -> None:
        """Unlock or lock, and look at the lock. Raises DeviceError unless it is so."""
        if not 1 <= relay <= self._relays:
            raise DeviceError(
                f"{self._name}: there is no relay {relay}; the settings say 1 to {self._relays}"
            )
        try:
            async with asyncio.timeout(SWITCH_DEADLINE_S), self._ordering:
                await (self._unlock(relay, for_s) if energised else self._lock(relay, shut))
        except TimeoutError as error:
            raise DeviceError(
                f"{self._name}: relay {relay} was not confirmed within {SWITCH_DEADLINE_S:g} s"
            ) from error

    async def _unlock(self, door: int, for_s: float | None) -> None:
        """For a time that the board itself ends, or until it is told otherwise."""
        open_s = MAX_OPEN_S + 1 if for_s is None else math.ceil(for_s) + MARGIN_S
        if open_s > MAX_OPEN_S:
            await self._control(door, Control.NORMALLY_OPEN)
        else:
            await self._control(door, Control.CONTROLLED, open_s)
            question = uhppote.open_door(self._board.serial, door)
            if not (await self._board.ask(question, order=True)).done:
                raise DeviceError(f"{self._name}: door {door} was refused: has the board so many?")
        await self._confirm(door, unlocked=True)

    async def _lock(self, door: int, shut: bool) -> None:
        """`shut`: not even the board's own list and button open it. Otherwise both may, and an
        unlocking that still lasts is cut short by being shut for a moment."""
        if shut:
            await self._control(door, Control.NORMALLY_CLOSED)
        else:
            await self._control(door, Control.CONTROLLED)
            if await self._is_unlocked(door):
                await self._control(door, Control.NORMALLY_CLOSED)
                await self._control(door, Control.CONTROLLED)
        await self._confirm(door, unlocked=False)

    async def _control(self, door: int, control: Control, open_s: int | None = None) -> None:
        """Who moves the lock from now on; the board is told only what it does not know."""
        known = self._known.pop(door, None)
        wanted = (control, open_s or (known[1] if known is not None else AT_FIRST_S))
        if known != wanted:
            question = uhppote.set_door(self._board.serial, door, *wanted)
            await self._board.ask(question, order=True)
        self._known[door] = wanted

    async def _confirm(self, door: int, *, unlocked: bool) -> None:
        for _ in range(LOOKS):
            if await self._is_unlocked(door) is unlocked:
                return
            await self._clock.sleep_until(self._clock.monotonic_ns() + LOOK_MS * NS_PER_MS)
        self._known.pop(door, None)
        state = "unlocked" if unlocked else "locked"
        raise DeviceError(f"{self._name}: door {door} was told to be {state}, and its relay is not")

    async def _is_unlocked(self, door: int) -> bool:
        question = uhppote.status(self._board.serial)
        packet = await self._board.ask(question, order=True)
        return uhppote.read_status(packet).unlocked[door - 1]

    def keep_list(self, cards: Sequence[FallbackCard]) -> None:
        """The board's own list from now on."""
        self._board.own_list.keep(cards)

    # --------------------------------------------------------------- the board's side: DoorsPart

    def heard(self, status: Status, stamp: Stamp) -> None:
        """Inputs that changed; all of them, the first time since it is online."""
        if self._emit is None:
            return
        shut = tuple(not is_open for is_open in status.open)
        before, self._inputs = self._inputs, (*shut, *status.buttons)
        for index, active in enumerate(self._inputs):
            if before is None or before[index] != active:
                self._emit(InputChanged(index + 1, active, stamp))

    def told(self, event: Online | Offline | Malformed | ClockDrifted | BoardActed) -> None:
        """What becomes of the board, and what it did."""
        if isinstance(event, Online | Offline):
            self._standing, self._inputs = event, None
            self._known.clear()
        if self._emit is not None:
            self._emit(event)


def build(options: UhppoteDoorsOptions, context: DriverContext) -> UhppoteDoors:
    """The doors of the board of its context. Raises ValueError as the class does."""
    return UhppoteDoors(options, context)


def port_of(options: UhppoteDoorsOptions) -> str:
    """What no second driver may use."""
    return f"{options.bus}, its doors"


async def compare_list(
    bus_options: UhppoteOptions,
    _options: UhppoteDoorsOptions,
    clock: Clock,
    cards: Sequence[FallbackCard],
) -> ListDifference:
    """How the list on the board differs from these. Raises DeviceError where it can't be asked."""
    board = UhppoteBoard(bus_options, DriverContext("the board", clock))
    async with board.visited():
        zone = ZoneInfo(bus_options.time_zone)
        return compare(cards_of(cards, zone), await BoardList(board, zone).read())


DRIVER = Driver(
    kind=DriverKind.CONTROLLER,
    name="uhppote-doors",
    options=UhppoteDoorsOptions,
    build=build,
    port_of=port_of,
    bus="uhppote",
    keeps_list=True,
    compare_list=compare_list,
)
