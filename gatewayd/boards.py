"""What boards did by themselves, journaled: once, in the board's order, before the board may
forget it. Owns the waiting; must not judge what a board did.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from gatewayd.domain.events import ControllerActed
from gatewayd.domain.model import NS_PER_S, DeviceId
from gatewayd.domain.ports import BoardActed, Clock, Journal, JournalEntry, JournalError

log = logging.getLogger(__name__)

RETRY_NS = NS_PER_S


class ActedJournal(Journal, Protocol):
    """The journal, as far as it is asked here."""

    async def entries_before(
        self,
        seq: int | None,
        limit: int,
        *,
        kinds: frozenset[str] | None = None,
        subject: str | None = None,
    ) -> list[JournalEntry]: ...


class BoardDesk:
    """One for the box. A board tells the next only after the one before was kept, so no more wait
    here than there are boards."""

    def __init__(self, journal: ActedJournal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._waiting: asyncio.Queue[tuple[DeviceId, BoardActed]] = asyncio.Queue()
        self._last: dict[DeviceId, tuple[int, int] | None] = {}

    def acted(self, device_id: DeviceId, event: BoardActed) -> None:
        """Keep it, and say so to whoever told it; returns at once."""
        self._waiting.put_nowait((device_id, event))

    async def run(self) -> None:
        """For ever. What the disk refuses is tried again."""
        while True:
            device_id, event = await self._waiting.get()
            while not await self._kept(device_id, event):
                await self._clock.sleep_until(self._clock.monotonic_ns() + RETRY_NS)
            event.kept()

    async def _kept(self, device_id: DeviceId, event: BoardActed) -> bool:
        """Whether it is on disk. The one before the box ended may be told a second time."""
        try:
            if device_id not in self._last:
                self._last[device_id] = await self._last_of(device_id)
            this = event.index, event.at_ms or 0
            if self._last[device_id] != this:
                await self._journal.append(self._record(device_id, event))
            self._last[device_id] = this
        except JournalError as error:
            log.debug("what a board did is not kept yet: %s", error)
            return False
        return True

    async def _last_of(self, device_id: DeviceId) -> tuple[int, int] | None:
        kinds = frozenset({ControllerActed.KIND})
        found = await self._journal.entries_before(None, 1, kinds=kinds, subject=device_id)
        for entry in found:
            if isinstance(entry.event, ControllerActed):
                return entry.event.index, entry.event.at_ms
        return None

    def _record(self, device_id: DeviceId, event: BoardActed) -> ControllerActed:
        credential = event.credential
        return ControllerActed(
            device_id,
            event.index,
            event.what,
            event.door,
            event.reason,
            event.at_ms or 0,
            None if credential is None else self._journal.credential_ref(credential),
        )
