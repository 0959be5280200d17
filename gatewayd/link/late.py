"""Events of commands that the disk did not take in time. Owns their order and their retries.

For the centre's lockdown, which waits for no disk. Not the recorder's: a command's id is accepted
once, so an event that was written though its commit failed would be refused there for ever, and
hold up all that is recorded after it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from gatewayd.domain.events import CommandAccepted, CommandDone, CommandRejected, Event
from gatewayd.domain.model import NS_PER_S, Stamp
from gatewayd.domain.ports import Clock, JournalError
from gatewayd.store.rows import CommandRow

log = logging.getLogger(__name__)

MAX_LATE = 200  # two a lockdown; past it a lockdown is still carried out, and only logged
RETRY_NS = NS_PER_S

Noted = CommandAccepted | CommandDone | CommandRejected


class Ledger(Protocol):
    """The journal, as far as late events need it."""

    async def append(self, event: Event, stamp: Stamp | None = None) -> int: ...

    async def command(self, command_id: str) -> CommandRow | None: ...


@dataclass(slots=True)
class _Late:
    """An event that may not be on disk. `write` is under way since it was handed over."""

    event: Noted
    stamp: Stamp
    write: asyncio.Task[int] | None = None


class LateNotes:
    """`keep` waits a moment; `run` appends in order what was late, for ever."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._late: deque[_Late] = deque()
        self._some = asyncio.Event()

    async def keep(self, event: Noted, within_s: float) -> int:
        """The event's seq; 0 where the disk did not take it within `within_s` seconds, and `run`
        goes on trying."""
        stamp = self._clock.now()
        if self._late:  # nothing overtakes what came before it
            self._put(_Late(event, stamp))
            return 0
        write = asyncio.create_task(self._ledger.append(event, stamp), name=event.KIND)
        try:
            await asyncio.wait({write}, timeout=within_s)
        except asyncio.CancelledError:
            write.cancel()
            raise
        if write.done() and write.exception() is None:
            return write.result()
        self._put(_Late(event, stamp, write))
        return 0

    def _put(self, late: _Late) -> None:
        if len(self._late) >= MAX_LATE:
            log.error("%s of command %s is lost, too much waits for the disk already",
                      late.event.KIND, late.event.command_id)  # fmt: skip
            return
        log.warning("%s of command %s is late", late.event.KIND, late.event.command_id)
        self._late.append(late)
        self._some.set()

    async def run(self) -> None:
        try:
            while True:
                await self._some.wait()
                while self._late:
                    await self._append_first()
                self._some.clear()
        finally:
            for late in self._late:
                if late.write is not None:
                    late.write.cancel()

    async def _append_first(self) -> None:
        first = self._late[0]
        try:
            if first.write is not None:
                await first.write
            elif not await self._is_on_disk(first.event):
                await self._ledger.append(first.event, first.stamp)
        except JournalError:  # it was logged as late; whoever reads the disk's log knows why
            first.write = None
            await self._clock.sleep_until(self._clock.monotonic_ns() + RETRY_NS)
            return
        self._late.popleft()

    async def _is_on_disk(self, event: Noted) -> bool:
        """Asked before each further try: a failed commit may have been written."""
        if isinstance(event, CommandRejected):
            return False
        row = await self._ledger.command(event.command_id)
        accepted = isinstance(event, CommandAccepted)
        return row is not None and (accepted or row.outcome is not None)
