"""The driver `uhppote-reader`: a Wiegand reader that hangs on a UHPPOTE board. Owns which of the
board's cards are its own; the board speaks for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from drivers.buses.uhppote import UhppoteBoard
from drivers.protocols.uhppote import DOORS, BoardEvent
from drivers.protocols.uhppote_cards import credential_of
from gatewayd.domain.model import Stamp
from gatewayd.domain.ports import (
    Driver,
    DriverContext,
    DriverKind,
    Malformed,
    Offline,
    Online,
    Presented,
    ReaderEvent,
)

_DIRECTIONS = {"in": 1, "out": 2}


class UhppoteReaderOptions(BaseModel):
    """Settings of a reader on a UHPPOTE board."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    bus: str = Field(description="The id of the [[bus]] that is the board.")
    board_door: int = Field(
        ge=1, le=DOORS, description="The door on the board that the reader is wired to."
    )
    board_side: Literal["in", "out"] = Field(
        default="in", description="Which of the door's two readers it is on the board."
    )


class UhppoteReader:
    """Implements `gatewayd.domain.ports.Reader`, and `ReaderPart` for its board."""

    def __init__(self, options: UhppoteReaderOptions, context: DriverContext) -> None:
        """Raises ValueError where another reader has the place."""
        board: UhppoteBoard = context.bus
        place = options.board_door, _DIRECTIONS[options.board_side]
        if place in board.readers:
            raise ValueError(f"{context.device_id}: {port_of(options)} is taken")
        board.readers[place] = self
        self._emit: Callable[[ReaderEvent], None] | None = None
        self._standing: Online | Offline | None = None

    async def run(self, emit: Callable[[ReaderEvent], None]) -> None:
        """Emit what the reader saw until cancelled; the board does the talking."""
        self._emit = emit
        try:
            if self._standing is not None:
                emit(self._standing)
            await asyncio.Event().wait()
        finally:
            self._emit = None

    def told(self, event: Online | Offline) -> None:
        """What becomes of the board."""
        self._standing = event
        self._tell(event)

    def present(self, event: BoardEvent, stamp: Stamp) -> None:
        """A card that the board left to us. It tells each presentation once."""
        card = credential_of(event.card)
        self._tell(card if isinstance(card, Malformed) else Presented(card, stamp))

    def _tell(self, event: ReaderEvent) -> None:
        if self._emit is not None:
            self._emit(event)


def build(options: UhppoteReaderOptions, context: DriverContext) -> UhppoteReader:
    """A reader on the board of its context. Raises ValueError as the class does."""
    return UhppoteReader(options, context)


def port_of(options: UhppoteReaderOptions) -> str:
    """What no second driver may use: its place on its board."""
    return f"{options.bus}, door {options.board_door}, reader {options.board_side}"


DRIVER = Driver(
    kind=DriverKind.READER,
    name="uhppote-reader",
    options=UhppoteReaderOptions,
    build=build,
    port_of=port_of,
    bus="uhppote",
)
