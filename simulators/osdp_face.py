"""What people see and hear of a simulated OSDP device: lights, buzzer, text, outputs. Owns these
states and their times; must not know frames.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

COLOURS = ("black", "red", "green", "amber", "blue", "magenta", "cyan", "white")
MAX_HISTORY = 64  # a test looks at the last few; older ones go
TICK_UNIT_S = 0.1  # the wire counts in tenths of a second
MAX_TEXT = 32  # characters of a row


class Timed(Protocol):
    """Something that ends by itself."""

    def tick(self, now_s: float) -> bool:
        """Whether it ended, the time being `now_s`."""
        ...


class Changes:
    """Wakes whoever waits for a state."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Returns when the condition holds, which is looked at after each change."""
        while not condition():
            await self._changed.wait()


@dataclass(frozen=True, slots=True)
class LightPattern:
    """A light's colours in turn; steady where one of the times is 0."""

    on_colour: str
    off_colour: str = "black"
    on_s: float = 0.1
    off_s: float = 0.0

    @property
    def colour(self) -> str:
        """What the pattern is called: its `on` colour, unless it is never on."""
        return self.off_colour if self.off_s and not self.on_s else self.on_colour

    @property
    def blinks(self) -> bool:
        return self.on_s > 0 and self.off_s > 0 and self.on_colour != self.off_colour


@dataclass(slots=True)
class Light:
    """One LED: what it always shows, and what it shows until `until_s`.

    `changed_ns`: monotonic ns of the last change of what is shown. `history`: the colours shown.
    """

    permanent: LightPattern
    temporary: LightPattern | None = None
    until_s: float = math.inf
    changed_ns: int = 0
    history: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_HISTORY))

    @property
    def pattern(self) -> LightPattern:
        return self.temporary or self.permanent

    @property
    def colour(self) -> str:
        return self.pattern.colour

    def show(self, permanent: LightPattern, temporary: LightPattern | None, until_s: float) -> bool:
        """Whether what is shown has changed."""
        before = self.pattern
        self.permanent, self.temporary, self.until_s = permanent, temporary, until_s
        if self.pattern == before:
            return False
        self.changed_ns = time.monotonic_ns()
        self.history.append(self.colour)
        return True

    def tick(self, now_s: float) -> bool:
        """The temporary pattern ends at its time; whether that was now."""
        if self.temporary is None or now_s < self.until_s:
            return False
        return self.show(self.permanent, None, math.inf)

    def order(self, record: bytes, now_s: float) -> bool:
        """Twelve bytes of an LED command, after reader and LED. Raises ValueError."""
        permanent, temporary, until_s = self.permanent, self.temporary, self.until_s
        if record[0] not in {0, 1, 2} or record[7] not in {0, 1}:
            raise ValueError("no such control code of a light")
        if record[0] == 1:
            temporary = None
        elif record[0] == 2:
            temporary = _pattern(record[1:5])
            timer_s = int.from_bytes(record[5:7], "little") * TICK_UNIT_S
            until_s = now_s + timer_s if timer_s else math.inf
        if record[7] == 1:
            permanent = _pattern(record[8:12])
        return self.show(permanent, temporary, until_s)

    def status(self) -> dict[str, Any]:
        shown = self.pattern
        temporary = self.temporary is not None
        return {"colour": self.colour, "blinks": shown.blinks, "temporary": temporary}


def _pattern(four: bytes) -> LightPattern:
    on, off, on_colour, off_colour = four
    if max(on_colour, off_colour) >= len(COLOURS):
        raise ValueError("no such colour")
    return LightPattern(
        COLOURS[on_colour], COLOURS[off_colour], on * TICK_UNIT_S, off * TICK_UNIT_S
    )


@dataclass(frozen=True, slots=True)
class Buzz:
    """A buzzer's pattern; `count` 0 is until told otherwise, tone 1 is off."""

    tone: int
    on_s: float
    off_s: float
    count: int

    @property
    def lasts_s(self) -> float:
        if self.tone < 2:
            return 0.0
        return self.count * (self.on_s + self.off_s) if self.count else math.inf


