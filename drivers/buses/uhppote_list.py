"""A UHPPOTE board's own list of cards: read whole, compared, and brought up to date bit by bit.

Owns the rate. Must not decide who is on it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from drivers.protocols import uhppote
from drivers.protocols.uhppote import DOORS, Card, Question
from drivers.protocols.uhppote_cards import number_of
from gatewayd.domain.model import NS_PER_MS, NS_PER_S, FallbackCard
from gatewayd.domain.ports import DeviceError, ListDifference

if TYPE_CHECKING:
    from drivers.buses.uhppote import UhppoteBoard

EVERY_MS = 50  # one question about cards in so long: 20 a second, beside the doors' own
AGAIN_S = 6 * 3_600  # somebody else may have changed it
RETRY_S = 30
MAX_PLACES = 200_000  # of the board's list, deleted ones among them
EARLIEST, LATEST = date(2000, 1, 1), date(2099, 12, 31)

_log = logging.getLogger(__name__)


def cards_of(wanted: Sequence[FallbackCard], zone: ZoneInfo) -> dict[int, Card]:
    """As the board would have them. It knows whole days only: those on which a card is good from
    beginning to end. Cards that it can't read are left out."""
    found = {}
    for one in wanted:
        number = number_of(one.credential)
        begins, ends = _first_day(one.valid_from_s, zone), _last_day(one.valid_until_s, zone)
        if number is not None and begins <= ends:
            doors = tuple(door in one.doors for door in range(1, DOORS + 1))
            found[number] = Card(number, begins, ends, doors)
    return found


def _first_day(from_s: int | None, zone: ZoneInfo) -> date:
    if from_s is None:
        return EARLIEST
    begins = datetime.fromtimestamp(from_s, UTC).astimezone(zone)
    whole = begins.time() == begins.time().min
    day = begins.date() if whole else begins.date() + timedelta(days=1)
    return min(max(day, EARLIEST), LATEST)


def _last_day(until_s: int | None, zone: ZoneInfo) -> date:
    """The day before the one in which it ends, as that moment is no more part of it."""
    if until_s is None:
        return LATEST
    ends = datetime.fromtimestamp(until_s, UTC).astimezone(zone).date() - timedelta(days=1)
    return min(ends, LATEST)


def compare(wanted: Mapping[int, Card], on_board: Mapping[int, Card]) -> ListDifference:
    def masked(numbers: set[int]) -> tuple[str, ...]:
        return tuple(f"•••{number % 10_000:04d}" for number in sorted(numbers))

    both = wanted.keys() & on_board.keys()
    return ListDifference(
        len(on_board),
        masked(wanted.keys() - both),
        masked(on_board.keys() - both),
        masked({number for number in both if wanted[number] != on_board[number]}),
    )


@dataclass(slots=True)
class BoardList:
    """The list of one board. `keep` says what it should be; `run` sees to it."""

    board: UhppoteBoard
    zone: ZoneInfo
    wanted: dict[int, Card] | None = None  # None: nobody has said yet, and nothing is touched
    _changed: asyncio.Event | None = None

    def keep(self, cards: Sequence[FallbackCard]) -> None:
        """From now on these; returns at once."""
        self.wanted = cards_of(cards, self.zone)
        if self._changed is not None:
            self._changed.set()

    def look_again(self) -> None:
        """The board has been away, or began anew: it may be another, or have forgotten all."""
        if self._changed is not None:
            self._changed.set()

    async def run(self) -> None:
        """For ever, whenever the board is there."""
        self._changed = asyncio.Event()
        clock = self.board.clock
        while True:
            wait_s = RETRY_S if self.wanted is None else AGAIN_S
            if self.wanted is not None:
                self._changed.clear()
                try:
                    await self._bring_up_to_date(self.wanted)
                except DeviceError as error:
                    _log.debug("the board's own list waits: %s", error)
                    wait_s = RETRY_S
            due_ns = clock.monotonic_ns() + wait_s * NS_PER_S
            await self._changed_before(due_ns)

    async def _changed_before(self, due_ns: int) -> None:
        assert self._changed is not None  # noqa: S101  # made by run
        async with asyncio.TaskGroup() as tg:
            changed = tg.create_task(self._changed.wait(), name="a new list for a board")
            due = tg.create_task(self.board.clock.sleep_until(due_ns), name="a board's list is due")
            await asyncio.wait({changed, due}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            due.cancel()

    async def _bring_up_to_date(self, wanted: dict[int, Card]) -> None:
        """Who must not get in any more goes first. Raises DeviceError."""
        if not self.board.online:
            raise DeviceError(f"{self.board.name} is away")
        on_board = await self.read()
        questions = list(_changes(self.board.serial, wanted, on_board))
        for question in questions:
            if self.wanted is not wanted:
                return  # another list has come
            await self._pause()
            await self.board.tell(question, "a card")
        if questions:
            _log.info("%s: %d cards of its own list changed", self.board.name, len(questions))

    async def read(self) -> dict[int, Card]:
        """All cards on the board by their numbers. Raises DeviceError."""
        cards = {}
        for place in range(1, MAX_PLACES):
            await self._pause()
            packet = await self.board.ask(uhppote.get_card_at(self.board.serial, place))
            if uhppote.number(packet) == 0:  # behind the last
                break
            card = uhppote.read_card(packet)
            if card is not None:
                cards[card.number] = card
        return cards

    async def _pause(self) -> None:
        clock = self.board.clock
        await clock.sleep_until(clock.monotonic_ns() + EVERY_MS * NS_PER_MS)


def _changes(
    serial: int, wanted: Mapping[int, Card], on_board: Mapping[int, Card]
) -> Iterator[Question]:
    for number in sorted(on_board.keys() - wanted.keys()):
        yield uhppote.delete_card(serial, number)
    for number, card in sorted(wanted.items()):
        if on_board.get(number) != card:
            yield uhppote.put_card(serial, card)
