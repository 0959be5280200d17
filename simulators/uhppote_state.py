"""What a simulated UHPPOTE board knows and does: doors, cards, events, its clock, who decides.

Owns the states and the board's own decisions; must not know the network. The clock that passes is
an argument: monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from simulators.uhppote_wire import Record

NORMALLY_OPEN, NORMALLY_CLOSED, CONTROLLED = 1, 2, 3
CARD, DOOR = 1, 2  # types of events
PC_CONTROL_S = 30.0  # without a word from the host, the board decides by itself again
MAX_EVENTS = 100_000
U32 = 0xFFFFFFFF
DELETED = U32

GRANTED, LEFT_TO_PC, NO_PRIVILEGE, IS_CLOSED = 1, 5, 6, 11
BUTTON, DOOR_OPENED, DOOR_CLOSED, POWER_ON, BUTTON_REFUSED, REMOTE = 20, 23, 24, 28, 31, 44


@dataclass(slots=True)
class SimulatedDoor:
    control: int = CONTROLLED
    open_s: int = 5
    unlocked_until_s: float = 0.0
    open: bool = False
    button: bool = False
    times_unlocked: int = 0

    def is_unlocked(self, now_s: float) -> bool:
        timed = self.control == CONTROLLED and now_s < self.unlocked_until_s
        return self.control == NORMALLY_OPEN or timed

    def unlock(self, now_s: float) -> None:
        self.unlocked_until_s = now_s + self.open_s
        self.times_unlocked += 1


@dataclass(slots=True)
class SimulatedCard:
    number: int
    begins: date
    ends: date
    doors: list[bool]


@dataclass(slots=True)
class BoardState:
    """Doors from 1. What happens returns the event that the board makes of it, if any."""

    now_s: float  # monotonic, as last told
    doors: list[SimulatedDoor]
    clock: datetime  # the board's, at `clock_set_s`
    clock_set_s: float
    cards: list[SimulatedCard | None] = field(default_factory=list)  # None: deleted
    events: dict[int, Record] = field(default_factory=dict)
    newest: int = 0
    user_index: int = 0
    record_all: bool = False
    heard_s: float = -PC_CONTROL_S  # when the host last said anything
    pc_control: bool = False

    @property
    def now(self) -> datetime:
        return self.clock + timedelta(seconds=int(self.now_s - self.clock_set_s))

    @property
    def host_decides(self) -> bool:
        return self.pc_control and self.now_s - self.heard_s < PC_CONTROL_S

    def relays(self) -> list[bool]:
        return [door.is_unlocked(self.now_s) for door in self.doors]

    # ------------------------------------------------------------------------------ events

    def note(
        self,
        kind: int,
        door: int,
        reason: int,
        *,
        granted: bool = False,
        card: int = 0,
        way: int = 1,
    ) -> Record | None:
        """Keep an event; None for one of doors or buttons where those are not recorded."""
        if kind == DOOR and not self.record_all:
            return None
        self.newest = self.newest % U32 + 1
        record = Record(self.newest, kind, granted, door, way, card, self.now, reason)
        self.events[self.newest] = record
        while len(self.events) > MAX_EVENTS:
            del self.events[next(iter(self.events))]
        return record

    # ------------------------------------------------------------------------- what happens

    def swipe(self, door: int, card: int, way: int) -> Record | None:
        place = self.doors[door - 1]
        if self.host_decides:
            return self.note(CARD, door, LEFT_TO_PC, card=card, way=way)
        if place.control == NORMALLY_CLOSED:
            return self.note(CARD, door, IS_CLOSED, card=card, way=way)
        if not self._may_pass(door, card):
            return self.note(CARD, door, NO_PRIVILEGE, card=card, way=way)
        place.unlock(self.now_s)
        return self.note(CARD, door, GRANTED, granted=True, card=card, way=way)

    def _may_pass(self, door: int, number: int) -> bool:
        card = self.find(number)
        if card is None or not card.begins <= self.now.date() <= card.ends:
            return False
        return card.doors[door - 1]

    def press(self, door: int) -> Record | None:
        place = self.doors[door - 1]
        place.button = True
        if place.control == NORMALLY_CLOSED:
            return self.note(DOOR, door, BUTTON_REFUSED)
        place.unlock(self.now_s)
        return self.note(DOOR, door, BUTTON, granted=True)

    def move_leaf(self, door: int, *, opens: bool) -> Record | None:
        self.doors[door - 1].open = opens
        return self.note(DOOR, door, DOOR_OPENED if opens else DOOR_CLOSED, granted=True)

    def open_by_host(self, door: int) -> Record | None:
        place = self.doors[door - 1]
        if place.control != CONTROLLED:
            return None
        place.unlock(self.now_s)
        return self.note(DOOR, door, REMOTE, granted=True)

    def reboot(self) -> Record | None:
        """Cards, doors' settings and events are kept; who decides is forgotten."""
        self.pc_control = False
        for door in self.doors:
            door.unlocked_until_s = 0.0
        return self.note(DOOR, 0, POWER_ON, granted=True)

    # ------------------------------------------------------------------------------- cards

    def find(self, number: int) -> SimulatedCard | None:
        return next((card for card in self.cards if card and card.number == number), None)

    def put(self, card: SimulatedCard) -> None:
        for place, known in enumerate(self.cards):
            if known is not None and known.number == card.number:
                self.cards[place] = card
                return
        self.cards.append(card)

    def delete(self, number: int) -> bool:
        for place, known in enumerate(self.cards):
            if known is not None and known.number == number:
                self.cards[place] = None
                return True
        return False
