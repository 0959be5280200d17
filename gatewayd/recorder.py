"""Events that must be kept but that nothing waits for. Owns their order and their retries.

A door's relock must not wait for a slow disk, so the door hands its events over and goes on. What
the disk refuses is tried again; what does not fit into memory meanwhile is counted, and the count
is journaled as a gap: said, never hidden.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from gatewayd.domain.events import Event, GapRecorded
from gatewayd.domain.model import NS_PER_S, Stamp
from gatewayd.domain.ports import Clock, Journal, JournalError

log = logging.getLogger(__name__)

MAX_WAITING = 10_000  # about 10 MB; a door makes some 5 events a passage
RETRY_NS = NS_PER_S
IN_ORDER_S = 1.0


class Recorder:
    """`record` returns at once; `run` appends in order, for ever."""

    def __init__(
        self, journal: Journal, clock: Clock, on_failing: Callable[[bool, str], None]
    ) -> None:
        """`on_failing(True, why)` when the journal starts refusing, `(False, "")` once it takes."""
        self._journal = journal
        self._clock = clock
        self._on_failing = on_failing
        self._waiting: deque[tuple[Event, Stamp]] = deque()
        self._lost = 0
        self._taken = self._written = 0  # how many were handed over, how many are on disk
        self._progress = asyncio.Event()
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
            self._lost += 1
            return
        self._waiting.append((event, stamp or self._clock.now()))
        self._taken += 1
        self._idle.clear()
        self._work.set()

    async def flushed(self) -> None:
        """Returns when nothing waits any more; bound it with a timeout."""
        await self._idle.wait()

    async def in_order(self) -> None:
        """For whoever appends to the journal what must stand after all that was recorded before.
        Raises JournalError where that is not on disk within a second."""
        place = self._taken
        try:
            async with asyncio.timeout(IN_ORDER_S):
                while self._written < place:
                    await self._progress.wait()
        except TimeoutError:
            left = place - self._written
            raise JournalError(f"{left} events before it still wait for the disk") from None

    async def run(self) -> None:
        while True:
            await self._work.wait()
            while self._waiting:
                await self._append_first()
            self._work.clear()
            self._idle.set()

    async def _append_first(self) -> None:
        event, stamp = self._waiting[0]
        try:
            await self._journal.append(event, stamp)
            self._waiting.popleft()
            self._written += 1
            progress, self._progress = self._progress, asyncio.Event()
            progress.set()
            await self._tell_what_happened()
        except JournalError as error:
            self._failed(str(error))
            await self._clock.sleep_until(self._clock.monotonic_ns() + RETRY_NS)

    async def _tell_what_happened(self) -> None:
        if self._failing:
            self._failing = False
            self._on_failing(False, "")
        if self._lost:
            lost, detail = self._lost, "the journal refused for longer than memory could hold"
            await self._journal.append(GapRecorded(lost, detail))
            self._lost -= lost

    def _failed(self, why: str) -> None:
        if not self._failing:
            log.error("the journal refuses events, retrying: %s", why)
            self._failing = True
            self._on_failing(True, why)