@dataclass(slots=True)
class Buzzer:
    """`now` is the pattern that sounds, None in silence; `orders` counts commands."""

    now: Buzz | None = None
    until_s: float = math.inf
    orders: int = 0
    history: deque[Buzz] = field(default_factory=lambda: deque(maxlen=MAX_HISTORY))

    def order(self, record: bytes, now_s: float) -> None:
        """Four bytes of a buzzer command, after the reader. Raises ValueError."""
        tone, on, off, count = record
        if tone > 2:
            raise ValueError("no such tone")
        buzz = Buzz(tone, on * TICK_UNIT_S, off * TICK_UNIT_S, count)
        self.orders += 1
        self.history.append(buzz)
        self.now, self.until_s = (buzz, now_s + buzz.lasts_s) if buzz.lasts_s else (None, math.inf)

    def tick(self, now_s: float) -> bool:
        if self.now is None or now_s < self.until_s:
            return False
        self.now = None
        return True


@dataclass(slots=True)
class Display:
    """Rows of text, from 1; a temporary text hides its row's permanent one for its time."""

    rows: int
    permanent: dict[int, str] = field(default_factory=dict)
    temporary: dict[int, tuple[str, float]] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All rows, down to the last one with something on it."""
        shown = (self._row(row) for row in range(1, self.rows + 1))
        return "\n".join(shown).rstrip("\n")

    def order(self, record: bytes, now_s: float) -> None:
        """A text command after the reader. Raises ValueError."""
        kind, seconds, row, column, size = record[:5]
        text = record[5:].decode("latin-1")
        if not 1 <= kind <= 4 or not 1 <= row <= self.rows or not 1 <= column <= MAX_TEXT:
            raise ValueError("no such place on the display")
        if len(text) != size or column - 1 + size > MAX_TEXT:
            raise ValueError("text of another length")
        text = self._row(row)[: column - 1].ljust(column - 1) + text
        if kind <= 2:
            self.permanent[row] = text
            self.temporary.pop(row, None)
        else:
            self.temporary[row] = text, now_s + seconds if seconds else math.inf

    def tick(self, now_s: float) -> bool:
        over = [row for row, (_, until_s) in self.temporary.items() if now_s >= until_s]
        for row in over:
            del self.temporary[row]
        return bool(over)

    def clear(self) -> None:
        self.permanent.clear()
        self.temporary.clear()

    def _row(self, row: int) -> str:
        return self.temporary[row][0] if row in self.temporary else self.permanent.get(row, "")


@dataclass(slots=True)
class OutputState:
    """One relay. `changed_ns`: monotonic ns when it last moved; `times_on` since the start."""

    permanent: bool = False
    temporary: bool | None = None
    until_s: float = math.inf
    times_on: int = 0
    changed_ns: int = 0

    @property
    def energised(self) -> bool:
        return self.permanent if self.temporary is None else self.temporary

    def order(self, code: int, timer_s: float, now_s: float) -> bool:
        """OSDP 2.2 §6.10: control codes 0 to 6; whether it moved. Raises ValueError."""
        if code > 6:
            raise ValueError("no such control code of an output")
        before = self.energised
        if code in {1, 2}:
            self.permanent, self.temporary = code == 2, None
        elif code in {3, 4}:  # a pulse that runs may end first
            self.permanent = code == 4
        elif code:
            self.temporary = code == 5
            self.until_s = now_s + timer_s if timer_s else math.inf
        return self._moved(before)

    def tick(self, now_s: float) -> bool:
        if self.temporary is None or now_s < self.until_s:
            return False
        before = self.energised
        self.temporary = None
        return self._moved(before)

    def release(self) -> None:
        """Power is gone."""
        before = self.energised
        self.permanent, self.temporary = False, None
        self._moved(before)

    def _moved(self, before: bool) -> bool:
        if self.energised == before:
            return False
        self.times_on += self.energised
        self.changed_ns = time.monotonic_ns()
        return True
