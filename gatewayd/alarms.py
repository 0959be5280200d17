"""The alarm desk: every alarm is raised, taken, shelved and cleared here. Owns the open alarms.

Must not decide what is an alarm (doors, link and devices do) nor how it looks (the console does).
The rules are `gatewayd.domain.alarm`; this gives them the journal, ids, the time and one order of
things.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from secrets import token_hex
from typing import Any

from gatewayd.domain import alarm as rules
from gatewayd.domain.alarm import NEVER_SUPPRESSED, OpenAlarm, OpenAlarms, apply, by_urgency
from gatewayd.domain.events import (
    ALARM_EVENTS,
    AlarmAcknowledged,
    AlarmEvent,
    AlarmRaised,
    AlarmShelved,
    AlarmUnshelved,
)
from gatewayd.domain.model import ALARM_PRIORITY, NS_PER_MS, NS_PER_S, AlarmKind, Stamp
from gatewayd.domain.ports import Clock, Journal, JournalEntry, JournalError, ShelveRefusedError
from gatewayd.recorder import Recorder

log = logging.getLogger(__name__)

# Waiting raises and clears; past it the newest is refused, loudly. One of a kind that is never
# suppressed takes the place of the oldest of another kind.
MAX_SIGNALS = 1_000
DEADLINE_NS = 250 * NS_PER_MS  # past it an alarm is shown before its event is on disk
ESCALATE_MIN = 3.0
TICK_NS = NS_PER_S
# While an alarm chatters, one event in this time tells how often and how it stands: a contact that
# bounces ten thousand times an hour must not fill the disk, nor the line to the centre.
CHATTER_NS = 60 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Signal:
    kind: AlarmKind
    about: str
    active: bool
    detail: str = ""


class AlarmDesk:
    """Implements `gatewayd.domain.ports.AlarmDesk`."""

    def __init__(
        self,
        journal: Journal,
        recorder: Recorder,
        clock: Clock,
        on_raised: Callable[[OpenAlarm], None] = lambda _alarm: None,
        *,
        escalate_min: float = ESCALATE_MIN,
    ) -> None:
        """`on_raised` is told each new alarm, e.g. to keep its picture, and once more when one that
        the journal took late has its seq; it must return at once.
        What nobody takes within `escalate_min` minutes is escalated."""
        self._journal = journal
        self._recorder = recorder
        self._clock = clock
        self._on_raised = on_raised
        self._escalate_ns = round(escalate_min * 60 * NS_PER_S)
        self._alarms: OpenAlarms = {}
        self._told_ns: dict[str, int] = {}  # when the journal was last told of a repeated alarm
        self._untold: dict[str, OpenAlarm] = {}  # how they stand, which the journal does not say
        self._signals: deque[Signal] = deque()
        self._signalled = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._handed_over = False
        self._acting: asyncio.Task[None] | None = None  # what someone did last
        self._acting_on = ""  # the alarm of that

    def restore(self, entries: Iterable[JournalEntry]) -> None:
        """The open alarms of before the restart, from their journaled events in order."""
        for entry in entries:
            if isinstance(entry.event, ALARM_EVENTS):
                self._alarms = apply(self._alarms, entry.event, entry.seq, entry.stamp)

    def open_alarms(self) -> Sequence[OpenAlarm]:
        return by_urgency(self._alarms)

    def signal(self, kind: AlarmKind, about: str, *, active: bool, detail: str = "") -> None:
        """Raise or clear without waiting; for tasks that must not wait for a disk."""
        signal = Signal(kind, about, active, detail)
        if len(self._signals) >= MAX_SIGNALS:
            out = self._in_the_way_of(signal)
            log.error("alarm desk is full: %s about %s not taken", out.kind, out.about)
            if out is signal:
                return
            self._signals.remove(out)
        self._signals.append(signal)
        self._signalled.set()

    def _in_the_way_of(self, signal: Signal) -> Signal:
        """Which one a full desk does without."""
        if signal.kind not in NEVER_SUPPRESSED:
            return signal
        return next((s for s in self._signals if s.kind not in NEVER_SUPPRESSED), signal)

    async def run(self) -> None:
        """Carry out what `signal` handed over, and what time brings, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take_signals(), name="alarm signals")
            group.create_task(self._watch_time(), name="alarm times")

    async def _take_signals(self) -> None:
        while True:
            await self._signalled.wait()
            self._signalled.clear()
            while self._signals:
                signal = self._signals.popleft()
                if signal.active:
                    await self.raise_alarm(signal.kind, signal.about, signal.detail)
                else:
                    await self.clear(signal.kind, signal.about)

    async def _watch_time(self) -> None:
        while True:
            await self._clock.sleep_until(self._clock.monotonic_ns() + TICK_NS)
            async with self._one_at_a_time:
                await self._pass_time()

    async def raise_alarm(self, kind: AlarmKind, about: str, detail: str = "") -> str:
        async with self._one_at_a_time:
            now = self._clock.now()
            same = rules.again(self._alarms, kind, about, now)
            if same is None:
                return await self._raise(kind, about, detail)
            await self._tell_soon(rules.repeated(same, detail, now))
            await self._pass_time()
            return same.alarm_id

    async def _raise(self, kind: AlarmKind, about: str, detail: str) -> str:
        alarm_id = token_hex(8)
        event = AlarmRaised(alarm_id, kind, ALARM_PRIORITY[kind], about, detail)
        await self._keep(event, self._clock.now())
        self._on_raised(self._alarms[alarm_id])
        return alarm_id

    async def clear(self, kind: AlarmKind, about: str) -> None:
        async with self._one_at_a_time:
            for alarm in rules.active(self._alarms, kind, about):
                await self._tell_soon(replace(alarm, over=self._clock.now()))

    # ----------------------------------------------------------------------- what people do

    async def acknowledge(self, alarm_id: str, operator: str, note: str = "") -> OpenAlarm:
        """As the port says. Raises JournalError where the act could not be made durable."""
        async with self._turn(alarm_id):
            alarm = self._listed(alarm_id)
            if alarm.acknowledged_by is not None:
                return alarm
            act = await self._begin(
                AlarmAcknowledged(alarm_id, alarm.about, operator, note, alarm.kind)
            )
        await act
        return replace(alarm, acknowledged_by=operator)

    async def shelve(self, alarm_id: str, operator: str, reason: str, until_ms: int) -> OpenAlarm:
        """As the port says. Raises JournalError where the act could not be made durable."""
        async with self._turn(alarm_id):
            alarm = self._listed(alarm_id)
            refusal = rules.why_not_shelve(alarm, until_ms, self._clock.now())
            if refusal is not None:
                raise ShelveRefusedError(refusal)
            act = await self._begin(
                AlarmShelved(alarm_id, alarm.about, operator, reason, until_ms, alarm.kind)
            )
        await act
        return self._alarms[alarm_id]

    async def unshelve(self, alarm_id: str, operator: str) -> OpenAlarm:
        """As the port says. Raises JournalError where the act could not be made durable."""
        async with self._turn(alarm_id):
            alarm = self._listed(alarm_id)
            if alarm.shelf is None:
                return alarm
            act = await self._begin(AlarmUnshelved(alarm_id, alarm.about, operator, alarm.kind))
        await act
        return self._alarms[alarm_id]

    @asynccontextmanager
    async def _turn(self, alarm_id: str) -> AsyncIterator[None]:
        """For an act on an alarm. Where somebody's act on the same one is still on its way to the
        disk, whoever comes second waits, and learns what came of it."""
        while True:
            async with self._one_at_a_time:
                before = self._acting if self._acting_on == alarm_id else None
                if before is None or before.done():
                    yield
                    return
            await asyncio.wait({before})

    def _listed(self, alarm_id: str) -> OpenAlarm:
        """Raises KeyError for one that is only remembered."""
        alarm = self._alarms[alarm_id]
        if not alarm.open:
            raise KeyError(alarm_id)
        return alarm

    async def _begin(self, event: AlarmEvent) -> asyncio.Future[None]:
        """An act of a person is durable or it did not happen; it follows what it was done about.
        Where the disk takes its time, whoever acts waits for what this returns; the desk goes on,
        and takes no other act until then."""
        await self._tell(event.alarm_id)
        if self._is_behind():
            raise JournalError(
                f"alarm {event.alarm_id}: what was before is not on disk yet "
                "(shelve or acknowledge it again soon)"
            )
        self._acting = asyncio.create_task(self._act(event), name=event.KIND)
        self._acting_on = event.alarm_id
        await self._in_time(self._acting)
        return asyncio.shield(self._acting)

    async def _act(self, event: AlarmEvent) -> None:
        stamp = self._clock.now()
        seq = await self._journal.append(event, stamp)
        self._alarms = apply(self._alarms, event, seq, stamp)

    # -------------------------------------------------------------------- what is journaled

    async def _pass_time(self) -> None:
        now = self._clock.now()
        for event in rules.due(self._alarms, now, self._escalate_ns):
            await self._tell(event.alarm_id)
            await self._keep(event, now)
        for alarm_id in list(self._untold):
            if self._may_tell(alarm_id):
                await self._tell(alarm_id)
        self._told_ns = {key: at for key, at in self._told_ns.items() if key in self._alarms}

    async def _tell_soon(self, alarm: OpenAlarm) -> None:
        """The alarm stands like this now; the journal learns it at once, or within a minute."""
        self._alarms = {**self._alarms, alarm.alarm_id: alarm}
        self._untold[alarm.alarm_id] = alarm
        if alarm.kind in NEVER_SUPPRESSED or self._may_tell(alarm.alarm_id):
            await self._tell(alarm.alarm_id)

    def _may_tell(self, alarm_id: str) -> bool:
        told_ns = self._told_ns.get(alarm_id)
        return told_ns is None or self._clock.monotonic_ns() - told_ns >= CHATTER_NS

    async def _tell(self, alarm_id: str) -> None:
        """The journal learns how the alarm stands, where it does not know."""
        alarm = self._untold.pop(alarm_id, None)
        if alarm is None:
            return
        if alarm.repeats:
            self._told_ns[alarm_id] = self._clock.monotonic_ns()
        await self._keep(*rules.telling(alarm))

    async def tell_all(self) -> None:
        """At the end: the journal says how each alarm stands, however lately it was told."""
        async with self._one_at_a_time:
            for alarm_id in list(self._untold):
                await self._tell(alarm_id)

    async def _keep(self, event: AlarmEvent, stamp: Stamp) -> None:
        """Journal and apply. An alarm is shown even where the journal refuses or is late; its event
        follows."""
        seq = None if self._is_behind() else await self._append(event, stamp)
        if seq is None:
            self._recorder.record(event, stamp)
        self._handed_over = self._handed_over or not seq
        self._alarms = apply(self._alarms, event, seq or 0, stamp)

    async def _append(self, event: AlarmEvent, stamp: Stamp) -> int | None:
        """The seq; None where the journal refuses; 0 where it is late, and the recorder sees that
        nothing overtakes the event."""
        write = asyncio.create_task(self._journal.append(event, stamp), name=event.KIND)
        try:
            if await self._in_time(write):
                return write.result()
        except JournalError:
            return None
        except asyncio.CancelledError:
            write.cancel()
            raise
        self._recorder.follow(event, stamp, write)
        write.add_done_callback(partial(self._came_late, event, stamp))
        return 0

    async def _in_time(self, write: asyncio.Task[Any]) -> bool:
        late_ns = self._clock.monotonic_ns() + DEADLINE_NS
        late = asyncio.create_task(self._clock.sleep_until(late_ns), name="alarm deadline")
        try:
            await asyncio.wait({write, late}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            late.cancel()
        return write.done()

    def _came_late(self, event: AlarmEvent, stamp: Stamp, write: asyncio.Task[int]) -> None:
        """A new alarm has its seq now. What failed is the recorder's."""
        if write.cancelled() or write.exception() is not None:
            return
        if isinstance(event, AlarmRaised) and event.alarm_id in self._alarms:
            self._alarms = apply(self._alarms, event, write.result(), stamp)
            self._on_raised(self._alarms[event.alarm_id])

    def _is_behind(self) -> bool:
        """Whether an alarm's event may not be on disk yet, which the next must not overtake: a
        restart would take a clearing before its raising for an alarm that is still open."""
        self._handed_over = self._handed_over and self._recorder.waiting > 0
        acting = self._acting is not None and not self._acting.done()
        return self._handed_over or acting
