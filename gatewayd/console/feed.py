"""Live events, the same bytes for every console: built once, kept in a ring, replayed from the
journal for whoever was away. Owns the stream's messages; must not know sessions or roles.

A message carries the journal's seq as its id, so a page that says where it stopped misses nothing:

    entry    an EntryView, new or grown (its outcome, its picture): the page replaces by `seq`
    door     a DoorView       alarms   an AlarmList       state    a StateView (no id)
    reset    the journal is not the one that the page knew: load everything anew
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from gatewayd.console.deps import ConsoleDeps
from gatewayd.console.models import AlarmList
from gatewayd.console.views import Views
from gatewayd.domain.alarm import OpenAlarm, apply, by_urgency
from gatewayd.domain.events import (
    ALARM_EVENTS,
    AccessDenied,
    AccessGranted,
    AccessOutcome,
    DeviceOffline,
    DeviceOnline,
    DoorClosed,
    DoorHeldWarning,
    DoorLocked,
    DoorModeChanged,
    DoorModeOrdered,
    DoorOpened,
    DoorUnlocked,
    ExitRequested,
    FireDetected,
    FireReset,
    OperatorLoggedOut,
    PictureStored,
    WhitelistApplied,
)
from gatewayd.domain.model import NS_PER_S, DoorId
from gatewayd.domain.ports import JournalEntry, JournalError

log = logging.getLogger(__name__)

BATCH = 200  # journal entries turned into messages at once
RING = 2_000  # messages kept for consoles that are a little behind: some 2 MB
BEAT_S = 5.0  # a page that hears nothing for twice this says that it lost the box
RETRY_S = 1.0
RETRY_MS = 1_000  # what the browser waits before it connects again

_DOOR_EVENTS = (
    DoorUnlocked,
    DoorLocked,
    DoorOpened,
    DoorClosed,
    DoorHeldWarning,
    ExitRequested,
    DoorModeChanged,
    DoorModeOrdered,
)
ALARMS, STATE = "alarms", "state"


@dataclass(frozen=True, slots=True)
class Message:
    seq: int
    data: bytes


def encode(event: str, view: BaseModel, seq: int | None = None) -> bytes:
    """One message of a text/event-stream; JSON has no line ends of its own."""
    place = "" if seq is None else f"id: {seq}\n"
    return f"{place}event: {event}\ndata: {view.model_dump_json()}\n\n".encode()


class Feed:
    """`run` builds; `stream` hands out. `close` ends every stream."""

    def __init__(self, deps: ConsoleDeps, views: Views) -> None:
        self._deps = deps
        self._views = views
        self._ring: deque[Message] = deque()
        self._cursor = deps.journal.last_seq  # the ring holds everything up to here …
        self._ring_after = self._cursor  # … that came after this
        self._news = asyncio.Event()
        self._beat = 0
        self._state = b""
        self._closed = False

    async def run(self) -> None:
        """Build messages and beats for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name="console feed")
            group.create_task(self._beats(), name="console beat")

    def close(self) -> None:
        self._closed = True
        self._wake()

    async def stream(
        self, after: int, alive: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[bytes]:
        """Messages after the seq `after`, without a gap, until `alive` says no or the feed closes.

        `alive` is asked at the start and at every beat. Raises JournalError where the journal can't
        be read: the page connects again.
        """
        cursor, beat = after, -1
        yield f"retry: {RETRY_MS}\n\n".encode()
        if after > self._deps.journal.last_seq:
            yield b"event: reset\ndata: {}\n\n"
            cursor = self._deps.journal.last_seq
        while not self._closed:
            news = self._news
            if beat != self._beat:
                first, beat = beat == -1, self._beat
                if not await alive():
                    return
                yield encode(STATE, await self._views.state()) if first else self._state
            messages, upto = await self._after(cursor)
            for message in messages:
                yield message.data
            if upto > cursor:
                if not messages or messages[-1].seq < upto:
                    yield f"id: {upto}\n\n".encode()
                cursor = upto
            elif beat == self._beat:
                await news.wait()

    # -------------------------------------------------------------------------- building

    async def _follow(self) -> None:
        while True:
            try:
                await self._deps.journal.wait_beyond(self._cursor)
                entries = await self._deps.journal.entries_after(self._cursor, BATCH)
                messages = await self._build(entries)
            except JournalError as error:
                log.error("live events wait: the journal can't be read: %s", error)
                await self._sleep(RETRY_S)
                continue
            self._keep(messages, entries)
            self._wake()

    def _keep(self, messages: Sequence[Message], entries: Sequence[JournalEntry]) -> None:
        self._ring.extend(messages)
        while len(self._ring) > RING:
            self._ring_after = self._ring.popleft().seq
        if entries:
            self._cursor = entries[-1].seq
        if any(isinstance(entry.event, OperatorLoggedOut) for entry in entries):
            self._beat += 1  # the streams of that session end now, not at the next beat

    async def _beats(self) -> None:
        while True:
            await self._sleep(BEAT_S)
            try:
                self._state = encode(STATE, await self._views.state())
            except JournalError as error:
                log.error("no beat: the journal can't be read: %s", error)
                continue
            self._beat += 1
            self._wake()

    async def _sleep(self, seconds: float) -> None:
        clock = self._deps.clock
        await clock.sleep_until(clock.monotonic_ns() + round(seconds * NS_PER_S))

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _after(self, cursor: int) -> tuple[Sequence[Message], int]:
        """Messages after `cursor`, and the seq up to which that is all there is."""
        if cursor >= self._cursor:
            return (), cursor
        if cursor >= self._ring_after:
            return [message for message in self._ring if message.seq > cursor], self._cursor
        entries = await self._deps.journal.entries_after(cursor, BATCH)
        return await self._build(entries), entries[-1].seq if entries else cursor

    async def _build(self, entries: Sequence[JournalEntry]) -> list[Message]:
        """What changed, each thing once: at the place of its last change in this batch."""
        changed: dict[str, int] = {}
        decisions = await self._decisions(entries)
        for entry in entries:
            for key in self._touched(entry, decisions):
                changed.pop(key, None)
                changed[key] = entry.seq
        views = await self._views.entries(
            [decision for seq, decision in decisions.items() if str(seq) in changed]
        )
        entry_of = {str(view.seq): view for view in views}
        parts = [
            ("entry", entry_of[key], seq)
            if key in entry_of
            else (*await self._part(key, entries), seq)
            for key, seq in changed.items()
        ]
        # Two things may change with one event: only the last of them says "that was all of it".
        last = {seq: at for at, (_, _, seq) in enumerate(parts)}
        return [
            Message(seq, encode(event, view, seq if last[seq] == at else None))
            for at, (event, view, seq) in enumerate(parts)
        ]

    async def _decisions(self, entries: Sequence[JournalEntry]) -> dict[int, JournalEntry]:
        """The decisions that these entries are, or tell more of, by seq."""
        found = {
            entry.seq: entry
            for entry in entries
            if isinstance(entry.event, AccessGranted | AccessDenied)
        }
        for entry in entries:
            match entry.event:
                case AccessOutcome(decision_seq=seq) | PictureStored(for_seq=seq):
                    earlier = None if seq in found else await self._deps.journal.entry(seq)
                    if earlier and isinstance(earlier.event, AccessGranted | AccessDenied):
                        found[seq] = earlier
                case _:
                    continue
        return found

    def _touched(self, entry: JournalEntry, decisions: dict[int, JournalEntry]) -> tuple[str, ...]:
        """The keys of what looks different after the entry."""
        match entry.event:
            case AccessGranted() | AccessDenied():
                return (str(entry.seq),)
            case AccessOutcome(decision_seq=seq):
                return (str(seq),) if seq in decisions else ()
            case PictureStored(for_seq=seq):
                return (str(seq),) if seq in decisions else (ALARMS,)
            case event if isinstance(event, ALARM_EVENTS):
                return (ALARMS, *self._door_keys(event.about))
            case DeviceOnline() | DeviceOffline() | WhitelistApplied():
                return (STATE,)
            case FireDetected() | FireReset():
                return (STATE,)
            case event if isinstance(event, _DOOR_EVENTS):
                return self._door_keys(event.door_id)
            case _:
                return ()

    def _door_keys(self, door_id: str) -> tuple[str, ...]:
        return tuple(f"door {door}" for door in self._views.beside(door_id))

    async def _part(self, key: str, entries: Sequence[JournalEntry]) -> tuple[str, BaseModel]:
        """The event's name and the view of what is no entry."""
        if key == ALARMS:
            views = await self._views.alarms(lambda: self._alarms(entries))
            return ALARMS, AlarmList(alarms=views)
        if key == STATE:
            return STATE, await self._views.state()
        return "door", self._views.door(self._deps.doors.status(DoorId(key.removeprefix("door "))))

    def _alarms(self, entries: Sequence[JournalEntry]) -> list[OpenAlarm]:
        """The desk's list with these events folded in once more: the journal's reader may be
        quicker than the desk, which learns of its own event when the append returns."""
        alarms = {alarm.alarm_id: alarm for alarm in self._deps.alarms.open_alarms()}
        for entry in entries:
            if isinstance(entry.event, ALARM_EVENTS):
                alarms = apply(alarms, entry.event, entry.seq, entry.stamp)
        return by_urgency(alarms)
