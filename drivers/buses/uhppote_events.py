"""A UHPPOTE board's events in their order, none twice and none left out: those that it sends as
they happen, and those from an outage, fetched one by one.

Owns which was the last; the board keeps that number for us (function B2), so it outlives us. Must
not judge a card.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from drivers.protocols import uhppote
from drivers.protocols.uhppote import BoardEvent, EventType, Status
from drivers.protocols.uhppote_cards import credential_of
from gatewayd.domain.events import Acted
from gatewayd.domain.model import Stamp
from gatewayd.domain.ports import BoardActed, DeviceError, Malformed

if TYPE_CHECKING:
    from drivers.buses.uhppote import UhppoteBoard

U32 = 0xFFFFFFFF
MAX_KEPT = 200_000  # more than a board keeps: who is further behind follows another count
MAX_PUSHED = 64  # that came ahead of their turn; the others are fetched
FRESH = timedelta(seconds=3)  # a card that was held to a reader longer ago waits there no more
POWER_ON = 28

REASONS = {
    1: "card", 5: "left to the box", 6: "no privilege", 7: "wrong password", 8: "anti-passback",
    9: "more cards", 10: "first card", 11: "door is normally closed", 12: "interlock",
    13: "not in its hours", 15: "no such hours", 18: "access denied", 20: "exit button",
    23: "door opened", 24: "door closed", 25: "opened by password", POWER_ON: "power on",
    29: "reset", 31: "exit button refused: door locked", 32: "exit button refused: offline",
    33: "exit button refused: interlock", 34: "threat", 37: "door open too long",
    38: "door forced", 39: "fire", 40: "closed by force", 44: "opened over the network",
}  # fmt: skip

_log = logging.getLogger(__name__)


class BoardEvents:
    """`heard` is told each status; `run` brings the events in."""

    def __init__(self, board: UhppoteBoard) -> None:
        self._board = board
        self._seen: int | None = None  # the last that was dealt with
        self._newest = 0
        self._pushed: dict[int, tuple[BoardEvent, Stamp]] = {}
        self._news = asyncio.Event()

    async def begin(self) -> None:
        """Where did we stop? A board that never was ours begins with what comes next."""
        serial, status = self._board.serial, self._board.status
        kept = uhppote.number(await self._board.ask(uhppote.get_event_index(serial)))
        newest = 0 if status is None or status.event is None else status.event.index
        self._seen, self._newest = kept or newest, newest
        self._pushed.clear()
        self._news.set()

    def heard(self, status: Status, stamp: Stamp) -> None:
        """Take note of the newest event; it may be the same as before."""
        event = status.event
        self._newest = 0 if event is None else event.index
        if event is not None and self._newest != self._seen and len(self._pushed) < MAX_PUSHED:
            self._pushed.setdefault(event.index, (event, stamp))
        if self._newest != self._seen:
            self._news.set()

    async def run(self) -> None:
        """For ever. Where the board does not answer, its next status calls again."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                while self._board.online and self._seen not in {None, self._newest}:
                    await self._next()
            except DeviceError as error:
                _log.debug("events wait: %s", error)

    async def _next(self) -> None:
        """Deal with one event, then let the board know."""
        assert self._seen is not None  # noqa: S101  # asked by run
        index = self._seen % U32 + 1
        if self._newest == 0 or (self._newest - self._seen) & U32 > MAX_KEPT:
            event, stamp = await self._oldest(), self._board.clock.now()  # its memory was cleared
        else:
            pushed = self._pushed.pop(index, None)
            event, stamp = pushed if pushed is not None else await self._fetch(index)
        if event.type == uhppote.OVERWRITTEN:
            event, stamp = await self._oldest(), self._board.clock.now()
            lost = f"its events {index} to {event.index - 1} are overwritten"
            await self._record(BoardEvent(index, 0, False, 0, 0, 0, None, 0), Acted.OTHER, lost)
        if event.type == EventType.NONE:
            event = BoardEvent(self._newest, 0, False, 0, 0, 0, None, 0)  # there is none to tell
        else:
            await self._deal_with(event, stamp)
        self._seen = event.index
        self._pushed = {known: kept for known, kept in self._pushed.items() if known != self._seen}
        set_index = uhppote.set_event_index(self._board.serial, self._seen)
        await self._board.tell(set_index, "to keep the number of its last event")

    async def _fetch(self, index: int) -> tuple[BoardEvent, Stamp]:
        packet = await self._board.ask(uhppote.get_event(self._board.serial, index))
        return uhppote.read_event(packet), self._board.clock.now()

    async def _oldest(self) -> BoardEvent:
        return (await self._fetch(0))[0]

    async def _deal_with(self, event: BoardEvent, stamp: Stamp) -> None:
        """A card that is still there is ours to judge. Doors and buttons of this moment are told
        as inputs; all that is older is what the board did without us."""
        if event.type == EventType.DOOR and event.reason == POWER_ON:
            self._board.control_lapsed()
        fresh = self._is_fresh(event)
        reader = self._board.readers.get((event.door, event.direction))
        left_to_us = event.type == EventType.CARD and event.reason == uhppote.REASON_PC_CONTROL
        if left_to_us and fresh and reader is not None:
            reader.present(event, stamp)
        elif event.type == EventType.CARD:
            judged = Acted.GRANTED if event.granted else Acted.DENIED
            await self._record(event, Acted.UNSEEN if left_to_us else judged)
        elif not fresh or event.type != EventType.DOOR:
            await self._record(event, Acted.OTHER)

    def _is_fresh(self, event: BoardEvent) -> bool:
        """By the board's own clock, whatever it shows."""
        status = self._board.status
        if status is None or status.now is None or event.at is None:
            return False
        return abs(status.now - event.at) <= FRESH

    async def _record(self, event: BoardEvent, what: Acted, reason: str | None = None) -> None:
        """Returns once it is on disk; the next event waits for it."""
        doors = self._board.doors
        if doors is None:
            return
        kept = asyncio.Event()
        card = credential_of(event.card) if event.type == EventType.CARD else None
        acted = BoardActed(
            event.index,
            what,
            event.door,
            reason or REASONS.get(event.reason, f"reason {event.reason}"),
            self._board.local_to_ms(event.at),
            None if isinstance(card, Malformed) else card,
            kept.set,
        )
        await doors.listening.wait()
        doors.told(acted)
        await kept.wait()
