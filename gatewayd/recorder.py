"""Events that must be kept but that nothing waits for. Owns their order and their retries.

A door's relock must not wait for a slow disk, so the door hands its events over and goes on. What
the disk refuses is tried again; what does not fit into memory meanwhile is counted into a gap that
waits in its place among the events: said, never hidden.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from gatewayd.domain.events import Event, GapRecorded
from gatewayd.domain.model import NS_PER_S, Stamp
from gatewayd.domain.ports import Clock, Journal, JournalError

log = logging.getLogger(__name__)

MAX_WAITING = 10_000  # about 10 MB; a door makes some 5 events a passage
RETRY_NS = NS_PER_S
IN_ORDER_S = 1.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An event that is not on disk. `write` is under way and was begun by someone else."""

    event: Event
    stamp: Stamp
    write: asyncio.Task[int] | None = None


class Recorder:
    """`record` returns at once; `run` appends in order, for ever."""

    def __init__(
        self, journal: Journal, clock: Clock, on_failing: Callable[[bool, str], None]
    ) -> None:
        """`on_failing(True, why)` when the journal starts refusing, `(False, "")` once it takes."""
        self._journal = journal
        self._clock = clock
        self._on_failing = on_failing
        self._waiting: deque[_Waiting] = deque()
        self._failing = False
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def record(self, event: Event, stamp: Stamp | None = None) -> None:
        """Keep the event, stamped now unless told otherwise. Over the cap it is counted as lost."""
        if len(self._waiting) >= MAX_WAITING:
            self._count_as_lost()
            return
        self._put(_Waiting(event, stamp or self._clock.now()))

    def follow(self, event: Event, stamp: Stamp, write: asyncio.Task[int]) -> None:
        """Keep an event that is being appended and is late: the next waits for it, and where the
        journal refuses it in the end it is tried again."""
        self._put(_Waiting(event, stamp, write))

    def _put(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        self._idle.clear()
        self._work.set()

    def _count_as_lost(self) -> None:
        """The gap at the end grows, or a new one begins, one above the cap."""
        last = self._waiting[-1]
        if isinstance(last.event, GapRecorded):
            gap = replace(last.event, lost=last.event.lost + 1)
            self._waiting[-1] = replace(last, event=gap)
        else:
            detail = "the journal refused for longer than memory could hold"
            self._waiting.append(_Waiting(GapRecorded(1, detail), self._clock.now()))

    async def flushed(self) -> None:
        """Returns when nothing waits any more; bound it with a timeout. Whoever appends at once
        after it stands behind all that was recorded."""
        while self._waiting:
            await self._idle.wait()

    async def in_order(self) -> None:
        """For whoever appends to the journal what must stand after all that was recorded before.
        Raises JournalError where that is not on disk within a second."""
        try:
            async with asyncio.timeout(IN_ORDER_S):
                await self.flushed()
        except TimeoutError:
            raise JournalError(f"{self.waiting} events before it still wait for the disk") from None

    async def run(self) -> None:
        while True:
            await self._work.wait()
            while self._waiting:
                await self._append_first()
            self._work.clear()
            self._idle.set()

    async def _append_first(self) -> None:
        first = self._waiting[0]
        try:
            await (first.write or self._journal.append(first.event, first.stamp))
        except JournalError as error:
            self._waiting[0] = replace(first, write=None)
            self._failed(str(error))
            await self._clock.sleep_until(self._clock.monotonic_ns() + RETRY_NS)
            return
        self._waiting.popleft()
        if self._failing:
            self._failing = False
            self._on_failing(False, "")

    def _failed(self, why: str) -> None:
        if not self._failing:
            log.error("the journal refuses events, retrying: %s", why)
            self._failing = True
            self._on_failing(True, why)
